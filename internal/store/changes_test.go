package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func testChanges(t *testing.T, open func(*testing.T) keys.Store) {
	t.Run("feed", func(t *testing.T) { testFeed(t, open(t)) })
	t.Run("wait", func(t *testing.T) { testWait(t, open(t)) })
}

func testFeed(t *testing.T, s keys.Store) {
	a, b := sample(1), bare(2)
	tenant := keys.Tenant{ID: "acme", Name: "Acme", CreatedAt: noon, UpdatedAt: noon, Version: 1}
	gone := next(b, func(c *keys.Credential) { c.DeletedAt, c.Secrets = noon, nil })
	put(t, s, a, b)                                                                                // 1, 2
	update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.PutTenant(ctx, tenant) }) // 3
	put(t, s, gone)                                                                                // 4, in place of 2
	want := []keys.Change{{Seq: 1, Credential: &a}, {Seq: 3, Tenant: &tenant}, {Seq: 4, Credential: &gone}}
	for _, c := range []struct {
		name  string
		after keys.Seq
		max   int
		want  []keys.Change
	}{
		{"all", 0, 100, want},
		{"one", 0, 1, want[:1]},
		{"two", 0, 2, want[:2]},
		{"after the first", 1, 100, want[1:]},
		{"after one that was replaced", 2, 1, want[1:2]},
		{"after the last", 4, 100, []keys.Change{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.Changes(t.Context(), c.after, c.max)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, compare); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got, err := s.Changes(t.Context(), 5, 100); !errors.Is(err, keys.ErrStoreWentBack) || errors.Is(err, keys.ErrStoreUnavailable) {
		t.Errorf("after one more than there is: got %v, %v, want ErrStoreWentBack alone", got, err)
	}
}

func testWait(t *testing.T, s keys.Store) {
	seq := put(t, s, bare(1))
	if err := s.Wait(t.Context(), seq-1); err != nil {
		t.Errorf("behind: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ended, seq); err != nil {
		t.Errorf("with an ended context: got error %v, want none", err)
	}
	// A write within the process wakes long before the polling interval; the slowest of several
	// tries may meet a busy machine, the fastest may not.
	fastest := time.Hour
	for n := range 5 {
		woken := make(chan error)
		var written time.Time
		go func() { woken <- s.Wait(t.Context(), seq) }()
		written = time.Now()
		at := put(t, s, bare(2+n))
		if err := <-woken; err != nil {
			t.Errorf("woken: %v", err)
		}
		fastest = min(fastest, time.Since(written))
		if got, err := s.Changes(t.Context(), seq, 10); err != nil || len(got) != 1 || got[0].Seq != at {
			t.Errorf("after waking: got %d changes, %v, want the one with number %d", len(got), err, at)
		}
		seq = at
	}
	if fastest > 400*time.Millisecond {
		t.Errorf("woken after %v at best, want well under the polling interval", fastest)
	}
	if err := s.Wait(t.Context(), seq); err != nil { // nothing comes: the interval ends it
		t.Errorf("idle: %v", err)
	}
}

func testLoad(t *testing.T, open func(*testing.T) keys.Store) {
	t.Run("everything once", func(t *testing.T) {
		s := open(t)
		want := map[keys.CredentialID]keys.Credential{}
		var all []keys.Credential
		for n := range 300 {
			c := sample(n)
			if n%3 == 0 {
				c = bare(n)
			}
			if n%50 == 0 {
				c.DeletedAt = noon
			} else {
				want[c.ID] = decisive(c)
			}
			all = append(all, c)
		}
		put(t, s, all...)
		tenant := keys.Tenant{ID: "acme", Name: "Acme", CreatedAt: noon, UpdatedAt: noon, Version: 1}
		seq := update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.PutTenant(ctx, tenant) })

		var mu sync.Mutex
		got := map[keys.CredentialID]keys.Credential{}
		var tenants []keys.Tenant
		at, err := s.Load(t.Context(), keys.LoadVisitor{
			Tenant: func(v keys.Tenant) error { tenants = append(tenants, v); return nil },
			Credential: func(c keys.Credential) error {
				mu.Lock()
				defer mu.Unlock()
				if _, twice := got[c.ID]; twice {
					t.Errorf("credential %s was visited twice", c.ID)
				}
				if len(tenants) != 1 {
					t.Errorf("credential %s came before the tenants", c.ID)
				}
				got[c.ID] = decisive(c)
				return nil
			},
		})
		if err != nil || at != seq {
			t.Errorf("got number %d, %v, want %d", at, err, seq)
		}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("credentials (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]keys.Tenant{tenant}, tenants, compare); diff != "" {
			t.Errorf("tenants (-want +got):\n%s", diff)
		}
	})
	t.Run("empty", func(t *testing.T) {
		if at, err := open(t).Load(t.Context(), keys.LoadVisitor{}); err != nil || at != 0 {
			t.Errorf("got %d, %v, want 0", at, err)
		}
	})
	t.Run("visitor's error", func(t *testing.T) {
		s := open(t)
		put(t, s, bare(1), bare(2))
		stop := errors.New("stop")
		_, err := s.Load(t.Context(), keys.LoadVisitor{Credential: func(keys.Credential) error { return stop }})
		if !isErr(err, stop) {
			t.Errorf("got error %v, want the visitor's", err)
		}
		put(t, s, bare(3)) // nothing is held
	})
	t.Run("context ends", func(t *testing.T) {
		s := open(t)
		put(t, s, bare(1))
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.Load(ctx, keys.LoadVisitor{Credential: func(keys.Credential) error { cancel(); return nil }})
		if !isErr(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled", err)
		}
	})
	t.Run("a write meanwhile is not seen", func(t *testing.T) {
		s := open(t)
		before := put(t, s, bare(1))
		var wrote sync.Once
		at, err := s.Load(t.Context(), keys.LoadVisitor{Credential: func(c keys.Credential) error {
			if c.ID != bare(1).ID {
				t.Errorf("credential %s is not of the snapshot", c.ID)
			}
			wrote.Do(func() { put(t, s, bare(2)) })
			return nil
		}})
		if err != nil || at != before {
			t.Errorf("got number %d, %v, want %d", at, err, before)
		}
		if got, err := s.Changes(t.Context(), at, 10); err != nil || len(got) != 1 {
			t.Errorf("changes after the load: got %d, %v, want 1", len(got), err)
		}
	})
}

// decisive leaves of a credential what a load promises: the fields that decide, and the secrets. The
// slices are its own, as those of a loaded one are not.
func decisive(c keys.Credential) keys.Credential {
	return keys.Credential{
		ID: c.ID, Kind: c.Kind, Tenant: c.Tenant, Owner: c.Owner, Status: c.Status, Plan: c.Plan, APIs: slices.Clone(c.APIs), Scopes: slices.Clone(c.Scopes),
		Test: c.Test, ExpiresAt: c.ExpiresAt, AllowedIPs: c.AllowedIPs, ManagedBy: c.ManagedBy, DeletedAt: c.DeletedAt,
		Version: c.Version, Secrets: slices.Clone(c.Secrets), MAC: c.MAC,
	}
}
