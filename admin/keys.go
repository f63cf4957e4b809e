package admin

import (
	"strconv"
	"strings"
	"time"

	"postern/internal/keys"
)

// Key is a credential as the API shows it. Both kinds, API keys and clients, are called keys here.
type Key struct {
	ID              string            `json:"id" doc:"key_ or, for a client, app_ and 12 characters. A client's id is its client_id." example:"key_7Qd2mXk0aVbR"`
	Kind            string            `json:"kind" enum:"api_key,client" doc:"What it is: an API key, or an application's id and secret." example:"api_key"`
	Name            string            `json:"name" doc:"For people." example:"ci"`
	Description     string            `json:"description" doc:"For people." example:"Build pipeline"`
	Tenant          string            `json:"tenant" doc:"The organisation it belongs to." example:"default"`
	Owner           KeyOwner          `json:"owner" doc:"Whose it is."`
	Plan            string            `json:"plan" doc:"Its limits, by name." example:"standard"`
	APIs            []string          `json:"apis" doc:"The APIs granted as a whole; their scopes follow the configuration." example:"orders"`
	Scopes          []string          `json:"scopes" doc:"Scopes granted beyond those of the APIs." example:"billing.read"`
	EffectiveScopes []string          `json:"effective_scopes" doc:"Every scope it has now." example:"billing.read,orders.read,orders.write"`
	Status          string            `json:"status" enum:"pending,active,suspended,expired,revoked,denied" doc:"Only active keys are admitted." example:"active"`
	Preview         string            `json:"preview" doc:"The first characters of the newest secret." example:"pst_live_7Qd2mXk0aVbR_"`
	CreatedAt       time.Time         `json:"created_at" doc:"When it was generated." example:"2026-11-21T10:00:00Z"`
	UpdatedAt       time.Time         `json:"updated_at" doc:"When it was last changed." example:"2026-11-21T10:00:00Z"`
	ExpiresAt       *time.Time        `json:"expires_at" doc:"When it ends; null for never." example:"2027-02-19T10:00:00Z"`
	LastUsedAt      *time.Time        `json:"last_used_at" doc:"When a call was last admitted; null when unknown or never." example:"2026-11-21T11:30:00Z"`
	ApplicationType string            `json:"application_type" enum:",internal,public" doc:"For clients; empty where it was not said." example:"internal"`
	RedirectURIs    []string          `json:"redirect_uris" doc:"For public clients. Kept and checked, not acted on." example:"https://app.example.com/callback"`
	AllowedIPs      []string          `json:"allowed_ips" doc:"Addresses and prefixes that calls may come from; empty for all." example:"192.0.2.0/24"`
	Metadata        map[string]string `json:"metadata" doc:"Facts of the caller's own." example:"{\"team\":\"payments\"}"`
	ExternalID      string            `json:"external_id" doc:"Its name in another system." example:"crm-4711"`
	Secrets         []KeySecret       `json:"secrets" doc:"Its live secrets: one, or two during a rollover."`
	ManagedBy       string            `json:"managed_by" doc:"File and line of its declaration; empty for keys made through the API."`
	Version         int64             `json:"version" doc:"Grows with each change; the ETag." example:"1"`
}

// KeyOwner is whose a key is.
type KeyOwner struct {
	Type string `json:"type" enum:"user,tenant" doc:"A person, or everyone of the tenant who holds the permission." example:"tenant"`
	ID   string `json:"id" doc:"The person's or the tenant's id." example:"default"`
	Name string `json:"name" doc:"The person's or the tenant's name." example:"Default"`
}

// KeySecret is what is shown of a secret that is in force.
type KeySecret struct {
	ID         string     `json:"id" doc:"Names the secret; no part of it is secret." example:"7Qd2mXk0aVbR"`
	Preview    string     `json:"preview" doc:"Its first characters." example:"pst_live_7Qd2mXk0aVbR_"`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was made." example:"2026-11-21T10:00:00Z"`
	ExpiresAt  *time.Time `json:"expires_at" doc:"When it ends; null for as long as the key." example:"2026-12-21T10:00:00Z"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"When a call was last admitted with it; null when unknown or never." example:"2026-11-21T11:30:00Z"`
}

