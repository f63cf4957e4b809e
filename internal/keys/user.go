package keys

import (
	"strings"
	"time"
)

// ProviderName is how people name the provider where a tenant is asked for. No tenant can have it.
const ProviderName = "provider"

// User is the stored record of a person who can sign in, with the roles he was given. Times are UTC
// at µs. Everything but the name is under the row MAC: a row written behind our back gives nobody
// anything.
type User struct {
	ID         UserID
	Tenant     TenantID // "" for the provider's people
	Email      string   // in lower case, unique in the installation
	Name       string
	Roles      []RoleName // sorted
	Password   string     // PHC string of argon2id; "" until the person chose one
	Disabled   bool
	NoKeys     bool           // his access to keys was removed
	Held       []CredentialID // keys that were suspended when it was removed, and come back with it; sorted
	CreatedAt  time.Time
	UpdatedAt  time.Time
	PasswordAt time.Time // when the password was set; zero for never
	Version    int64     // 1 on creation, +1 with each write
	MAC        RowMAC
}

// called is what a person is called: by his name, or by his address where he gave none.
func (u *User) called() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Email
}

// place names where a person belongs.
func (u *User) place() string {
	if u.Tenant == "" {
		return "the provider"
	}
	return string(u.Tenant)
}

// chain is the audit chain that tells of the person.
func (u *User) chain() string {
	if u.Tenant == "" {
		return ProviderChain
	}
	return string(u.Tenant)
}

// maxEmail is the longest address that mail can be sent to (RFC 5321, section 4.5.3.1.3).
const maxEmail = 254

// email checks an address and returns it in lower case. Only plain ASCII ones are taken: two that look
// alike must not be two people's.
func (e *fieldErrors) email(field, s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	local, domain, found := strings.Cut(s, "@")
	switch {
	case s == "":
		e.add(field, "is required")
	case len(s) > maxEmail:
		e.add(field, "has %d characters; at most %d are possible", len(s), maxEmail)
	case !found || !plainWords(local, ".!#$%&'*+/=?^_`{|}~-") || !plainWords(domain, ".-"):
		e.add(field, "is no plain e-mail address, such as ada@example.com")
	}
	return s
}

// plainWords tells whether s is made of letters, digits and the marks, with no dot at an end nor two
// in a row.
func plainWords(s, marks string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune(marks, r))
	})
}
