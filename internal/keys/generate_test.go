package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGenerateKeepsWhatItWasAsked(t *testing.T) {
	h := newHouse(t)
	now := h.clock.Now()
	g, err := h.registry.Generate(t.Context(), operator(), NewCredential{
		Kind: Client, Name: "  shop  ", Description: "two\nlines", Plan: "partner", APIs: []APIName{"orders", "bills", "orders"},
		Scopes: []Scope{"orders.read"}, Expiry: &Lifetime{Months: 1}, ApplicationType: "public",
		RedirectURIs: []string{"https://shop.example/back", "http://127.0.0.1:9999/cb"}, AllowedIPs: []string{"203.0.113.7", "10.0.0.0/8", "10.0.0.0/8"},
		Metadata: map[string]string{"team": "a"}, ExternalID: "crm-7", Reason: "backup", Owner: &OwnerInput{Type: OwnerTenant},
	})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := h.registry.Credential(t.Context(), operator(), g.Credential.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g.Credential, stored, cmp.Comparer(func(a, b fmt.Stringer) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("answered and stored differ:\n%s", diff)
	}
	c := stored
	if !strings.HasPrefix(string(c.ID), "app_") || c.Name != "shop" || c.Kind != Client || c.Tenant != "default" || c.Status != Active ||
		c.Owner != (Owner{OwnerTenant, "default", "default"}) || c.Plan != "partner" || c.Version != 1 || c.CreatedBy != "token:tok_operator" ||
		c.ManagedBy != "" || !c.CreatedAt.Equal(now) || !c.ExpiresAt.Equal(now.AddDate(0, 1, 0)) || c.ExternalID != "crm-7" || c.Reason != "backup" {
		t.Errorf("stored %+v", c)
	}
	if diff := cmp.Diff([]APIName{"bills", "orders"}, c.APIs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"10.0.0.0/8", "203.0.113.7/32"}, prefixes(c.AllowedIPs)); diff != "" {
		t.Error(diff)
	}
	if !h.vault.CredentialIntact(&c) || len(c.Secrets) != 1 || !h.vault.SecretIntact(c.ID, &c.Secrets[0]) {
		t.Error("the rows are not authentic")
	}
	s := c.Secrets[0]
	if text := g.Secret.Reveal(); !strings.HasPrefix(text, s.Preview) || h.format.Parse(text).ID != string(s.ID) || s.Digest != h.vault.Digest(text) {
		t.Errorf("secret %+v does not belong to the text", s)
	}
	opened, err := h.vault.Open(c.Tenant, c.ID, s.ID, s.Sealed)
	if err != nil || opened.Reveal() != g.Secret.Reveal() {
		t.Errorf("a revealable secret opens to %q, %v", opened.Reveal(), err)
	}
	if got := h.code(g.Secret.Reveal(), string(c.ID)); got != Admitted {
		t.Errorf("it does not work when Generate returns: %q", got)
	}
}

func TestGenerateOfAKeySeenOnce(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{Test: true})
	if id := h.format.Parse(g.Secret.Reveal()).ID; string(g.Credential.ID) != "key_"+id {
		t.Errorf("id %s, text of %s", g.Credential.ID, id)
	}
	if !strings.HasPrefix(g.Secret.Reveal(), "pst_test_") || !g.Credential.Test {
		t.Error("no test key")
	}
	if g.Credential.Secrets[0].Sealed != nil {
		t.Error("the text of a key that is shown once was kept")
	}
}

