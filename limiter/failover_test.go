package limiter_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/limiter"
)

// outage is a shared store that can be lost: a call then takes as long as the store is waited for.
type outage struct {
	*limiter.Local
	lost  atomic.Bool
	asked atomic.Int64

	mu      sync.Mutex
	charged int64 // units
	known   int64 // of every day and month
	since   int64
	broken  func(tag string) bool // nil: by lost
}

const patience = 15 * time.Millisecond

func (o *outage) Decide(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	o.asked.Add(1)
	if o.lost.Load() || o.broken != nil && o.broken(q.Tag) {
		time.Sleep(patience)
		return limiter.ErrUnavailable
	}
	return o.Local.Decide(ctx, q, a)
}

// Part implements limiter.Shared: tags that begin with one digit are in that part.
func (o *outage) Part(tag string) int {
	if tag == "" || tag[0] < '0' || tag[0] > '9' {
		return 0
	}
	return int(tag[0] - '0')
}

func (o *outage) Charge(q *limiter.Query) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.charged += q.Cost
	o.since += q.Cost
	return nil
}

func (o *outage) Known(*limiter.Check) (total, since int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known, o.since
}

// hear is the store's word about days and months.
func (o *outage) hear(known int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known, o.since = known, 0
}

// together makes rosters of gateways that know each other and renew as long as the test runs.
func together(t *testing.T, names ...string) []*limiter.Roster {
	l := &list{now: time.Now(), lines: map[string]line{}}
	var all []*limiter.Roster
	for _, name := range names {
		all = append(all, limiter.NewRoster(name, true))
	}
	ahead := time.Duration(0) // as long as a newcomer waits
	for range 4 {
		for _, r := range all {
			r.By(func() time.Time { return time.Now().Add(ahead) }).Beat(l.now, l.beat(r.Self(), r.Reckoned()))
		}
		ahead += limiter.Lease / 2
	}
	return all
}

func failover(t *testing.T, o *outage, r *limiter.Roster) *limiter.Failover {
	f := limiter.NewFailover(limiter.FailoverOptions{Shared: o, Roster: r})
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestFailover takes a store away from three gateways and gives it back.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &outage{Local: limiter.NewLocal(limiter.LocalOptions{})}
		var fleet []*limiter.Failover
		for _, r := range together(t, "a", "b", "c") {
			fleet = append(fleet, failover(t, store, r))
		}
		check := on(t, "key", "10/s")
		admitted := func() (n int, byShare bool) {
			for i := range 60 {
				a := decide(t, fleet[i%3], 1, check)
				if a.Allowed {
					n++
				}
				byShare = a.ByShare
			}
			return n, byShare
		}
		if n, byShare := admitted(); n != 10 || byShare {
			t.Fatalf("at first: got %d admitted, by share %v; want the store's 10", n, byShare)
		}
		time.Sleep(time.Second)
		store.lost.Store(true)
		if n, byShare := admitted(); n != 10 || !byShare {
			t.Errorf("lost: got %d admitted, by share %v; want the shares of 10", n, byShare)
		}
		// The breakers are open by now: no more time is lost.
		asked := store.asked.Load()
		time.Sleep(time.Second)
		began := time.Now()
		if n, _ := admitted(); n != 10 {
			t.Errorf("a second later: got %d admitted, want 10 again", n)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("60 decisions took %v, want no wait for the store", took)
		}
		if n := store.asked.Load() - asked; n < 3*3 || n > 3*7 {
			t.Errorf("the store was asked %d times in a second, want about five by each", n)
		}
		if fleet[0].Lost().IsZero() {
			t.Error("the loss is not told")
		}
		store.lost.Store(false)
		time.Sleep(time.Second)
		if n, byShare := admitted(); n != 10 || byShare {
			t.Errorf("back: got %d admitted, by share %v; want the store's 10 within a second", n, byShare)
		}
		if !fleet[0].Lost().IsZero() {
			t.Error("the loss is told for ever")
		}
		if store.charged != 20 {
			t.Errorf("%d units were charged as admitted by shares, want 20", store.charged)
		}
	})
}

// TestFailoverPart: of a store whose parts are lost apart, the others go on deciding, and what the lost
// one's day has left is dealt out once, however often the others answer in between.
func TestFailoverPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &outage{Local: limiter.NewLocal(limiter.LocalOptions{})}
		store.broken = func(tag string) bool { return tag == "1" }
		f := failover(t, store, together(t, "a")[0])
		day := on(t, "lost", "5/day")
		day.Span = limiter.NewCalendar(limiter.Day, nil).At(time.Now())
		well := on(t, "well", "1000/s")
		admitted, waited := 0, 0
		for i := range 100 {
			var a limiter.Answer
			must(t, f.Decide(t.Context(), &limiter.Query{Tag: "2", Cost: 1, Checks: []limiter.Check{well}}, &a))
			if !a.Allowed || a.ByShare {
				t.Fatalf("call %d of the part that is well: got %+v", i, a)
			}
			began := time.Now()
			must(t, f.Decide(t.Context(), &limiter.Query{Tag: "1", Cost: 1, Checks: []limiter.Check{day}}, &a))
			if a.Allowed {
				admitted++
			}
			if time.Since(began) > 0 {
				waited++
			}
		}
		if admitted != 5 || waited != 5 {
			t.Errorf("of the lost part %d were admitted of 5 a day, and %d calls waited, want 5", admitted, waited)
		}
		if f.Lost().IsZero() {
			t.Error("the loss of a part is not told")
		}
	})
}

