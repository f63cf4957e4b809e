//go:build realservers

package limiter_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"postern/internal/judge"
	"postern/limiter"
)

// several spreads the calls of a siege over gateways that share one Redis.
type several struct {
	nodes []*limiter.Redis
	mu    sync.Mutex
	next  int
}

func (s *several) pick() *limiter.Redis {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.nodes[s.next%len(s.nodes)]
}

func (s *several) Decide(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	return s.pick().Decide(ctx, q, a)
}

func (s *several) Peek(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	return s.pick().Peek(ctx, q, a)
}

// TestRedisJudge lets 64 clients loose on three gateways with one counter in one Redis, and judges
// what they saw by their own clock.
func TestRedisJudge(t *testing.T) {
	duration := 1500 * time.Millisecond
	if long() {
		duration = 60 * time.Second
	}
	s := startRedis(t)
	for _, c := range []string{"2/s", "100/s", "20000/s"} {
		t.Run(c, func(t *testing.T) {
			limit := parse(t, c)
			all := &several{}
			for i := range 3 {
				all.nodes = append(all.nodes, newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: fmt.Sprint(i)}))
			}
			must(t, s.FlushAll(t.Context()).Err())
			j := judge.Judge(limit, besiege(t, all, limit, 64, duration))
			var calls int64
			for _, r := range all.nodes {
				calls += r.Calls()
			}
			t.Logf("%d admitted, %d refusals judged, %d calls", j.Admitted, j.Refused, calls)
			if j.Over != 0 || j.Wrong != 0 {
				t.Errorf("got %d over-admissions and %d wrong refusals, want none", j.Over, j.Wrong)
			}
			if j.Admitted < int(min(limit.N, 1000)) || j.Refused < 100 && limit.N < 1000 {
				t.Errorf("got %d admitted and %d refusals: the siege proves little", j.Admitted, j.Refused)
			}
		})
	}
}

// TestRedisCoalesces: requests that wait together share a call, which grants what there is, first come first
// served, and tells the others when to come again.
func TestRedisCoalesces(t *testing.T) {
	s := startRedis(t)
	line := lay(t, s.addr)
	r := newRedis(t, limiter.RedisOptions{Addrs: []string{line.addr}})
	c := on(t, "key", "7/h")
	decide(t, r, 1, c)
	line.delay.Store(int64(100 * time.Millisecond))
	first, calls := make(chan struct{}), r.Calls()
	go func() { defer close(first); decide(t, r, 1, c) }()
	eventually(t, 5*time.Second, "the first is on the wire", func() bool { return r.Calls() > calls })

	gone, cancel := context.WithCancel(t.Context())
	answers := make([]limiter.Answer, 10)
	errs := make([]error, len(answers))
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			ctx := t.Context()
			if i >= 8 {
				ctx = gone
			}
			errs[i] = r.Decide(ctx, &limiter.Query{Tag: "tag", Cost: 2, Checks: []limiter.Check{c}}, &answers[i])
		})
	}
	eventually(t, 5*time.Second, "those with the other cost are on the wire", func() bool { return r.Calls() > calls+1 })
	cancel()
	wg.Wait()
	<-first
	admitted := map[int64]int{}
	for i, a := range answers {
		switch {
		case errs[i] != nil && i < 8:
			t.Errorf("request %d: %v", i, errs[i])
		case errs[i] != nil:
		case a.Allowed:
			admitted[a.States[0].Used]++
		case a.States[0].Retry <= 0 || a.States[0].Used > 7:
			t.Errorf("request %d: got %+v", i, a)
		}
	}
	if len(admitted) != 2 || admitted[4] != 1 || admitted[6] != 1 {
		t.Errorf("got admissions %v, want one that saw 4 used and one that saw 6", admitted)
	}
	if got := used(t, r, c); got != 6 {
		t.Errorf("got %d used, want 6", got)
	}
	if n := r.Calls() - calls; n > 4 {
		t.Errorf("got %d calls, want at most 4", n)
	}
}
