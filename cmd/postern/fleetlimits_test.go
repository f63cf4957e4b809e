//go:build realservers

package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"postern/internal/judge"
	"postern/limiter"
)

// TestConcurrentFleetLimits asks three gateways at once for more than a key may have, and judges the
// calls by the clock of those who made them. Then it does to Redis what happens to servers and networks.
func TestConcurrentFleetLimits(t *testing.T) {
	f := newFleetSite(t, "20/s, 5000/day")
	key, id := f.key("besieged")
	limit, err := limiter.ParseLimit("20/s")
	if err != nil {
		t.Fatal(err)
	}
	spent := 0 // of the day, as the callers count it
	siege := func() seen {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		saw := f.siegeOf(ctx, key, 12, 2*time.Millisecond, f.nodes...)
		spent += saw.statuses[http.StatusOK]
		for status := range saw.statuses {
			if status != http.StatusOK && status != http.StatusTooManyRequests {
				t.Errorf("%d calls were answered %d; a lost Redis refuses nobody but by limits", saw.statuses[status], status)
			}
		}
		return saw
	}
	// What Redis decided is exact. On a machine so busy that an answer takes longer than the budget, a
	// share decides some calls beside it.
	exact := func(when string) {
		t.Helper()
		saw := siege()
		v, byShare := judge.Judge(limit, saw.store), judge.Judge(limit, saw.share)
		t.Logf("%s: %d admitted and %d refused by Redis, %d and %d by shares", when, v.Admitted, v.Refused, byShare.Admitted, byShare.Refused)
		if v.Over != 0 || v.Wrong != 0 {
			t.Errorf("%s: %d over-admissions and %d wrong refusals", when, v.Over, v.Wrong)
		}
		if v.Admitted < int(limit.N) || v.Refused < 10*int(limit.N) {
			t.Errorf("%s: %d admitted and %d refused: the siege proves little", when, v.Admitted, v.Refused)
		}
	}
	exact("at first")

	all := []string{"redis1", "redis2", "redis3"}
	each := func(do func(string), links ...string) func() {
		return func() {
			for _, l := range links {
				do(l)
			}
		}
	}
	slow := func(l string) { f.toxics.slow(l, 300*time.Millisecond) }
	for _, fault := range []struct {
		name  string
		begin func()
		end   func()
		most  int // admitted in 2.5 s, in windows of N: see limiter.Failover
	}{
		{"killed", f.redis.kill, f.redis.start, 4},
		{"black hole", each(f.toxics.blackHole, all...), f.toxics.heal, 4},
		{"slow", each(slow, all...), f.toxics.heal, 4},
		{"replies lost", each(f.toxics.mute, all...), f.toxics.heal, 4},
		{"lost for one", each(f.toxics.cut, "redis2"), each(f.toxics.mend, "redis2"), 7}, // < 2N in any window
	} {
		t.Run(fault.name, func(t *testing.T) {
			fault.begin()
			saw := siege()
			admitted := saw.statuses[http.StatusOK]
			t.Logf("%v, of which shares decided %d", saw.statuses, len(saw.share))
			if admitted > fault.most*int(limit.N) || admitted < int(limit.N) {
				t.Errorf("%d admitted in 2.5 s, want at most %d", admitted, fault.most*int(limit.N))
			}
			degraded := 0
			for _, n := range f.nodes {
				if resp, err := f.call(n, http.MethodGet, key); err == nil {
					if resp.StatusCode == http.StatusOK {
						spent++
					}
					if resp.Header.Get("X-Postern-Limited-By") == "share" {
						degraded++
					}
				}
			}
			if want := map[bool]int{true: 1, false: 3}[fault.name == "lost for one"]; degraded != want {
				t.Errorf("%d gateways said that a share decided, want %d", degraded, want)
			}
			fault.end()
			took := f.await("Redis decides again", 30*time.Second, func() bool {
				for _, n := range f.nodes {
					resp, err := f.call(n, http.MethodGet, key)
					if err == nil && resp.StatusCode == http.StatusOK {
						spent++
					}
					if err != nil || resp.Header.Get("X-Postern-Limited-By") != "" {
						return false
					}
				}
				return true
			})
			t.Logf("Redis decided again after %v", took)
			if took > 5*time.Second {
				t.Errorf("Redis decided again after %v, promised is a second", took)
			}
		})
	}
	f.windowEmpty(id) // of what was admitted by shares too, which was before
	exact("after all of it")

	// The day has counted every unit; what it counted beyond them is what replies were lost of.
	f.redis.flush()
	for _, n := range f.nodes {
		if f.get(n, "spent", key) == http.StatusOK {
			spent++
		}
	}
	var used int
	f.await("the day's count", 10*time.Second, func() bool {
		used = f.dayUsed(f.nodes[0], id)
		return used >= spent
	})
	lost := 0
	for _, n := range f.nodes {
		lost += figure(t, f.metric(n, "postern_limiter_lost_units_total"))
	}
	t.Logf("%d units were admitted, the day has counted %d, and %d replies were lost", spent, used, lost)
	if used > spent+lost {
		t.Errorf("the day has counted %d for %d admitted units and %d lost replies", used, spent, lost)
	}
}
