package keys

import (
	"strings"
	"testing"
	"time"
)

func TestRevokeByState(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		name string
		edit func(*Credential)
		want string // "" when it can be revoked, else the state that the refusal names
	}{
		{"active", func(*Credential) {}, ""},
		{"suspended", func(c *Credential) { c.Status = Suspended }, ""},
		{"active with an end", func(c *Credential) { c.ExpiresAt = h.clock.Now().Add(time.Second) }, ""},
		{"pending", func(c *Credential) { c.Status = Pending }, "pending"},
		{"denied", func(c *Credential) { c.Status = Denied }, "denied"},
		{"revoked", func(c *Credential) { c.Status = Revoked }, "revoked"},
		{"expired", func(c *Credential) { c.ExpiresAt = h.clock.Now() }, "expired"},
		{"suspended and expired", func(c *Credential) { c.Status, c.ExpiresAt = Suspended, h.clock.Now() }, "expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := h.generate(NewCredential{})
			h.change(g.Credential.ID, c.edit)
			revoked, err := h.registry.Revoke(t.Context(), operator(), g.Credential.ID, "leaked")
			if c.want != "" {
				if r := refused(t, err, InvalidState); !strings.Contains(r.Detail, " is "+c.want) {
					t.Errorf("detail %q does not name the state %s", r.Detail, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if revoked.Status != Revoked || !revoked.RevokedAt.Equal(h.clock.Now()) || revoked.Version != 3 || !h.vault.CredentialIntact(&revoked) {
				t.Errorf("got %+v", revoked)
			}
			if got := h.code(g.Secret.Reveal(), ""); got != CredentialRevoked {
				t.Errorf("when Revoke returns the key gets %q", got)
			}
		})
	}
}

func TestRevokeByActor(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	nobody := member("acme")
	for _, c := range []struct {
		name  string
		actor Actor
		owner OwnerType
		want  RefusalCode
	}{
		{"operator", operator(), OwnerTenant, ""},
		{"operator, a person's", operator(), OwnerUser, ""},
		{"local", LocalActor("cli"), OwnerUser, ""},
		{"administrator", member("acme", RoleTenantAdmin), OwnerTenant, ""},
		{"administrator, a person's", member("acme", RoleTenantAdmin), OwnerUser, ""},
		{"developer", member("acme", RoleDeveloper), OwnerTenant, ""},
		{"developer, a person's", member("acme", RoleDeveloper), OwnerUser, NotFoundHere},
		{"viewer", member("acme", RoleViewer), OwnerTenant, PermissionDenied},
		{"auditor", member("acme", RoleAuditor), OwnerUser, PermissionDenied},
		{"nobody", nobody, OwnerTenant, NotFoundHere},
		{"other tenant's administrator", member("default", RoleTenantAdmin), OwnerTenant, NotFoundHere},
		{"support", Actor{Permissions: mustRole(RoleSupport)}, OwnerTenant, PermissionDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := h.generate(NewCredential{Tenant: "acme"})
			if c.owner == OwnerUser {
				h.change(g.Credential.ID, func(c *Credential) { c.Owner = Owner{OwnerUser, "usr_1", "Ann"} })
			}
			_, err := h.registry.Revoke(t.Context(), c.actor, g.Credential.ID, "")
			want := CredentialRevoked
			if c.want != "" {
				refused(t, err, c.want)
				want = Admitted
			} else if err != nil {
				t.Fatal(err)
			}
			if got := h.code(g.Secret.Reveal(), ""); got != want {
				t.Errorf("afterwards the key gets %q, want %q", got, want)
			}
		})
	}
}

func mustRole(name RoleName) PermissionSet {
	r, _ := builtinRole(name)
	return r.Permissions
}

func TestRevokeUnknown(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	h.change(g.Credential.ID, func(c *Credential) { c.DeletedAt, c.Secrets = h.clock.Now(), nil })
	for _, id := range []CredentialID{"", "key_000000000000", g.Credential.ID, CredentialID(strings.Repeat("x", 10_000))} {
		_, err := h.registry.Revoke(t.Context(), operator(), id, "")
		if r := refused(t, err, NotFoundHere); len(r.Detail) > 200 {
			t.Errorf("the answer repeats %d bytes", len(r.Detail))
		}
	}
	_, err := h.registry.Revoke(t.Context(), operator(), "key_000000000000", strings.Repeat("r", 1001))
	refused(t, err, ValidationFailed)
}

func TestRevokeDoesNotMakeAForgedRowValid(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	h.store.forge(g.Credential.ID, func(c *Credential) { c.Scopes = []Scope{"bills.pay"} })
	_, err := h.registry.Revoke(t.Context(), operator(), g.Credential.ID, "")
	refused(t, err, InvalidState)
	stored, _ := h.store.Credential(t.Context(), g.Credential.ID, false)
	if h.vault.CredentialIntact(&stored) {
		t.Error("the forged row has a valid MAC now")
	}
}

func TestRevokedInOneDirectoryIsRevokedInAnother(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	other := NewDirectory(DirectoryOptions{Store: h.store, Vault: h.vault, Format: h.format, Catalog: h.catalog, Now: h.clock.Now})
	if err := other.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.follow(other)
	if _, err := h.registry.Revoke(t.Context(), operator(), g.Credential.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := other.WaitApplied(t.Context(), h.store.newest()); err != nil {
		t.Fatal(err)
	}
	if _, code := other.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now()); code != CredentialRevoked {
		t.Errorf("the other gateway says %q", code)
	}
}
