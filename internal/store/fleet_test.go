package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/internal/keys"
)

// town is a fleet of directories around one database.
type town struct {
	t        *testing.T
	vault    *keys.Vault
	format   keys.Format
	catalog  *keys.Catalog
	maxStale time.Duration
	made     int
}

func newTown(t *testing.T) *town {
	t.Helper()
	pepper, pepperErr := keys.NewPepper(nil)
	vault, vaultErr := keys.OpenVault(pepper, nil)
	format, formatErr := keys.NewFormat("pst")
	if err := errors.Join(pepperErr, vaultErr, formatErr); err != nil {
		t.Fatal(err)
	}
	return &town{t: t, vault: vault, format: format, maxStale: time.Hour, catalog: &keys.Catalog{
		Plans: map[keys.PlanName]*keys.Plan{"standard": {Name: "standard"}},
		Policy: keys.Policy{KeysEnabled: true, DefaultPlan: "standard", MaxKeysPerTenant: keys.Unlimited, MaxKeysPerUser: keys.Unlimited,
			OwnerOf: map[keys.Kind]keys.OwnerType{keys.APIKey: keys.OwnerTenant}},
	}}
}

// gateway is the part of a gateway that knows keys.
type gateway struct {
	*keys.Fleet
	dir      *keys.Directory
	registry *keys.Registry
	stop     func() // as a pause: nothing is followed or reported any more
}

// build makes a gateway that is not registered yet.
func (w *town) build(s keys.Store, id, place string) *gateway {
	w.t.Helper()
	g := &gateway{}
	g.dir = keys.NewDirectory(keys.DirectoryOptions{Store: s, Vault: w.vault, Format: w.format, Catalog: w.catalog, MaxStale: w.maxStale, Shared: true})
	var err error
	if g.registry, err = keys.OpenRegistry(w.t.Context(), keys.RegistryOptions{Store: s, Vault: w.vault, Format: w.format, Catalog: w.catalog, Directory: g.dir}); err != nil {
		w.t.Fatal(err)
	}
	w.made++
	g.Fleet = keys.NewFleet(keys.FleetOptions{Store: registrar(w.t, s), Directory: g.dir,
		Self: keys.Node{ID: keys.NodeID(id), Boot: fmt.Sprintf("boot%04d", w.made), Place: place}})
	return g
}

// start is what the program does at its start.
func (w *town) start(s keys.Store, id string) *gateway {
	w.t.Helper()
	g := w.build(s, id, id)
	if err := errors.Join(g.Register(w.t.Context()), g.dir.Load(w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { g.Run(ctx) })
	group.Go(func() {
		if err := g.dir.Follow(ctx); err != nil {
			w.t.Error(err)
		}
	})
	g.stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
	})
	w.t.Cleanup(g.stop)
	return g
}

func (g *gateway) code(text keys.Secret) keys.Code {
	_, code := g.dir.Authenticate(keys.Presented{Text: text.Reveal()}, time.Now())
	return code
}

// generate makes a key that works everywhere.
func (w *town) generate(by *gateway, all ...*gateway) keys.Generated {
	w.t.Helper()
	made, err := by.registry.Generate(w.t.Context(), keys.LocalActor("test"), keys.NewCredential{Name: "k"})
	if err != nil {
		w.t.Fatal(err)
	}
	until(w.t, "the key works everywhere", func() bool {
		return !slices.ContainsFunc(all, func(g *gateway) bool { return g.code(made.Secret) != keys.Admitted })
	})
	return made
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func testFleet(t *testing.T, open func(*testing.T) keys.Store) {
	t.Run("Confirm", func(t *testing.T) {
		s := open(t)
		confirmRevocations(t, []keys.Store{s, s, s}, 40)
	})
	t.Run("CutOff", func(t *testing.T) { testCutOff(t, open(t)) })
	t.Run("TwoOfOneID", func(t *testing.T) { testTwoOfOneID(t, open(t)) })
	t.Run("Vanished", func(t *testing.T) { testVanished(t, open(t)) })
}

// TestFleetOfProcesses has a handle of its own for each gateway, as processes have.
func TestFleetOfProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	confirmRevocations(t, []keys.Store{openFile(t, path), openFile(t, path), openFile(t, path)}, 5)
}

