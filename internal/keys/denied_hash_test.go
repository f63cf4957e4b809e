package keys

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"
)

// refusesHash declares and checks that it is refused with an error that says all of this.
func (h *house) refusesHash(r *Registry, ds []Declared, says ...string) {
	h.t.Helper()
	err := r.Declare(h.t.Context(), ds)
	if !errors.Is(err, ErrDuplicate) {
		h.t.Fatalf("got error %v, want ErrDuplicate", err)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			h.t.Errorf("error %q lacks %q", err, part)
		}
	}
}

func TestDeniedSecretStaysRefusedUnderAnotherName(t *testing.T) {
	ci, ci2 := declared("ci", "text"), declared("ci2", "text")
	ci2.Where = "gateway.yaml:9"
	for _, c := range []struct {
		name   string
		status Status
		first  []Declared // declared between the denial and the rename
		says   string
	}{
		{"revoked, renamed", Revoked, []Declared{ci}, "revoked"},
		{"revoked, taken out, back under another name", Revoked, nil, "revoked before it left the file"},
		{"suspended, renamed", Suspended, []Declared{ci}, "suspended"},
		{"suspended, taken out, back under another name", Suspended, nil, "suspended before it left the file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := declaredHouse(t)
			h.declare(ci)
			id := DeclaredID(APIKey, DefaultTenant, "ci")
			h.change(id, func(k *Credential) { k.Status = c.status })
			h.declare(c.first...)
			h.refusesHash(h.registry, []Declared{ci2}, "gateway.yaml:9", `"ci2"`, `"ci"`, string(id), c.says)
			if got := h.code("text", ""); got == Admitted {
				t.Errorf("the denied secret gets %q", got)
			}
			client := ci
			client.Kind = Client
			h.refusesHash(h.registry, []Declared{client})
			other := ci
			other.Tenant = "acme"
			h.refusesHash(h.registry, []Declared{other})
			// The way out is a new secret.
			fresh := ci2
			fresh.Hash = sha256.Sum256([]byte("new text"))
			h.declare(fresh)
			if h.code("new text", "") != Admitted || h.code("text", "") == Admitted {
				t.Errorf("new secret %q, denied one %q", h.code("new text", ""), h.code("text", ""))
			}
			// Under its own name it is what it was.
			h.declare(fresh, ci)
			if got, _ := h.registry.Credential(t.Context(), operator(), id); got.Status != c.status {
				t.Errorf("back under its own name it is %s", got.Status)
			}
			if got := h.code("text", ""); got != CredentialRevoked && got != CredentialSuspended {
				t.Errorf("back under its own name it gets %q", got)
			}
		})
	}
}

func TestDeniedKeyKeepsItsSecretWhenTheFileGivesAnother(t *testing.T) {
	h := declaredHouse(t)
	ci := declared("ci", "old text")
	h.declare(ci)
	if _, err := h.registry.Revoke(t.Context(), operator(), DeclaredID(APIKey, DefaultTenant, "ci"), "leaked"); err != nil {
		t.Fatal(err)
	}
	ci.Hash = sha256.Sum256([]byte("new text"))
	h.declare(ci)
	seq := h.store.newest()
	h.declare(ci)
	if h.store.newest() != seq {
		t.Error("the same list wrote something")
	}
	h.refusesHash(h.registry, []Declared{ci, declared("ci2", "old text")}, "revoked")
	h.declare(ci2Of(ci))
	if got := h.code("new text", ""); got != Admitted {
		t.Errorf("the new secret under a new name gets %q", got)
	}
	if got := h.code("old text", ""); got == Admitted {
		t.Error("the revoked secret is admitted")
	}
}

func ci2Of(d Declared) Declared { d.Name = "ci2"; return d }

func TestRevokedGeneratedKeyCannotBeDeclared(t *testing.T) {
	h := declaredHouse(t)
	g := h.generate(NewCredential{Name: "made by the API"})
	if _, err := h.registry.Revoke(t.Context(), operator(), g.Credential.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	h.refusesHash(h.registry, []Declared{declared("ci", g.Secret.Reveal())}, "made by the API", string(g.Credential.ID), "revoked")
	if got := h.code(g.Secret.Reveal(), ""); got != CredentialRevoked {
		t.Errorf("it gets %q", got)
	}
}

func TestDeniedSecretStaysRefusedUnderANewPepper(t *testing.T) {
	const first = "1:" + samplePepper
	both := first + "\n2:" + strings.Repeat("QUJD", 10) + "QUI="
	for _, c := range []struct {
		name    string
		revoke  bool
		between bool // taken out under the first pepper
	}{
		{"revoked, renamed", true, false}, {"revoked, taken out, back under another name", true, true}, {"in force, renamed", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &house{t: t, store: newFakeStore()}
			open := func(pepper string) *Registry {
				r, err := OpenRegistry(t.Context(), RegistryOptions{Store: h.store, Vault: vaultOf(t, pepper), Format: testFormat(t), Catalog: testCatalog()})
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			old := open(first)
			if err := old.Declare(t.Context(), []Declared{declared("ci", "text")}); err != nil {
				t.Fatal(err)
			}
			if c.revoke {
				if _, err := old.Revoke(t.Context(), operator(), DeclaredID(APIKey, DefaultTenant, "ci"), ""); err != nil {
					t.Fatal(err)
				}
			}
			if c.between {
				if err := old.Declare(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			renamed := []Declared{declared("ci2", "text")}
			if c.revoke {
				h.refusesHash(open(both), renamed, `"ci"`, "revoked")
			} else if err := open(both).Declare(t.Context(), renamed); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUndeclaredKeyInForceFreesItsHash(t *testing.T) {
	h := declaredHouse(t)
	d := declared("ci", "text")
	d.ExpiresAt = h.clock.Now().Add(time.Hour)
	h.declare(d)
	h.declare()
	h.declare(ci2Of(d))
	if got := h.code("text", ""); got != Admitted {
		t.Errorf("got %q", got)
	}
}
