package keys

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func declared(name, text string) Declared {
	return Declared{Name: name, Hash: sha256.Sum256([]byte(text)), Where: "gateway.yaml:7"}
}

// declaredHouse accepts any text, so that tests can use short ones.
func declaredHouse(t *testing.T) *house {
	h := newHouse(t)
	h.dir.SetAcceptImported(true)
	return h
}

func (h *house) declare(ds ...Declared) {
	h.t.Helper()
	if err := h.registry.Declare(h.t.Context(), ds); err != nil {
		h.t.Fatal(err)
	}
}

// told lists the audit actions of a chain.
func (h *house) told(chain string) []string {
	var list []string
	var last AuditEntry
	for _, e := range h.store.audit[chain] {
		if !h.vault.AuditIntact(last, &e) || e.Actor.Type != ActorFile {
			h.t.Errorf("entry %+v", e)
		}
		list, last = append(list, e.Action), e
	}
	return list
}

// The ids are written into other people's dashboards and logs.
func TestDeclaredIDIsFixed(t *testing.T) {
	for _, c := range []struct {
		kind   Kind
		tenant TenantID
		name   string
		want   CredentialID
	}{
		{APIKey, "default", "ci", "key_GZYEn1jDxkdI"},
		{Client, "default", "ci", "app_GZYEn1jDxkdI"},
		{APIKey, "acme", "ci", "key_DtKI0xyLzffq"},
	} {
		if got := DeclaredID(c.kind, c.tenant, c.name); got != c.want {
			t.Errorf("DeclaredID(%s, %s, %s) = %s, want %s", c.kind, c.tenant, c.name, got, c.want)
		}
	}
}

func TestDeclareAddsChangesAndEnds(t *testing.T) {
	h := declaredHouse(t)
	a, b := declared("a", "text a"), declared("b", "text b")
	a.APIs, b.Plan, b.ExpiresAt = []APIName{"orders"}, "partner", h.clock.Now().Add(time.Hour)
	h.declare(a, b)
	if h.code("text a", "") != Admitted || h.code("text b", "") != Admitted {
		t.Fatalf("declared keys get %q, %q", h.code("text a", ""), h.code("text b", ""))
	}
	id := DeclaredID(APIKey, DefaultTenant, "a")
	c, err := h.registry.Credential(t.Context(), operator(), id)
	if err != nil || c.ManagedBy != "gateway.yaml:7" || c.Plan != "standard" || c.Owner.Type != OwnerTenant || c.Version != 1 {
		t.Errorf("stored %+v, %v", c, err)
	}

	seq := h.store.newest()
	h.declare(b, a)
	if h.store.newest() != seq {
		t.Error("the same list wrote something")
	}

	a.Scopes, a.Where = []Scope{"bills.read"}, "gateway.yaml:9"
	h.declare(a)
	if p, code := h.dir.Authenticate(Presented{Text: "text a"}, h.clock.Now()); code != Admitted || !p.Rights().Has("bills.read") {
		t.Errorf("the changed key gets %q", code)
	}
	if got := h.code("text b", ""); got != InvalidCredentials {
		t.Errorf("the key that left the file gets %q", got)
	}
	if _, err := h.registry.Credential(t.Context(), operator(), DeclaredID(APIKey, DefaultTenant, "b")); err == nil {
		t.Error("the key that left the file is still shown")
	}

	a.Where = "gateway.yaml:3"
	h.declare(a) // only the line moved
	if c, _ := h.registry.Credential(t.Context(), operator(), id); c.ManagedBy != "gateway.yaml:3" {
		t.Errorf("the place is %s", c.ManagedBy)
	}

	h.declare(a, b)
	if got := h.code("text b", ""); got != Admitted {
		t.Errorf("the key that came back gets %q", got)
	}
	want := []string{"key.declared", "key.declared", "key.undeclared", "key.redeclared", "key.declared"}
	if diff := cmp.Diff(want, h.told("default")); diff != "" {
		t.Error(diff)
	}
}

