package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// sharer is a store that keeps the list of those that share the limits, as every one behind testStore
// does.
type sharer interface {
	RenewShare(ctx context.Context, id string, reckoned []string) ([]limiter.Peer, error)
}

// testShares has gateways renew at once, many times: whatever each reads, they never hold more than
// all of a limit, and in the end all of it.
func testShares(t *testing.T, open func(*testing.T) keys.Store) {
	s, ok := open(t).(sharer)
	if !ok {
		t.Fatalf("the store keeps no list of shares")
	}
	const n = 1000
	var rosters []*limiter.Roster
	for i := range 4 {
		rosters = append(rosters, limiter.NewRoster(fmt.Sprint("node", i), false))
	}
	var mu sync.Mutex
	sum := func() (units int64) {
		for _, r := range rosters {
			units += r.Share(n, "tag")
		}
		return units
	}
	renew := func(r *limiter.Roster) error {
		begun := time.Now()
		peers, err := s.RenewShare(t.Context(), r.Self(), r.Reckoned())
		if err != nil {
			return err
		}
		mu.Lock() // sums are of one moment
		defer mu.Unlock()
		r.Beat(begun, peers)
		if got := sum(); got > n {
			t.Errorf("got %d of %d dealt out", got, n)
		}
		return nil
	}
	var wg sync.WaitGroup
	for _, r := range rosters {
		wg.Go(func() {
			for range 25 {
				if err := renew(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for range 2 {
		for _, r := range rosters {
			if err := renew(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := sum(); got != n {
		t.Errorf("in the end: got %d of %d dealt out", got, n)
	}
}