func TestGenerateDefaults(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", func(t *Tenant) { t.Plan = "business" })
	h.setCatalog(func(c *Catalog) {
		c.Policy.NameRequired = false
		c.Policy.DefaultExpiry = Lifetime{For: 24 * time.Hour}
	})
	g, err := h.registry.Generate(t.Context(), member("acme", RoleDeveloper), NewCredential{})
	if err != nil {
		t.Fatal(err)
	}
	c := g.Credential
	if c.Kind != APIKey || c.Name != "key-"+string(c.ID[4:10]) || c.Tenant != "acme" || c.Owner.ID != "acme" || c.Plan != "partner" ||
		!c.ExpiresAt.Equal(h.clock.Now().Add(24*time.Hour)) {
		t.Errorf("got %+v", c)
	}
	h.setCatalog(func(c *Catalog) {
		c.Policy.ApprovalRequired = true
		c.Policy.MaxExpiry = Lifetime{For: time.Hour}
	})
	g = h.generate(NewCredential{Expiry: nil})
	if c := g.Credential; c.Status != Pending || !c.ExpiresAt.Equal(h.clock.Now().Add(time.Hour)) {
		t.Errorf("with approval and a maximum: %s until %v", c.Status, c.ExpiresAt)
	}
	if got := h.code(g.Secret.Reveal(), ""); got != CredentialPending {
		t.Errorf("a key that waits for approval gets %q", got)
	}
}

func TestGenerateNamesEveryWrongField(t *testing.T) {
	h := newHouse(t, func(c *Catalog) {
		c.Policy.DefaultPlan = ""
		c.Policy.MaxExpiry = Lifetime{For: 90 * 24 * time.Hour}
	})
	many := make(map[string]string)
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	_, err := h.registry.Generate(t.Context(), operator(), NewCredential{
		Kind: "password", Description: strings.Repeat("é", 1001), ExternalID: "a\x00b", Reason: "\xff", Metadata: many,
		AllowedIPs: []string{"10.0.0.1/8", "300.1.1.1", "192.0.2.1", "fe80::1%eth0"}, APIs: []APIName{"order"}, Scopes: []Scope{"orders.rea", "zzz"},
		ApplicationType: "private", RedirectURIs: []string{"http://shop.example/", "https://*.example/"}, Expiry: &Lifetime{},
		Owner: &OwnerInput{Type: "robot", ID: "usr_1"},
	})
	got := map[string]string{}
	for _, f := range refused(t, err, ValidationFailed).Fields {
		got[f.Field] = f.Message
	}
	for field, says := range map[string]string{
		"kind": "api_key or client", "name": "required", "description": "1001 characters", "external_id": "U+0000", "reason": "UTF-8",
		"metadata": "51 entries", "allowed_ips[0]": "write 10.0.0.0/8", "allowed_ips[1]": "is not an address", "allowed_ips[3]": "is not an address",
		"apis[0]": `did you mean "orders"?`, "scopes[0]": `did you mean "orders.read"?`, "scopes[1]": "bills.pay, bills.read",
		"application_type": "internal or public", "redirect_uris[0]": "must be https", "redirect_uris[1]": "wildcards",
		"expires_at": "expiry_exceeds_maximum", "owner.type": "must be tenant or user", "plan": "the plans are partner, standard",
	} {
		if !strings.Contains(got[field], says) {
			t.Errorf("%s: got %q, want %q in it", field, got[field], says)
		}
		delete(got, field)
	}
	if len(got) != 0 {
		t.Errorf("more fields than expected: %v", got)
	}
	if h.store.updates > 1 { // the first opened the store
		t.Error("an input that fails took the writers' turn")
	}
}

