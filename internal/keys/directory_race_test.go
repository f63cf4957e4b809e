package keys

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRaceRevokedStaysRevoked revokes keys while the directory is loaded again and again, old
// versions arrive late from everywhere, the catalog changes and callers come. Once Revoke has
// returned, no caller may get in.
func TestRaceRevokedStaysRevoked(t *testing.T) {
	const count = 100
	h := newHouse(t)
	var made []Generated
	for i := range count {
		made = append(made, h.generate(NewCredential{Name: fmt.Sprint(i), APIs: []APIName{"orders"}}))
	}
	var revoked [count]atomic.Bool
	stop := make(chan struct{})
	var background sync.WaitGroup
	loop := func(fn func(r *rand.Rand)) {
		background.Go(func() {
			r := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-stop:
					return
				default:
					fn(r)
				}
			}
		})
	}
	loop(func(*rand.Rand) {
		if err := h.dir.Load(t.Context()); err != nil {
			t.Error(err)
		}
	})
	loop(func(r *rand.Rand) {
		late := copyCredential(made[r.IntN(count)].Credential)
		h.dir.apply(&late)
	})
	loop(func(*rand.Rand) {
		h.dir.SetCatalog(testCatalog())
		h.dir.Stats(h.clock.Now())
	})
	for range 2 {
		loop(func(r *rand.Rand) {
			i := r.IntN(count)
			over := revoked[i].Load()
			p, code := h.dir.Authenticate(Presented{Text: made[i].Secret.Reveal()}, h.clock.Now())
			switch {
			case p == nil || p.ID != made[i].Credential.ID:
				t.Errorf("key %d: principal %v, code %q", i, p, code)
			case code == Admitted && over:
				t.Errorf("key %d is admitted after it was revoked", i)
			case code != Admitted && code != CredentialRevoked:
				t.Errorf("key %d: %q", i, code)
			case !p.Rights().Has("orders.read"):
				t.Errorf("key %d lost its rights", i)
			}
		})
	}
	for i := range made {
		if _, err := h.registry.Revoke(t.Context(), operator(), made[i].Credential.ID, ""); err != nil {
			t.Fatal(err)
		}
		revoked[i].Store(true)
	}
	close(stop)
	background.Wait()
	for i := range made {
		if code := h.code(made[i].Secret.Reveal(), ""); code != CredentialRevoked {
			t.Errorf("key %d in the end: %q", i, code)
		}
	}
}

// TestConcurrentGenerateKeepsTheCap lets many ask for the last places at once.
func TestConcurrentGenerateKeepsTheCap(t *testing.T) {
	const most = 5
	h := newHouse(t, func(c *Catalog) { c.Policy.MaxKeysPerTenant = most })
	var made, full atomic.Int32
	var group sync.WaitGroup
	for i := range 4 * most {
		group.Go(func() {
			g, err := h.registry.Generate(t.Context(), operator(), NewCredential{Name: fmt.Sprint(i)})
			if err != nil {
				refused(t, err, MaxKeysReached)
				full.Add(1)
				return
			}
			made.Add(1)
			if code := h.code(g.Secret.Reveal(), ""); code != Admitted {
				t.Errorf("a key does not work when Generate returns: %q", code)
			}
		})
	}
	group.Wait()
	if made.Load() != most || full.Load() != 3*most {
		t.Errorf("%d made, %d refused; want %d and %d", made.Load(), full.Load(), most, 3*most)
	}
}

// TestConcurrentRenameNeverLosesAKey declares one secret under two names in turn; its caller must
// not notice, with and without a store.
func TestConcurrentRenameNeverLosesAKey(t *testing.T) {
	h := declaredHouse(t)
	alone := NewDirectory(DirectoryOptions{Format: h.format, Catalog: h.catalog, AcceptImported: true})
	for name, c := range map[string]struct {
		d       *Directory
		declare func([]Declared) error
	}{
		"with a store": {h.dir, func(ds []Declared) error { return h.registry.Declare(t.Context(), ds) }},
		"without":      {alone, alone.LoadDeclared},
	} {
		t.Run(name, func(t *testing.T) {
			rename := func(i int) {
				if err := c.declare([]Declared{declared(fmt.Sprint("name ", i%2), "text")}); err != nil {
					t.Fatal(err)
				}
			}
			rename(0)
			stop := make(chan struct{})
			var callers sync.WaitGroup
			callers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, code := c.d.Authenticate(Presented{Text: "text"}, h.clock.Now()); code != Admitted {
						t.Errorf("got %q in between", code)
						return
					}
				}
			})
			for i := range 200 {
				rename(i + 1)
			}
			close(stop)
			callers.Wait()
		})
	}
}

// TestConcurrentVault uses one vault from many goroutines: pooled states must not mix.
func TestConcurrentVault(t *testing.T) {
	v := testVault(t)
	var group sync.WaitGroup
	deadline := time.Now().Add(200 * time.Millisecond)
	for i := range 4 {
		group.Go(func() {
			text := fmt.Sprint("text ", i)
			want := v.Digest(text)
			c := Credential{ID: CredentialID(text)}
			v.SealCredential(&c)
			for time.Now().Before(deadline) {
				if v.Digest(text) != want || !v.CredentialIntact(&c) {
					t.Error("another goroutine's state was used")
					return
				}
			}
		})
	}
	group.Wait()
}
