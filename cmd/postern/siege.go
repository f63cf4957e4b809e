package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"postern/internal/judge"
	"postern/limiter"
)

// siege asks the limiters of some gateways for more than a limit allows, on the real clock.
type siege struct {
	backend  string
	limiters []limiter.Limiter // one for each gateway
	spread   spread
	limit    limiter.Limit
	windows  int // how long it lasts
}

// spread is how the calls are split over the gateways, and in time.
type spread struct {
	name    string
	gateway func(i, gateways int) int // of call i
	burst   int                       // calls that are due at once
}

var spreads = []spread{
	{"alternating", func(i, n int) int { return i % n }, 1},
	{"one", func(int, int) int { return 0 }, 1},
	{"3:1", func(i, n int) int { return i % 4 / 3 % n }, 1},
	{"bursts of 150", func(i, n int) int { return i / 150 % n }, 150},
}

// siegeResult is what a siege showed.
type siegeResult struct {
	Backend  string  `json:"backend"`
	Gateways int     `json:"gateways"`
	Spread   string  `json:"spread"`
	Limit    string  `json:"limit"`
	Offered  int     `json:"offered"`
	Admitted int     `json:"admitted"`
	Allowed  int     `json:"allowed"` // of those offered, by the bound of the backend
	Ratio    float64 `json:"ratio"`   // admitted / allowed
	least    int     // of what may be allowed, of which Allowed is the most
	Over     int     `json:"over_admissions"` // proven ones, and proven wrong refusals
	Wrong    int     `json:"wrong_refusals"`
	Failed   int     `json:"failed"` // the limiter could not know
}

// kept tells whether the promise was.
func (r siegeResult) kept() bool {
	admitted := float64(r.Admitted)
	return r.Over == 0 && r.Wrong == 0 && r.Failed == 0 && admitted >= leastRatio*float64(r.least) && admitted <= mostRatio*float64(r.Allowed)
}

// The ratio compares with a limiter that decides each call when it is made, or when it returns. A call takes
// its time, so a few fall to the other side of a window's edge; whether a window held too many is judged
// apart.
const (
	leastRatio = 0.98
	mostRatio  = 1.02
)

// besiegers is how many calls run at once.
const besiegers = 64

// lay lays siege.
func (s siege) lay(ctx context.Context) (siegeResult, error) {
	gateways := len(s.limiters)
	// Twice the limit, and of small limits often enough not to miss the moment by much.
	gap := min(s.limit.Window/time.Duration(2*s.limit.N), s.limit.Window/400) / time.Duration(s.counts())
	calls := int(time.Duration(s.windows) * s.limit.Window / gap)
	subject := "bench-" + uuid.NewString()
	check := limiter.Check{Counter: limiter.Counter{Level: limiter.Credential, Subject: subject}, Limit: s.limit}

	var next, failed atomic.Int64
	var mu sync.Mutex
	seen := make([][]judge.Call, gateways)
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range besiegers {
		group.Go(func() error {
			q := &limiter.Query{Tag: subject, Cost: 1, Checks: []limiter.Check{check}}
			var a limiter.Answer
			own := make([][]judge.Call, gateways)
			for {
				i := int(next.Add(1) - 1)
				if i >= calls {
					break
				}
				due := time.Duration(i/s.spread.burst*s.spread.burst) * gap
				if err := waitUntil(ctx, start.Add(due)); err != nil {
					return err
				}
				g := s.spread.gateway(i, gateways)
				c := judge.Call{Called: time.Since(start)}
				err := s.limiters[g].Decide(ctx, q, &a)
				c.Returned, c.Admitted = time.Since(start), a.Allowed
				switch {
				case errors.Is(err, limiter.ErrUnavailable):
					failed.Add(1)
				case err != nil:
					return fmt.Errorf("%s, %d gateways, %v: %w", s.backend, gateways, s.limit, err)
				default:
					own[g] = append(own[g], c)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for g := range own {
				seen[g] = append(seen[g], own[g]...)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return siegeResult{}, err
	}
	return s.judge(seen, int(failed.Load())), nil
}

// judge finds out what the callers of each gateway saw. Where gateways share a limit, they are judged
// as one.
func (s siege) judge(seen [][]judge.Call, failed int) siegeResult {
	r := siegeResult{Backend: s.backend, Gateways: len(s.limiters), Spread: s.spread.name, Limit: s.limit.String(), Failed: failed}
	if s.counts() == 1 {
		for _, list := range seen[1:] {
			seen[0] = append(seen[0], list...)
		}
		seen = seen[:1]
	}
	for _, list := range seen {
		v := judge.Judge(s.limit, list)
		r.Offered += v.Admitted + v.Refused
		r.Admitted += v.Admitted
		r.Over += v.Over
		r.Wrong += v.Wrong
		least, most := judge.Allowed(s.limit, list)
		r.least, r.Allowed = r.least+least, r.Allowed+most
	}
	r.Offered += failed
	r.Ratio = float64(r.Admitted) / float64(max(r.Allowed, 1))
	return r
}

// counts is how many gateways count for themselves: the bound of what they admit, in limits.
func (s siege) counts() int {
	if s.backend == "local" {
		return len(s.limiters)
	}
	return 1
}

// waitUntil waits for a time, unless it is so near that to sleep would pass it.
func waitUntil(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d < time.Millisecond {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
