//go:build realservers

package limiter_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"postern/internal/socket"
	"postern/limiter"
)

// TestRedisLostCostsLittleTime: while Redis is lost a decision by share takes 20 ms at most for a second (p99), as
// long as calls still try, and then no more than 0.2 ms. Five times that fails the test.
func TestRedisLostCostsLittleTime(t *testing.T) {
	const clients, gap, lasts = 4, 2 * time.Millisecond, 3 * time.Second
	for name, fault := range map[string]struct {
		byCable bool
		lose    func(*testing.T, *server, *cable)
	}{
		"killed":       {false, func(_ *testing.T, s *server, _ *cable) { s.kill() }},
		"paused":       {false, func(t *testing.T, s *server, _ *cable) { s.pause(t) }},
		"slow":         {true, func(_ *testing.T, _ *server, c *cable) { c.delay.Store(int64(300 * time.Millisecond)) }},
		"black hole":   {true, func(_ *testing.T, _ *server, c *cable) { c.hole.Store(true) }},
		"replies lost": {true, func(_ *testing.T, _ *server, c *cable) { c.cutAll.Store(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := startRedis(t)
			c, addr := lay(t, s.addr), s.addr
			if fault.byCable {
				addr = c.addr
			}
			r, err := limiter.NewRedis(limiter.RedisOptions{Addrs: []string{addr}, Node: "a", Wrap: socket.Direct})
			must(t, err)
			t.Cleanup(func() { must(t, r.Close()) })
			must(t, r.Ping(t.Context()))
			f := limiter.NewFailover(limiter.FailoverOptions{Shared: r, Roster: together(t, "a")[0]})
			t.Cleanup(func() { must(t, f.Close()) })
			check := on(t, "key", "1000000/s")

			fault.lose(t, s, c)
			begun := time.Now()
			var mu sync.Mutex
			var early, late []time.Duration
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					tick := time.NewTicker(gap)
					defer tick.Stop()
					var a limiter.Answer
					for time.Since(begun) < lasts {
						<-tick.C
						asked := time.Now()
						err := f.Decide(t.Context(), &limiter.Query{Tag: "tag", Cost: 1, Checks: []limiter.Check{check}}, &a)
						took := time.Since(asked)
						if err != nil || !a.Allowed || !a.ByShare {
							t.Errorf("got %+v, %v; want admitted by share", a, err)
							return
						}
						mu.Lock()
						if asked.Sub(begun) < time.Second {
							early = append(early, took)
						} else {
							late = append(late, took)
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			for _, c := range []struct {
				when  string
				took  []time.Duration
				bound time.Duration
			}{{"in the first second", early, 100 * time.Millisecond}, {"after it", late, time.Millisecond}} {
				if len(c.took) < 200 {
					t.Fatalf("%s: only %d decisions", c.when, len(c.took))
				}
				slices.Sort(c.took)
				p99 := c.took[len(c.took)*99/100]
				t.Logf("%s: %d decisions, p50 %v, p99 %v, longest %v", c.when, len(c.took), c.took[len(c.took)/2], p99, c.took[len(c.took)-1])
				if p99 > c.bound {
					t.Errorf("%s: p99 of %v, must be within %v", c.when, p99, c.bound)
				}
			}
		})
	}
}
