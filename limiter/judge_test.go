package limiter_test

import (
	"sync"
	"testing"
	"time"

	"postern/internal/judge"
	"postern/limiter"
)

// record is a judge.Call.
type record = judge.Call

// TestRaceJudge lets 64 clients loose on one counter, on the real clock, and judges what they saw.
func TestRaceJudge(t *testing.T) {
	duration := 1500 * time.Millisecond
	if long() {
		duration = 10 * time.Second
	}
	for _, s := range []string{"2/s", "100/s", "20000/s", "50/100ms"} {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			limit := parse(t, s)
			l := limiter.NewLocal(limiter.LocalOptions{})
			j := judge.Judge(limit, besiege(t, l, limit, 64, duration))
			t.Logf("%d admitted, %d refusals judged", j.Admitted, j.Refused)
			if j.Over != 0 || j.Wrong != 0 {
				t.Errorf("got %d over-admissions and %d wrong refusals, want none", j.Over, j.Wrong)
			}
			if int64(j.Admitted) < limit.N || j.Refused < 1000 {
				t.Errorf("got %d admitted and %d refusals: the siege proves little", j.Admitted, j.Refused)
			}
		})
	}
}

// besiege has clients ask without a pause. It keeps all that was admitted and a part of the
// refusals, always including those right before and after an admission, which can be wrong soonest.
func besiege(t *testing.T, l limiter.Limiter, limit limiter.Limit, clients int, duration time.Duration) []record {
	const every = 16
	var mu sync.Mutex
	var all []record
	var wg sync.WaitGroup
	start := time.Now()
	for range clients {
		wg.Go(func() {
			q := &limiter.Query{Cost: 1, Checks: []limiter.Check{{Counter: limiter.Counter{Subject: "key"}, Limit: limit}}}
			var a limiter.Answer
			var own []record
			var last record
			kept := true
			for i := 0; last.Returned < duration; i++ {
				r := record{Called: time.Since(start)}
				if err := l.Decide(t.Context(), q, &a); err != nil {
					t.Error(err)
					return
				}
				r.Returned, r.Admitted = time.Since(start), a.Allowed
				if r.Admitted && !kept {
					own = append(own, last)
				}
				kept = r.Admitted || last.Admitted || i%every == 0
				if kept {
					own = append(own, r)
				}
				last = r
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	wg.Wait()
	return all
}

// TestJudge puts the judge itself to the test: limiters that are wrong in known ways, asked at a
// steady pace on a clock moved by hand, each call taking 2 µs around the instant of its decision.
func TestJudge(t *testing.T) {
	limit := limiter.Limit{N: 100, Window: time.Second}
	var exact, refusals []time.Duration
	clock := clockAt(t, "2026-11-21T10:00:00Z")
	start := clock.now()
	local := limiter.NewLocal(limiter.LocalOptions{Now: clock.now})
	windows, fixed := map[time.Duration]int{}, limit.Window
	sliding := func(log *[]time.Duration, now, window time.Duration) int {
		for len(*log) > 0 && (*log)[0] <= now-window {
			*log = (*log)[1:]
		}
		return len(*log)
	}
	for _, c := range []struct {
		name        string
		admit       func(now time.Duration) bool
		over, wrong bool
	}{
		{"local", func(now time.Duration) bool {
			clock.move(now - clock.now().Sub(start))
			var a limiter.Answer
			must(t, local.Decide(t.Context(), &limiter.Query{Cost: 1, Checks: []limiter.Check{{Limit: limit}}}, &a))
			return a.Allowed
		}, false, false},
		{"fixed window", func(now time.Duration) bool {
			windows[now/fixed]++
			return windows[now/fixed] <= 100
		}, true, false},
		{"one too many", func(now time.Duration) bool {
			if sliding(&exact, now, limit.Window) > 100 {
				return false
			}
			exact = append(exact, now)
			return true
		}, true, false},
		{"window too short", func() func(time.Duration) bool {
			var log []time.Duration
			return func(now time.Duration) bool {
				if sliding(&log, now, limit.Window-10*time.Microsecond) >= 100 {
					return false
				}
				log = append(log, now)
				return true
			}
		}(), true, false},
		{"window too long", func() func(time.Duration) bool {
			var log []time.Duration
			return func(now time.Duration) bool {
				if sliding(&log, now, limit.Window+10*time.Microsecond) >= 100 {
					return false
				}
				log = append(log, now)
				return true
			}
		}(), false, true},
		{"refusals are charged", func(now time.Duration) bool {
			used := sliding(&refusals, now, limit.Window)
			refusals = append(refusals, now)
			return used < 100
		}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var records []record
			// Half a second late and with a gap, so that neither windows nor clients agree.
			for now := 500 * time.Millisecond; now < 5*time.Second; now += 7 * time.Microsecond {
				if now%(1300*time.Millisecond) < 250*time.Millisecond {
					continue
				}
				records = append(records, record{Called: now - time.Microsecond, Returned: now + time.Microsecond, Admitted: c.admit(now)})
			}
			j := judge.Judge(limit, records)
			if (j.Over > 0) != c.over || (j.Wrong > 0) != c.wrong {
				t.Errorf("got %d over-admissions and %d wrong refusals of %d admitted and %d refused, want over %v, wrong %v",
					j.Over, j.Wrong, j.Admitted, j.Refused, c.over, c.wrong)
			}
		})
	}
}

// TestSteadyClientGetsItsLimit: whoever keeps offering half as much again as its limit gets nearly
// all of it, which limiters that charge refusals do not give.
func TestSteadyClientGetsItsLimit(t *testing.T) {
	for _, s := range []string{"2/s", "100/s", "1000/s", "20000/s", "60/min"} {
		t.Run(s, func(t *testing.T) {
			limit := parse(t, s)
			clock := clockAt(t, "2026-11-21T10:00:00.000777Z")
			l := limiter.NewLocal(limiter.LocalOptions{Now: clock.now})
			const windows = 10
			// Of small limits a client asks often enough not to miss the moment by much.
			gap := min(limit.Window/200, limit.Window*2/3/time.Duration(limit.N))
			offers := windows * limit.Window / gap
			got := int64(0)
			for range offers {
				if decide(t, l, 1, limiter.Check{Limit: limit}).Allowed {
					got++
				}
				clock.move(gap)
			}
			if allowed := limit.N * windows; got < allowed*98/100 || got > allowed+limit.N {
				t.Errorf("got %d admitted of %d offered in %d windows, want %d", got, offers, windows, allowed)
			}
		})
	}
}