// confirmRevocations revokes keys at all gateways in turn: once it is confirmed, nobody admits them.
func confirmRevocations(t *testing.T, stores []keys.Store, count int) {
	w := newTown(t)
	var all []*gateway
	for i, s := range stores {
		all = append(all, w.start(s, fmt.Sprint("gw", i)))
	}
	var took []time.Duration
	for i := range count {
		by := all[i%len(all)]
		made := w.generate(by, all...)
		if _, err := by.registry.Revoke(t.Context(), keys.LocalActor("test"), made.Credential.ID, ""); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		c := by.Wait(t.Context(), 10*time.Second)
		took = append(took, time.Since(began))
		if !c.Confirmed || len(c.Nodes) != len(all) {
			t.Fatalf("revocation %d: %+v", i, c)
		}
		for k, g := range all {
			if code := g.code(made.Secret); code != keys.CredentialRevoked {
				t.Errorf("revocation %d: gateway %d says %q after it was confirmed", i, k, code)
			}
		}
		for _, n := range c.Nodes {
			if n.ConfirmedAt.IsZero() || n.LastSeen.IsZero() {
				t.Errorf("revocation %d: %+v", i, n)
			}
		}
	}
	slices.Sort(took)
	t.Logf("confirmed after %s (median), %s (longest)", took[len(took)/2], took[len(took)-1])
	// They name each other.
	for _, g := range all {
		until(t, "all see all", func() bool {
			states, err := g.Nodes(t.Context())
			return err == nil && !slices.ContainsFunc(states, func(n keys.NodeState) bool { return len(n.Sees) != len(all) })
		})
	}
	if states, err := all[0].Nodes(t.Context()); err != nil || len(states) != len(all) || slices.ContainsFunc(states, func(n keys.NodeState) bool { return !n.Counts() || n.OtherConfig || n.Duplicate }) {
		t.Errorf("nodes: %+v, %v", states, err)
	}
}

// testCutOff: a gateway that stands still holds every confirmation up, and one that left does not.
func testCutOff(t *testing.T, s keys.Store) {
	w := newTown(t)
	a, b, c := w.start(s, "a"), w.start(s, "b"), w.start(s, "c")
	first, second := w.generate(a, a, b, c), w.generate(a, a, b, c)
	b.stop()
	revoke := func(k keys.Generated) keys.Confirmation {
		t.Helper()
		if _, err := a.registry.Revoke(t.Context(), keys.LocalActor("test"), k.Credential.ID, ""); err != nil {
			t.Fatal(err)
		}
		until(t, "c knows", func() bool { return c.code(k.Secret) == keys.CredentialRevoked })
		return a.Wait(t.Context(), 300*time.Millisecond)
	}
	got := revoke(first)
	if got.Confirmed || len(got.Nodes) != 3 || got.Nodes[0].ConfirmedAt.IsZero() || !got.Nodes[1].ConfirmedAt.IsZero() {
		t.Errorf("with one that stands still: %+v", got)
	}
	if code := b.code(first.Secret); code != keys.Admitted {
		t.Fatalf("the test is void: it does not admit the key, %q", code)
	}
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := b.code(first.Secret); code != keys.DirectoryUnavailable {
		t.Errorf("after it left: %q", code)
	}
	if got := revoke(second); !got.Confirmed || len(got.Nodes) != 2 {
		t.Errorf("after it left: %+v", got)
	}
}

func testTwoOfOneID(t *testing.T, s keys.Store) {
	w := newTown(t)
	a := w.start(s, "a")
	other := w.build(s, "a", "elsewhere")
	if err := other.Register(t.Context()); !errors.Is(err, keys.ErrNodeTaken) {
		t.Errorf("another of the same id: got %v", err)
	}
	if states, err := a.Nodes(t.Context()); err != nil || len(states) != 1 {
		t.Errorf("it left %+v, %v", states, err)
	}
	// Two that start at once: one stays.
	left, right := w.build(s, "b", "left"), w.build(s, "b", "right")
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 2)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	for _, g := range []*gateway{left, right} {
		group.Go(func() {
			err := g.Register(ctx)
			if results <- err; err == nil {
				g.Run(ctx)
			}
		})
	}
	errs := []error{<-results, <-results}
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), keys.ErrNodeTaken) {
		t.Errorf("two at once: got %v and %v", errs[0], errs[1])
	}
	// Its successor in the same place need not wait: the process before it is over.
	a.stop()
	again := w.build(s, "a", "a")
	began := time.Now()
	if err := again.Register(t.Context()); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("its successor: got %v after %s", err, time.Since(began))
	}
}

// testVanished: whose row is gone does not answer by what it read before it is registered again.
func testVanished(t *testing.T, s keys.Store) {
	w := newTown(t)
	a, b := w.start(s, "a"), w.start(s, "b")
	key := w.generate(a, a, b)
	thief := w.build(s, "x", "b") // takes b's place, as if b were known to be over
	if err := thief.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "b is back", func() bool {
		states, err := a.Nodes(t.Context())
		return err == nil && slices.ContainsFunc(states, func(n keys.NodeState) bool { return n.ID == "b" && n.Counts() })
	})
	until(t, "b answers again", func() bool { return b.code(key.Secret) == keys.Admitted })
}
