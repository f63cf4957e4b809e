//go:build realservers

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestFleetRevocations revokes keys by turns on three gateways while they are used on all of them, and
// measures how long each gateway goes on admitting. Then it restarts what there is to restart: nobody
// comes back. POSTERN_LONG=1 takes 2,000 keys.
func TestFleetRevocations(t *testing.T) {
	f := newFleetSite(t, "100000/s")
	made := f.makeKeys(sized(150, 2000))

	// Callers use what there is to use. What a gateway has refused once it must never admit again.
	refused := make([][]atomic.Bool, len(f.nodes))
	for i := range refused {
		refused[i] = make([]atomic.Bool, len(made))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	var calls, admitted, resurrected, strange atomic.Int64
	for i, n := range f.nodes {
		callers.Go(func() {
			for ctx.Err() == nil {
				k := rand.IntN(len(made))
				dead := refused[i][k].Load()
				status := f.get(n, "spent", made[k].Secret)
				calls.Add(1)
				switch {
				case status == http.StatusOK && dead:
					resurrected.Add(1)
				case status == http.StatusOK:
					admitted.Add(1)
				case status != http.StatusUnauthorized:
					strange.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}

	var mu sync.Mutex
	var sinceCall, sinceAnswer []time.Duration
	var revokers sync.WaitGroup
	next := atomic.Int64{}
	const atOnce = 3
	for range atOnce {
		revokers.Go(func() {
			for k := int(next.Add(1)) - 1; k < len(made) && !t.Failed(); k = int(next.Add(1)) - 1 {
				fromCall, fromAnswer := f.revokeWatched(k%len(f.nodes), made[k], func(i int) { refused[i][k].Store(true) })
				mu.Lock()
				sinceCall, sinceAnswer = append(sinceCall, fromCall...), append(sinceAnswer, fromAnswer...)
				mu.Unlock()
			}
		})
	}
	revokers.Wait()
	cancel()
	callers.Wait()
	t.Logf("%d keys; beside it %d calls, %d admitted", len(made), calls.Load(), admitted.Load())
	if resurrected.Load() != 0 || strange.Load() != 0 || admitted.Load() == 0 {
		t.Errorf("%d calls were admitted after a refusal, %d answered neither 200 nor 401, %d admitted", resurrected.Load(), strange.Load(), admitted.Load())
	}
	if len(sinceAnswer) != len(made)*len(f.nodes) {
		t.Fatalf("%d of %d were measured", len(sinceAnswer), len(made)*len(f.nodes))
	}
	slices.Sort(sinceCall)
	slices.Sort(sinceAnswer)
	percentiles(t, "from the call until a gateway refuses", sinceCall)
	p50, p999, longest := percentiles(t, "from the answer until a gateway refuses", sinceAnswer)
	if p50 > 250*time.Millisecond || p999 > 5*time.Second || longest > 10*time.Second {
		t.Errorf("promised are 50 ms, 1 s and 2 s")
	}

	f.wantDead("at the end", made)
	f.nodes[1].stop()
	f.nodes[1].start()
	f.wantDead("after a gateway was restarted", made)
	f.nodes[2].kill()
	if err := f.postgres.Halt(); err != nil {
		t.Fatal(err)
	}
	if err := f.postgres.Restart(); err != nil {
		t.Fatal(err)
	}
	f.nodes[2].start()
	live := f.makeKeysWhenever(1, 10*time.Second) // everyone reads again; a connection from before may cost a 503
	f.wantDead("after PostgreSQL was restarted and a gateway killed", made)
	for _, n := range f.nodes {
		if got := f.get(n, "spent", live[0].Secret); got != http.StatusOK {
			t.Errorf("a live key on %s: got %d", n.name, got)
		}
	}
}

// revokeWatched revokes a key on a gateway while it is called on all of them, and returns how long after
// the call and after its answer each refused first.
func (f *fleetSite) revokeWatched(at int, key generated, refused func(node int)) (fromCall, fromAnswer []time.Duration) {
	var watchers, admitting sync.WaitGroup
	when := make([]time.Time, len(f.nodes))
	var answered atomic.Pointer[time.Time]
	for i, n := range f.nodes {
		admitting.Add(1)
		watchers.Go(func() {
			once := sync.OnceFunc(admitting.Done)
			defer once()
			for begun := time.Now(); time.Since(begun) < 30*time.Second; time.Sleep(time.Millisecond) {
				before := answered.Load()
				switch status := f.get(n, "spent", key.Secret); {
				case status == http.StatusUnauthorized:
					when[i] = time.Now()
					refused(i)
					return
				case status != http.StatusOK:
					f.t.Errorf("%s answered %d to key %s", n.name, status, key.ID)
					return
				case before != nil && i == at:
					f.t.Errorf("%s admitted key %s after it had answered its revocation", n.name, key.ID)
				}
				once()
			}
			f.t.Errorf("%s never refused key %s", n.name, key.ID)
		})
	}
	admitting.Wait()
	called := time.Now()
	status, text, err := f.ask(f.nodes[at], http.MethodPost, "/v1/keys/"+key.ID+"/revoke", "", nil)
	now := time.Now()
	answered.Store(&now)
	if err != nil || status != http.StatusOK {
		f.t.Errorf("revoke %s: %d %s, %v", key.ID, status, text, err)
	}
	watchers.Wait()
	for i := range when {
		if !when[i].IsZero() {
			fromCall, fromAnswer = append(fromCall, when[i].Sub(called)), append(fromAnswer, max(0, when[i].Sub(now)))
		}
	}
	return fromCall, fromAnswer
}