func TestGenerateRefusesSingleFields(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	for _, c := range []struct {
		name  string
		field string
		says  string
		edit  func(*NewCredential)
	}{
		{"no name", "name", "required", func(in *NewCredential) { in.Name = "   " }},
		{"long name", "name", "101 characters", func(in *NewCredential) { in.Name = strings.Repeat("ü", 101) }},
		{"newline in name", "name", "U+000A", func(in *NewCredential) { in.Name = "a\nb" }},
		{"reordering name", "name", "U+202E", func(in *NewCredential) { in.Name = "a\u202eb" }},
		{"escape in description", "description", "U+001B", func(in *NewCredential) { in.Description = "\x1b[2J" }},
		{"long metadata name", `metadata["` + strings.Repeat("n", 41) + `"]`, "41 characters", func(in *NewCredential) { in.Metadata = map[string]string{strings.Repeat("n", 41): ""} }},
		{"empty metadata name", `metadata[""]`, "empty", func(in *NewCredential) { in.Metadata = map[string]string{"": "x"} }},
		{"long metadata value", `metadata["a"]`, "501 characters", func(in *NewCredential) { in.Metadata = map[string]string{"a": strings.Repeat("v", 501)} }},
		{"public without URI", "redirect_uris", "redirect_uri_required", func(in *NewCredential) { in.ApplicationType = "public" }},
		{"URI with fragment", "redirect_uris[0]", "fragment", func(in *NewCredential) { in.RedirectURIs = []string{"https://a.example/#x"} }},
		{"URI with empty fragment", "redirect_uris[0]", "fragment", func(in *NewCredential) { in.RedirectURIs = []string{"https://a.example/#"} }},
		{"URI with user", "redirect_uris[0]", "user name", func(in *NewCredential) { in.RedirectURIs = []string{"https://u@a.example/"} }},
		{"relative URI", "redirect_uris[0]", "absolute", func(in *NewCredential) { in.RedirectURIs = []string{"/back"} }},
		{"URI of another scheme", "redirect_uris[0]", "scheme", func(in *NewCredential) { in.RedirectURIs = []string{"javascript://a.example/%0aalert(1)"} }},
		{"http URI that looks local", "redirect_uris[0]", "https", func(in *NewCredential) { in.RedirectURIs = []string{"http://localhost.example/"} }},
		{"21 URIs", "redirect_uris", "21 entries", func(in *NewCredential) { in.RedirectURIs = make([]string, 21) }},
		{"101 addresses", "allowed_ips", "101 entries", func(in *NewCredential) { in.AllowedIPs = make([]string, 101) }},
		{"1001 scopes", "scopes", "1001 entries", func(in *NewCredential) { in.Scopes = make([]Scope, 1001) }},
		{"mapped network", "allowed_ips[0]", "IPv4", func(in *NewCredential) { in.AllowedIPs = []string{"::ffff:10.0.0.0/104"} }},
		{"end now", "expires_at", "future", func(in *NewCredential) { in.Expiry = &Lifetime{Until: h.clock.Now()} }},
		{"end in the past", "expires_at", "future", func(in *NewCredential) { in.Expiry = &Lifetime{Until: h.clock.Now().Add(-time.Second)} }},
		{"end of the world", "expires_at", "9999", func(in *NewCredential) { in.Expiry = &Lifetime{Months: 12 * 9000} }},
		{"unknown plan", "plan", `did you mean "partner"?`, func(in *NewCredential) { in.Plan = "parner" }},
		{"unknown tenant", "tenant", "no tenant", func(in *NewCredential) { in.Tenant = "nowhere" }},
		{"another tenant as owner", "owner.id", "tenant is default", func(in *NewCredential) { in.Owner = &OwnerInput{Type: OwnerTenant, ID: "acme"} }},
		{"unknown owner type", "owner.type", "tenant or user", func(in *NewCredential) { in.Owner = &OwnerInput{Type: "group"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := NewCredential{Name: "ok"}
			c.edit(&in)
			_, err := h.registry.Generate(t.Context(), operator(), in)
			fields := refused(t, err, ValidationFailed).Fields
			if len(fields) != 1 || fields[0].Field != c.field || !strings.Contains(fields[0].Message, c.says) {
				t.Errorf("got %+v, want one error of %s with %q", fields, c.field, c.says)
			}
		})
	}
}

func TestRedirectURIsThatAreFine(t *testing.T) {
	var e fieldErrors
	in := []string{"https://a.example", "https://a.example:8443/b?c=d", "http://localhost:1/x", "http://[::1]:1/x", "http://127.5.0.1/"}
	if got := e.redirectURIs("f", in); len(e) != 0 || len(got) != len(in) {
		t.Errorf("got %v, errors %v", got, e)
	}
}

func TestGenerateRules(t *testing.T) {
	contact, _ := url.Parse("https://provider.example/help")
	policy := func(c *Catalog) { c.Policy.Contact = Contact{Text: "Ask Pat.", URL: contact} }
	off := false
	for _, c := range []struct {
		name    string
		catalog func(*Catalog)
		tenant  func(*Tenant)
		actor   Actor
		in      NewCredential
		want    RefusalCode
	}{
		{"nobody", nil, nil, Actor{}, NewCredential{}, PermissionDenied},
		{"viewer", nil, nil, member("acme", RoleViewer), NewCredential{}, PermissionDenied},
		{"administrator who is no developer", nil, nil, member("acme", RoleTenantAdmin), NewCredential{}, PermissionDenied},
		{"in another tenant", nil, nil, member("acme", RoleDeveloper), NewCredential{Tenant: "default"}, PermissionDenied},
		{"in a tenant that is not there", nil, nil, member("acme", RoleDeveloper), NewCredential{Tenant: "nowhere"}, PermissionDenied},
		{"another plan than the default", nil, nil, member("acme", RoleDeveloper), NewCredential{Plan: "partner"}, PermissionDenied},
		{"keys off in policy", func(c *Catalog) { c.Policy.KeysEnabled = false }, nil, operator(), NewCredential{Tenant: "acme"}, KeysDisabledHere},
		{"keys off in tenant", nil, func(t *Tenant) { t.Settings.KeysEnabled = &off }, operator(), NewCredential{Tenant: "acme"}, KeysDisabledHere},
		{"trial", nil, func(t *Tenant) { t.Plan = "trial" }, operator(), NewCredential{Tenant: "acme"}, PlanNotEligibleHere},
		{"tenant plan that is gone", nil, func(t *Tenant) { t.Plan = "gone" }, operator(), NewCredential{Tenant: "acme"}, PlanNotEligibleHere},
		{"cap of nothing", func(c *Catalog) { c.Policy.MaxKeysPerTenant = 0 }, nil, operator(), NewCredential{Tenant: "acme"}, MaxKeysReached},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, policy)
			if c.catalog != nil {
				h.setCatalog(func(cat *Catalog) { policy(cat); c.catalog(cat) })
			}
			h.tenant("acme", c.tenant)
			c.in.Name = "n"
			_, err := h.registry.Generate(t.Context(), c.actor, c.in)
			r := refused(t, err, c.want)
			if !strings.Contains(r.Hint, "Ask Pat. https://provider.example/help") || r.Detail == "" {
				t.Errorf("detail %q, hint %q: want who can help", r.Detail, r.Hint)
			}
			if n := len(h.store.credentials); n != 0 {
				t.Errorf("%d credentials were written", n)
			}
		})
	}
}

