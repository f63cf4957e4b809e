package keys

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// forgeToken writes a token's row as somebody with access to the database would.
func (s *fakeStore) forgeToken(id TokenID, fn func(*Token)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.tokens[id]
	fn(&k)
	s.tokens[id] = k
}

func TestAlteredRowsAreNotShown(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	var logged bytes.Buffer
	o := h.options()
	o.Log = slog.New(slog.NewTextHandler(&logged, nil))
	o.Directory = nil // its directory has not read the rows yet
	offline, err := OpenRegistry(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	good, planned, moved, secret := h.generate(NewCredential{}), h.generate(NewCredential{}), h.generate(NewCredential{}), h.generate(NewCredential{})
	token := func() Token {
		g, err := h.registry.CreateToken(t.Context(), operator(), NewToken{Name: "bot", Roles: []RoleName{RoleViewer}})
		if err != nil {
			t.Fatal(err)
		}
		return g.Token
	}
	viewer, promoted := token(), token()
	h.store.forge(planned.Credential.ID, func(c *Credential) { c.Plan = "partner" })
	h.store.forge(moved.Credential.ID, func(c *Credential) { c.Tenant = "acme" })
	h.store.forge(secret.Credential.ID, func(c *Credential) { c.Secrets[0].ExpiresAt = time.Unix(1<<33, 0) })
	h.store.forgeToken(promoted.ID, func(k *Token) { k.Roles = []RoleName{RoleOperator} })
	h.wait(h.store.newest())

	for name, r := range map[string]*Registry{"beside a directory": h.registry, "offline": offline} {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				shown := map[CredentialID]int{}
				page, err := r.Credentials(t.Context(), operator(), CredentialFilter{})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range page.Items {
					shown[c.ID] = len(c.Secrets)
				}
				if diff := cmp.Diff(map[CredentialID]int{good.Credential.ID: 1, secret.Credential.ID: 0}, shown); diff != "" {
					t.Errorf("listed keys and their secrets: %s", diff)
				}
				tokens, err := r.Tokens(t.Context(), operator(), TokenFilter{})
				if err != nil || len(tokens.Items) != 1 || tokens.Items[0].ID != viewer.ID {
					t.Errorf("listed tokens: %+v, %v", tokens.Items, err)
				}
				for _, id := range []CredentialID{planned.Credential.ID, moved.Credential.ID} {
					_, err := r.Credential(t.Context(), operator(), id)
					refused(t, err, NotFoundHere)
				}
				if c, err := r.Credential(t.Context(), operator(), good.Credential.ID); err != nil || len(c.Secrets) != 1 {
					t.Errorf("the good one: %+v, %v", c, err)
				}
			}
		})
	}
	for _, id := range []string{string(planned.Credential.ID), string(moved.Credential.ID), string(secret.Credential.ID), string(promoted.ID)} {
		if n := strings.Count(logged.String(), id); n != 1 {
			t.Errorf("%s is told %d times, want once:\n%s", id, n, logged.String())
		}
	}
	if got := h.dir.Stats(h.clock.Now()).Forged; got != 4 {
		t.Errorf("forged: got %d, want 4", got)
	}
}