// TestFailoverNoShare: who wants no decision by shares is told that there is none.
func TestFailoverNoShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &outage{Local: limiter.NewLocal(limiter.LocalOptions{})}
		store.lost.Store(true)
		f := failover(t, store, together(t, "a")[0])
		q := &limiter.Query{Cost: 1, Checks: []limiter.Check{on(t, "key", "10/s")}, NoShare: true}
		var a limiter.Answer
		for range 10 {
			if err := f.Decide(t.Context(), q, &a); !errors.Is(err, limiter.ErrUnavailable) || a.Allowed || len(a.States) != 0 {
				t.Errorf("got %+v, %v; want ErrUnavailable", a, err)
			}
		}
		newcomer := failover(t, store, limiter.NewRoster("b", false))
		q.NoShare = false
		if err := newcomer.Decide(t.Context(), q, &a); !errors.Is(err, limiter.ErrUnavailable) {
			t.Errorf("without a share: got %+v, %v; want ErrUnavailable", a, err)
		}
	})
}

// TestFailoverStates: what is left is what is left of the share, and a limit too small for a share
// refuses without blocking the others' counts.
func TestFailoverStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &outage{Local: limiter.NewLocal(limiter.LocalOptions{}), known: 40}
		store.lost.Store(true)
		f := failover(t, store, together(t, "a", "b", "c")[0])
		day := on(t, "key", "100/day")
		day.Span = limiter.NewCalendar(limiter.Day, nil).At(time.Now())
		second := on(t, "key", "30/s")
		got := decide(t, f, 2, second, day) // 10 of 30, 20 of the 60 that were left
		if !got.Allowed || got.States[0].Used != 22 || got.States[1].Used != 82 {
			t.Errorf("got %+v, want 8 and 18 left", got)
		}
		small := on(t, "key", "2/min")
		got = decide(t, f, 1, second, small, day)
		if left := 2 - got.States[1].Used; left != 0 {
			t.Errorf("got %+v, want nothing left of at most one", got)
		}
		got = decide(t, f, 2, second, small, day)
		if got.Allowed || got.States[1].Retry != time.Second || got.States[0].Retry != 0 || got.States[0].Used > 23 {
			t.Errorf("got %+v, want refused by the second limit alone, and nothing spent", got)
		}
		// The next loss deals out what is left then.
		for range 18 {
			decide(t, f, 1, day)
		}
		if got := decide(t, f, 1, day); got.Allowed || got.States[0].Retry != time.Second {
			t.Errorf("got %+v, want the day's share used up", got)
		}
		store.lost.Store(false)
		time.Sleep(time.Second)
		decide(t, f, 1, second)
		store.hear(70)
		store.lost.Store(true)
		if got := decide(t, f, 10, day); !got.Allowed || got.States[0].Used != 100 {
			t.Errorf("got %+v, want a third of the 30 that are left", got)
		}
	})
}

// TestFailoverDegraded: it is so from the first call that the store did not decide until the store answers again, whether
// or not anybody calls.
func TestFailoverDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &outage{Local: limiter.NewLocal(limiter.LocalOptions{})}
		f := failover(t, store, together(t, "a")[0])
		check := on(t, "key", "10/s")
		decide(t, f, 1, check)
		if f.Degraded() {
			t.Error("degraded while the store decides")
		}
		store.lost.Store(true)
		decide(t, f, 1, check)
		if !f.Degraded() {
			t.Error("not degraded after a call that the store did not decide")
		}
		time.Sleep(time.Minute)
		if !f.Degraded() {
			t.Error("not degraded, though the store is lost and nobody called")
		}
		store.lost.Store(false)
		time.Sleep(time.Second)
		if f.Degraded() {
			t.Error("still degraded a second after the store was back, and nobody called")
		}
	})
}

// TestFailoverLittleToDo: also who asks seldom stops to wait for a store that is lost, after one call.
func TestFailoverLittleToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &outage{Local: limiter.NewLocal(limiter.LocalOptions{})}
		store.lost.Store(true)
		f := failover(t, store, together(t, "a")[0])
		for i := range 7 {
			began := time.Now()
			decide(t, f, 1, on(t, "key", "10/s"))
			if waited := time.Since(began) > 0; waited != (i < 1) {
				t.Errorf("call %d waited for the store: %v", i+1, waited)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

// TestFailoverSeldomFails: some failures among many successes cost those requests their time and
// nothing else.
func TestFailoverSeldomFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &outage{Local: limiter.NewLocal(limiter.LocalOptions{})}
		f := failover(t, store, together(t, "a")[0])
		check := on(t, "key", "1000/s")
		for i := range 100 {
			store.lost.Store(i%3 == 0)
			if a := decide(t, f, 1, check); !a.Allowed || a.ByShare != (i%3 == 0) {
				t.Fatalf("call %d: got %+v", i, a)
			}
			time.Sleep(time.Millisecond)
		}
		if n := store.asked.Load(); n < 100 || n > 110 {
			t.Errorf("the store was asked %d times, want every time, and by a few probes", n)
		}
	})
}