func TestGenerateByTheDefaultPlansName(t *testing.T) {
	h := newHouse(t)
	if _, err := h.registry.Generate(t.Context(), member("default", RoleDeveloper), NewCredential{Name: "n", Plan: "standard"}); err != nil {
		t.Errorf("naming the default plan: %v", err)
	}
}

func TestCapsCountWhatCouldWorkAgain(t *testing.T) {
	h := newHouse(t, func(c *Catalog) { c.Policy.MaxKeysPerTenant = 3 })
	h.tenant("acme", nil)
	a, b, c := h.generate(NewCredential{}), h.generate(NewCredential{}), h.generate(NewCredential{Expiry: &Lifetime{For: time.Hour}})
	full := func() {
		t.Helper()
		_, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: "one more"})
		if r := refused(t, err, MaxKeysReached); r.Scope != "tenant" || r.Limit != 3 {
			t.Errorf("scope %q, limit %d", r.Scope, r.Limit)
		}
	}
	full()
	h.change(a.Credential.ID, func(c *Credential) { c.Status = Suspended })
	h.change(b.Credential.ID, func(c *Credential) { c.Status = Pending })
	full()
	h.generate(NewCredential{Tenant: "acme"}) // another tenant's cap is its own
	h.clock.advance(time.Hour)
	if c.Credential.StatusAt(h.clock.Now()) != Expired {
		t.Fatal("not expired")
	}
	h.generate(NewCredential{})
	full()
	h.change(b.Credential.ID, func(c *Credential) { c.Status = Denied })
	d := h.generate(NewCredential{})
	full()
	if _, err := h.registry.Revoke(t.Context(), operator(), d.Credential.ID, ""); err != nil {
		t.Fatal(err)
	}
	e := h.generate(NewCredential{})
	full()
	h.change(e.Credential.ID, func(c *Credential) { c.DeletedAt, c.Secrets = h.clock.Now(), nil })
	h.generate(NewCredential{})
	h.setCatalog(func(c *Catalog) { c.Policy.MaxKeysPerTenant = 1 })
	_, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: "one more"})
	refused(t, err, MaxKeysReached) // and those that are there stay
	if got := h.dir.Stats(h.clock.Now()).ByStatus[Active]; got != 3 {
		t.Errorf("%d active keys, want 3 of both tenants", got)
	}
}