// keyOutput answers with one key and its version.
type keyOutput struct {
	ETag string `header:"ETag" doc:"The version in quotes, for If-Match." example:"\"1\""`
	Body Key
}

// makeKey shows a credential as it is now.
func (s *server) makeKey(c keys.Credential) Key {
	k := Key{
		ID:              string(c.ID),
		Kind:            string(c.Kind),
		Name:            c.Name,
		Description:     c.Description,
		Tenant:          string(c.Tenant),
		Owner:           KeyOwner{Type: string(c.Owner.Type), ID: c.Owner.ID, Name: c.Owner.Name},
		Plan:            string(c.Plan),
		APIs:            texts(c.APIs),
		Scopes:          texts(c.Scopes),
		EffectiveScopes: texts(s.Registry.EffectiveScopes(c)),
		Status:          string(c.StatusAt(s.Registry.Now())),
		CreatedAt:       c.CreatedAt.UTC(),
		UpdatedAt:       c.UpdatedAt.UTC(),
		ExpiresAt:       instant(c.ExpiresAt),
		LastUsedAt:      instant(c.LastUsedAt),
		ApplicationType: c.ApplicationType,
		RedirectURIs:    notNil(c.RedirectURIs),
		AllowedIPs:      make([]string, len(c.AllowedIPs)),
		Metadata:        c.Metadata,
		ExternalID:      c.ExternalID,
		ManagedBy:       c.ManagedBy,
		Version:         c.Version,
	}
	for i, p := range c.AllowedIPs {
		k.AllowedIPs[i] = p.String()
	}
	if k.Metadata == nil {
		k.Metadata = map[string]string{}
	}
	var newest int
	if k.Secrets, newest = makeSecrets(c.Secrets); newest >= 0 {
		k.Preview = k.Secrets[newest].Preview
	}
	return k
}

// makeSecrets shows the secrets of a credential, and which was made last; -1 where there is none. Of two
// made at once it is the one that stands last.
func makeSecrets(list []keys.StoredSecret) (out []KeySecret, newest int) {
	out, newest = make([]KeySecret, len(list)), -1
	for i, secret := range list {
		out[i] = KeySecret{
			ID:         string(secret.ID),
			Preview:    secret.Preview,
			CreatedAt:  secret.CreatedAt.UTC(),
			ExpiresAt:  instant(secret.ExpiresAt),
			LastUsedAt: instant(secret.LastUsedAt),
		}
		if newest < 0 || !secret.CreatedAt.Before(list[newest].CreatedAt) {
			newest = i
		}
	}
	return out, newest
}

// etag is a version as an entity tag (RFC 9110, section 8.8.3).
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// instant shows a time, or null for the zero one.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// versionsOf reads If-Match as the versions that a key may have (RFC 9110, section 13.1.1: by strong
// comparison, so W/"1" never matches). Nil: whichever it has. 0, which no key has, stands for a tag
// that none of ours is.
func versionsOf(ifMatch string) []int64 {
	if ifMatch == "" || strings.TrimSpace(ifMatch) == "*" {
		return nil
	}
	var versions []int64
	for tag := range strings.SplitSeq(ifMatch, ",") {
		tag = strings.TrimSpace(tag)
		version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
		if err != nil || tag != etag(version) {
			version = 0
		}
		versions = append(versions, version)
	}
	return versions
}

// texts shows a list of names; never null.
func texts[T ~string](names []T) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

// names is texts the other way round.
func names[T ~string](texts []string) []T {
	out := make([]T, len(texts))
	for i, t := range texts {
		out[i] = T(t)
	}
	return out
}