func TestDeclareMovesADigest(t *testing.T) {
	h := declaredHouse(t)
	h.declare(declared("old", "text"), declared("z", "other"))
	h.declare(declared("new", "text"), declared("z", "third"))
	p, code := h.dir.Authenticate(Presented{Text: "text"}, h.clock.Now())
	if code != Admitted || p.ID != DeclaredID(APIKey, DefaultTenant, "new") {
		t.Errorf("the renamed key gets %q", code)
	}
	// A new name takes the digest that an old name gives up in the same file.
	h.declare(declared("a", "third"), declared("new", "text"), declared("z", "fourth"))
	for text, want := range map[string]Code{"text": Admitted, "third": Admitted, "fourth": Admitted, "other": InvalidCredentials} {
		if got := h.code(text, ""); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestDeclareLeavesDenialInForce(t *testing.T) {
	h := declaredHouse(t)
	d, s := declared("d", "text"), declared("s", "suspended")
	h.declare(d, s)
	id := DeclaredID(APIKey, DefaultTenant, "d")
	if _, err := h.registry.Revoke(t.Context(), operator(), id, "leaked"); err != nil {
		t.Fatalf("a declared key cannot be revoked: %v", err)
	}
	h.change(DeclaredID(APIKey, DefaultTenant, "s"), func(c *Credential) { c.Status = Suspended })
	check := func(when string) {
		t.Helper()
		if got := h.code("text", ""); got != CredentialRevoked {
			t.Errorf("%s: the revoked key gets %q", when, got)
		}
		if got := h.code("suspended", ""); got != CredentialSuspended {
			t.Errorf("%s: the suspended key gets %q", when, got)
		}
	}
	seq := h.store.newest()
	h.declare(d, s)
	if h.store.newest() != seq {
		t.Error("declaring the same again wrote something")
	}
	check("declared again")
	d.Plan, s.Plan = "partner", "partner"
	h.declare(d, s)
	check("declared with another plan")
	h.declare()
	h.declare(d, s)
	check("taken out and put back")
}

func TestDeclareMakesTenants(t *testing.T) {
	h := declaredHouse(t)
	d := declared("d", "text")
	d.Tenant, d.Kind = "acme", Client
	h.declare(d)
	id := string(DeclaredID(Client, "acme", "d"))
	if got := h.code("text", id); got != Admitted {
		t.Errorf("got %q", got)
	}
	if entries := h.store.audit[ProviderChain]; entries[len(entries)-1].Target != "acme" {
		t.Errorf("audit %+v", entries)
	}
}

func TestDeclareGivesNoForgedRowAValidMAC(t *testing.T) {
	h := declaredHouse(t)
	d := declared("d", "text")
	h.declare(d)
	id := DeclaredID(APIKey, DefaultTenant, "d")
	if _, err := h.registry.Revoke(t.Context(), operator(), id, "leaked"); err != nil {
		t.Fatal(err)
	}
	h.store.forge(id, func(c *Credential) { c.Status = Active })
	h.wait(h.store.newest())
	refused := func(when string) {
		t.Helper()
		h.wait(h.store.newest())
		if got := h.code("text", ""); got == Admitted {
			t.Errorf("%s: the revoked key is admitted", when)
		}
	}
	h.declare(d)
	refused("declared again")
	d.Plan = "partner"
	h.declare(d)
	refused("declared with another plan")
	h.declare()
	refused("taken out")
	h.declare(d)
	refused("put back")
}

func TestDeclareRepairsAForgedSecret(t *testing.T) {
	h := declaredHouse(t)
	d := declared("d", "text")
	h.declare(d)
	h.store.forge(DeclaredID(APIKey, DefaultTenant, "d"), func(c *Credential) {
		c.Version++
		c.Secrets[0].Digest = h.vault.Digest("attacker")
		h.vault.SealCredential(c) // as if an old valid row of that version had been there
	})
	h.wait(h.store.newest())
	if h.code("attacker", "") != InvalidCredentials || h.code("text", "") != InvalidCredentials {
		t.Errorf("with a forged secret: %q, %q", h.code("attacker", ""), h.code("text", ""))
	}
	h.declare(d)
	if h.code("attacker", "") != InvalidCredentials || h.code("text", "") != Admitted {
		t.Errorf("declared again: %q, %q", h.code("attacker", ""), h.code("text", ""))
	}
}

func TestDeclareMovesToANewPepper(t *testing.T) {
	store := newFakeStore()
	open := func(pepper string) *Registry {
		r, err := OpenRegistry(t.Context(), RegistryOptions{Store: store, Vault: vaultOf(t, pepper), Format: testFormat(t), Catalog: testCatalog()})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Declare(t.Context(), []Declared{declared("d", "text")}); err != nil {
			t.Fatal(err)
		}
		return r
	}
	open("1:" + samplePepper)
	open("1:" + samplePepper + "\n2:" + strings.Repeat("QUJD", 10) + "QUI=")
	c, err := store.Credential(t.Context(), DeclaredID(APIKey, DefaultTenant, "d"), false)
	if err != nil || c.Secrets[0].Pepper != 2 || c.Version != 2 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestDeclareRefuses(t *testing.T) {
	h := declaredHouse(t)
	managed := h.generate(NewCredential{})
	h.declare(declared("stays", "stays"))
	at := func(d Declared, where string) Declared { d.Where = where; return d }
	for _, c := range []struct {
		name string
		ds   []Declared
		says []string
	}{
		{"one hash twice", []Declared{at(declared("a", "x"), "f:1"), at(declared("b", "x"), "f:2")}, []string{"f:2", `"b"`, "f:1"}},
		{"one name twice", []Declared{at(declared("a", "x"), "f:1"), at(declared("a", "y"), "f:2")}, []string{"f:2", "f:1"}},
		{"no hash, no name", []Declared{{Name: "a", Where: "f:1"}, at(declared("", "y"), "f:2")}, []string{"f:1", "no hash", "f:2", "no name"}},
		{"odd kind", []Declared{{Name: "a", Kind: "x", Hash: [32]byte{1}, Where: "f:1"}}, []string{"f:1", "api_key or client"}},
		{"the provider's chain", []Declared{{Name: "a", Tenant: "provider", Hash: [32]byte{1}, Where: "f:1"}}, []string{"f:1", "provider"}},
		{"the hash of a generated key", []Declared{at(declared("a", managed.Secret.Reveal()), "f:1")}, []string{"f:1", "another key has this hash"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := h.registry.Declare(t.Context(), append(c.ds, declared("stays", "stays")))
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("error %v lacks %q", err, says)
				}
			}
			if got := h.code("stays", ""); got != Admitted {
				t.Errorf("the keys that were there get %q", got)
			}
		})
	}
}

func TestRevokedDeclaredKeyNamesItsPlace(t *testing.T) {
	h := declaredHouse(t)
	h.declare(declared("d", "text"))
	c, err := h.registry.Revoke(t.Context(), operator(), DeclaredID(APIKey, DefaultTenant, "d"), "")
	if err != nil || c.ManagedBy != "gateway.yaml:7" {
		t.Errorf("got %+v, %v", c, err)
	}
}