func TestCapPerUser(t *testing.T) {
	h := newHouse(t, func(c *Catalog) { c.Policy.MaxKeysPerUser = 2 })
	for range 3 {
		h.generate(NewCredential{}) // a tenant's are nobody's
	}
	h.user(DefaultTenant, "usr_1")
	h.user(DefaultTenant, "usr_2")
	c := Credential{Kind: APIKey, Tenant: "default", Owner: Owner{OwnerUser, "usr_1", "Ann"}, Status: Active, Plan: "standard", Version: 1, CreatedAt: h.clock.Now()}
	insert := func(owner string) error {
		c.Owner.ID = owner
		g, err := h.registry.withSecret(c, h.registry.catalog.Load().Policy)
		if err != nil {
			t.Fatal(err)
		}
		return h.registry.change(t.Context(), "insert", func(ctx context.Context, tx Tx) error { return h.registry.insert(ctx, tx, operator(), g.Credential) })
	}
	for range 2 {
		if err := insert("usr_1"); err != nil {
			t.Fatal(err)
		}
	}
	if r := refused(t, insert("usr_1"), MaxKeysReached); r.Scope != "user" || r.Limit != 2 || !strings.Contains(r.Detail, "Ann") {
		t.Errorf("%+v", r)
	}
	if err := insert("usr_2"); err != nil {
		t.Errorf("another user: %v", err)
	}
}

func TestGenerateDrawsAgain(t *testing.T) {
	h := newHouse(t)
	// The same randomness three times, then fresh: the ids of the first key come up twice again.
	same := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", 3)
	source := func(times int) io.Reader {
		return io.MultiReader(strings.NewReader(strings.Repeat(same, times)), freshDigits{})
	}
	h.registry.random = source(1)
	first := h.generate(NewCredential{})
	h.registry.random = source(2)
	second := h.generate(NewCredential{})
	if first.Credential.ID == second.Credential.ID {
		t.Error("two keys with one id")
	}
	h.registry.random = source(100)
	_, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: "n"})
	if !errors.Is(err, ErrDuplicate) {
		t.Errorf("a stuck random source: got %v", err)
	}
	h.registry.random = iotest.ErrReader(errors.New("no entropy"))
	if _, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: "n"}); err == nil || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("a broken random source: got %v", err)
	}
}

// freshDigits never ends and never repeats within a test.
type freshDigits struct{}

func (freshDigits) Read(p []byte) (int, error) {
	copy(p, fmt.Sprintf("%064d", time.Now().UnixNano()))
	return len(p), nil
}

