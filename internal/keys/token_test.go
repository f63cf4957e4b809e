package keys

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCreateTokenGivesNobodyMoreThanHeHas(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	admin := member("acme", RoleTenantAdmin)
	for _, c := range []struct {
		name  string
		actor Actor
		in    NewToken
		want  RefusalCode
		field string
	}{
		{"operator gives operator", operator(), NewToken{Roles: []RoleName{RoleOperator}}, "", ""},
		{"operator gives support", operator(), NewToken{Roles: []RoleName{RoleSupport}}, "", ""},
		{"operator gives a tenant developer", operator(), NewToken{Tenant: "acme", Roles: []RoleName{RoleDeveloper}}, "", ""},
		{"operator gives every tenant role", operator(), NewToken{Tenant: "acme", Roles: []RoleName{RoleTenantAdmin, RoleDeveloper, RoleAuditor, RoleViewer}}, "", ""},
		{"local gives operator", LocalActor("cli"), NewToken{Roles: []RoleName{RoleOperator}}, "", ""},
		{"administrator gives his own role", admin, NewToken{Roles: []RoleName{RoleTenantAdmin}}, "", ""},
		{"administrator gives auditor", admin, NewToken{Tenant: "acme", Roles: []RoleName{RoleAuditor}}, "", ""},
		{"administrator gives developer", admin, NewToken{Roles: []RoleName{RoleDeveloper}}, PermissionDenied, ""},
		{"administrator and developer gives developer", member("acme", RoleTenantAdmin, RoleDeveloper), NewToken{Roles: []RoleName{RoleDeveloper}}, "", ""},
		{"administrator gives operator", admin, NewToken{Roles: []RoleName{RoleOperator}}, ValidationFailed, "roles[0]"},
		{"administrator in another tenant", admin, NewToken{Tenant: "default", Roles: []RoleName{RoleAuditor}}, PermissionDenied, ""},
		{"developer", member("acme", RoleDeveloper), NewToken{Roles: []RoleName{RoleViewer}}, PermissionDenied, ""},
		{"support", Actor{Permissions: mustRole(RoleSupport)}, NewToken{Roles: []RoleName{RoleSupport}}, PermissionDenied, ""},
		{"operator role within a tenant", operator(), NewToken{Tenant: "acme", Roles: []RoleName{RoleOperator}}, ValidationFailed, "roles[0]"},
		{"no role", operator(), NewToken{}, ValidationFailed, "roles"},
		{"unknown role", operator(), NewToken{Roles: []RoleName{RoleViewer, "oprator"}}, ValidationFailed, "roles[1]"},
		{"unknown tenant", operator(), NewToken{Tenant: "nowhere", Roles: []RoleName{RoleViewer}}, ValidationFailed, "tenant"},
		{"end in the past", operator(), NewToken{Roles: []RoleName{RoleViewer}, Expiry: &Lifetime{Until: time.Unix(0, 0)}}, ValidationFailed, "expires_at"},
		{"no name", operator(), NewToken{Name: " ", Roles: []RoleName{RoleViewer}}, ValidationFailed, "name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.in.Name == "" {
				c.in.Name = "bot"
			}
			g, err := h.registry.CreateToken(t.Context(), c.actor, c.in)
			if c.want != "" {
				r := refused(t, err, c.want)
				if c.field != "" && (len(r.Fields) != 1 || r.Fields[0].Field != c.field) {
					t.Errorf("fields %+v, want %s", r.Fields, c.field)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			a, err := h.registry.TokenActor(t.Context(), g.Secret.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			if !c.actor.Permissions.Covers(a.Permissions) || a.Tenant != g.Token.Tenant || !c.actor.actsIn(a.Tenant) {
				t.Errorf("the token may %v in %q", a.Permissions, a.Tenant)
			}
			if a.Permissions.HasAny(KeysReveal, KeysRevealTenant) {
				t.Error("a token may reveal secrets")
			}
		})
	}
}

func TestTokenActor(t *testing.T) {
	h := newHouse(t)
	create := func(expiry *Lifetime) GeneratedToken {
		t.Helper()
		g, err := h.registry.CreateToken(t.Context(), operator(), NewToken{Name: "bot", Roles: []RoleName{RoleAuditor}, Tenant: "default", Expiry: expiry})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := create(&Lifetime{For: time.Hour})
	a, err := h.registry.TokenActor(t.Context(), g.Secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Actor{ActorRef: ActorRef{ActorToken, string(g.Token.ID), "bot"}, Tenant: "default", Permissions: mustRole(RoleAuditor)}, a,
		cmp.Comparer(func(a, b interface{ IsValid() bool }) bool { return a.IsValid() == b.IsValid() })); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(g.Secret.Reveal(), g.Token.Preview) || "tok_"+h.format.Parse(g.Secret.Reveal()).ID != string(g.Token.ID) {
		t.Errorf("token %s with preview %s", g.Token.ID, g.Token.Preview)
	}

	revoked, forged, promoted, later := create(nil), create(nil), create(nil), create(nil)
	if _, err := h.registry.RevokeToken(t.Context(), operator(), revoked.Token.ID); err != nil {
		t.Fatal(err)
	}
	edit := func(id TokenID, fn func(*Token)) {
		h.store.mu.Lock()
		defer h.store.mu.Unlock()
		k := h.store.tokens[id]
		fn(&k)
		h.store.tokens[id] = k
	}
	edit(forged.Token.ID, func(k *Token) { k.ExpiresAt = time.Unix(1<<33, 0) })
	edit(promoted.Token.ID, func(k *Token) { k.Tenant, k.Roles = "", []RoleName{RoleOperator} })
	edit(revoked.Token.ID, func(k *Token) { k.RevokedAt = time.Time{} })
	_, unknownToken, _ := h.format.NewToken(nil)
	key := h.generate(NewCredential{})
	h.clock.advance(time.Hour)

	var first *Refusal
	reads := h.store.readsSoFar()
	for _, c := range []struct {
		name, text string
		reads      int
	}{
		{"empty", "", 0}, {"garbage", "Bearer x", 0}, {"an API key", key.Secret.Reveal(), 0}, {"a typing error", later.Secret.Reveal() + "0", 0},
		{"unknown", unknownToken.Reveal(), 1}, {"expired", g.Secret.Reveal(), 1}, {"revoked, then touched", revoked.Secret.Reveal(), 1},
		{"later end forged", forged.Secret.Reveal(), 1}, {"operator forged", promoted.Secret.Reveal(), 1},
	} {
		_, err := h.registry.TokenActor(t.Context(), c.text)
		r := refused(t, err, SignInRequired)
		if first == nil {
			first = r
		}
		if diff := cmp.Diff(first, r); diff != "" {
			t.Errorf("%s: the answer differs:\n%s", c.name, diff)
		}
		if got := h.store.readsSoFar() - reads; got != c.reads {
			t.Errorf("%s: %d reads of the store, want %d", c.name, got, c.reads)
		}
		reads = h.store.readsSoFar()
	}
	if _, err := h.registry.TokenActor(t.Context(), later.Secret.Reveal()); err != nil {
		t.Errorf("a good token: %v", err)
	}
}

func TestTokenOfATenantNeverGetsAProvidersRole(t *testing.T) {
	h := newHouse(t)
	a, err := h.registry.tokenActor(t.Context(), &Token{Tenant: "acme", Roles: []RoleName{RoleOperator, RoleViewer, "gone"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(permissions([]Permission{KeysRead}), a.Permissions); diff != "" {
		t.Error(diff)
	}
}

func TestRevokeToken(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	create := func(tenant TenantID, role RoleName) GeneratedToken {
		t.Helper()
		g, err := h.registry.CreateToken(t.Context(), operator(), NewToken{Name: "bot", Roles: []RoleName{role}, Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	admin := member("acme", RoleTenantAdmin)
	for _, c := range []struct {
		name  string
		actor Actor
		token GeneratedToken
		want  RefusalCode
	}{
		{"operator", operator(), create("acme", RoleViewer), ""},
		{"operator, provider's", operator(), create("", RoleOperator), ""},
		{"administrator", admin, create("acme", RoleViewer), ""},
		{"administrator, other tenant's", admin, create("default", RoleViewer), NotFoundHere},
		{"administrator, provider's", admin, create("", RoleSupport), NotFoundHere},
		{"developer", member("acme", RoleDeveloper), create("acme", RoleViewer), PermissionDenied},
		{"unknown", operator(), GeneratedToken{Token: Token{ID: "tok_x"}}, NotFoundHere},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := h.registry.RevokeToken(t.Context(), c.actor, c.token.Token.ID)
			if c.want != "" {
				refused(t, err, c.want)
				return
			}
			if err != nil || !k.RevokedAt.Equal(h.clock.Now()) || k.Version != 2 {
				t.Fatalf("got %+v, %v", k, err)
			}
			_, err = h.registry.TokenActor(t.Context(), c.token.Secret.Reveal())
			refused(t, err, SignInRequired)
			_, err = h.registry.RevokeToken(t.Context(), c.actor, c.token.Token.ID)
			refused(t, err, InvalidState)
		})
	}
	forged := create("acme", RoleViewer)
	h.store.mu.Lock()
	k := h.store.tokens[forged.Token.ID]
	k.Roles = []RoleName{RoleTenantAdmin}
	h.store.tokens[k.ID] = k
	h.store.mu.Unlock()
	_, err := h.registry.RevokeToken(t.Context(), operator(), k.ID)
	refused(t, err, InvalidState)
}

func TestTokensAreListedByTenant(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	for _, tenant := range []TenantID{"", "default", "acme", "acme"} {
		if _, err := h.registry.CreateToken(t.Context(), operator(), NewToken{Name: "bot", Roles: []RoleName{RoleViewer}, Tenant: tenant}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		actor Actor
		f     TokenFilter
		want  int
	}{
		{"operator", operator(), TokenFilter{}, 4},
		{"operator in a tenant", operator(), TokenFilter{Tenant: "acme"}, 2},
		{"administrator", member("acme", RoleTenantAdmin), TokenFilter{}, 2},
		{"administrator elsewhere", member("acme", RoleTenantAdmin), TokenFilter{Tenant: "default"}, 0},
	} {
		page, err := h.registry.Tokens(t.Context(), c.actor, c.f)
		if err != nil || len(page.Items) != c.want {
			t.Errorf("%s: %d tokens, error %v; want %d", c.name, len(page.Items), err, c.want)
		}
	}
	_, err := h.registry.Tokens(t.Context(), member("acme", RoleDeveloper), TokenFilter{})
	refused(t, err, PermissionDenied)
	_, err = h.registry.Tokens(t.Context(), operator(), TokenFilter{Limit: 1001})
	refused(t, err, ValidationFailed)
}

func TestOpenRegistry(t *testing.T) {
	h := newHouse(t)
	if tenant, err := h.store.Tenant(t.Context(), DefaultTenant); err != nil || tenant.Version != 1 {
		t.Errorf("default tenant %+v, %v", tenant, err)
	}
	updates, seq := h.store.updates, h.store.newest()
	if _, err := OpenRegistry(t.Context(), h.options()); err != nil {
		t.Fatal(err)
	}
	if h.store.updates != updates || h.store.newest() != seq {
		t.Error("opening again wrote something")
	}
	o := h.options()
	o.Vault = testVault(t)
	_, err := OpenRegistry(t.Context(), o)
	if !errors.Is(err, ErrForeignPepper) || !strings.Contains(err.Error(), "secrets.pepper") {
		t.Errorf("with another pepper: %v", err)
	}
	if entries, _ := h.store.AuditEntries(t.Context(), ProviderChain, 0, 10); len(entries) != 1 || entries[0].Action != "tenant.created" || entries[0].Actor.Type != ActorSystem {
		t.Errorf("audit %+v", entries)
	}
}