func TestStoreErrorsBecomeRefusals(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	token, err := h.registry.CreateToken(t.Context(), operator(), NewToken{Name: "t", Roles: []RoleName{RoleViewer}})
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"Generate": func() error {
			_, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: "n"})
			return err
		},
		"Revoke":     func() error { _, err := h.registry.Revoke(t.Context(), operator(), g.Credential.ID, ""); return err },
		"Credential": func() error { _, err := h.registry.Credential(t.Context(), operator(), g.Credential.ID); return err },
		"Credentials": func() error {
			_, err := h.registry.Credentials(t.Context(), operator(), CredentialFilter{})
			return err
		},
		"CreateToken": func() error {
			_, err := h.registry.CreateToken(t.Context(), operator(), NewToken{Name: "t", Roles: []RoleName{RoleTenantAdmin}, Tenant: "default"})
			return err
		},
		"RevokeToken": func() error { _, err := h.registry.RevokeToken(t.Context(), operator(), token.Token.ID); return err },
		"Tokens":      func() error { _, err := h.registry.Tokens(t.Context(), operator(), TokenFilter{}); return err },
		"TokenActor":  func() error { _, err := h.registry.TokenActor(t.Context(), token.Secret.Reveal()); return err },
		"Declare":     func() error { return h.registry.Declare(t.Context(), []Declared{{Name: "x", Hash: [32]byte{1}}}) },
		"Open":        func() error { _, err := OpenRegistry(t.Context(), h.options()); return err },
	}
	odd := errors.New("disk on fire")
	for cause, want := range map[error]RefusalCode{ErrStoreUnavailable: StoreUnavailableHere, ErrStorageFull: StorageFullHere, odd: ""} {
		for name, call := range calls {
			h.store.breakWith(fmt.Errorf("open file: %w", cause))
			err := call()
			h.store.breakWith(nil)
			if !errors.Is(err, cause) {
				t.Errorf("%s: got %v, want the cause %v in it for the operator", name, err, cause)
			}
			var r *Refusal
			if errors.As(err, &r) != (want != "") || want != "" && r.Code != want {
				t.Errorf("%s: got %v, want refusal %q", name, err, want)
			}
		}
	}
}

func TestAuditTellsEachChangeInItsTransaction(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	a := member("acme", RoleDeveloper, RoleTenantAdmin)
	a.RequestID, a.Address = "req-1", netip.MustParseAddr("::ffff:192.0.2.9")
	g, err := h.registry.Generate(t.Context(), a, NewCredential{Name: "ci", APIs: []APIName{"orders"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.registry.Revoke(t.Context(), a, g.Credential.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	_, err = h.registry.Revoke(t.Context(), a, g.Credential.ID, "again")
	refused(t, err, InvalidState)
	token, err := h.registry.CreateToken(t.Context(), a, NewToken{Name: "bot", Roles: []RoleName{RoleViewer, RoleAuditor}})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := h.store.AuditEntries(t.Context(), "acme", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var last AuditEntry
	var told []string
	for _, e := range entries {
		if !h.vault.AuditIntact(last, &e) {
			t.Errorf("entry %d is broken", e.Seq)
		}
		if e.Actor != a.ActorRef || e.Request != "req-1" || e.Address != "192.0.2.9" {
			t.Errorf("entry %+v", e)
		}
		if all := fmt.Sprint(e); strings.Contains(all, g.Secret.Reveal()) || strings.Contains(all, token.Secret.Reveal()) {
			t.Error("a secret is in the audit log")
		}
		told, last = append(told, e.Action+" "+e.Target+" "+e.Detail["reason"]), e
	}
	want := []string{
		"key.generated " + string(g.Credential.ID) + " ", "key.revoked " + string(g.Credential.ID) + " leaked",
		"token.created " + string(token.Token.ID) + " ",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}
