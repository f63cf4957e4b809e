//go:build realservers

package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/internal/socket"
	"postern/limiter"
)

func newRedis(t testing.TB, o limiter.RedisOptions) *limiter.Redis {
	t.Helper()
	if o.Node == "" {
		o.Node = "a"
	}
	if o.Budget == 0 {
		o.Budget = patient
	}
	o.Wrap = socket.Direct // as the program has it
	r, err := limiter.NewRedis(o)
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return r
}

// today is a check of a day or month around now, far from its ends.
func today(t testing.TB, subject, limit string) limiter.Check {
	c := on(t, subject, limit)
	now := time.Now().UnixMicro()
	c.Span = limiter.Span{Start: now - now%1e6 - 3600e6, End: now - now%1e6 + 3600e6}
	return c
}

// used is what a check stands at.
func used(t testing.TB, l limiter.Limiter, c limiter.Check) int64 {
	t.Helper()
	var a limiter.Answer
	must(t, l.Peek(t.Context(), &limiter.Query{Tag: "tag", Cost: 1, Checks: []limiter.Check{c}}, &a))
	return a.States[0].Used
}

// TestRedisNeverSendsTwice: a call whose reply was lost is an error that says that it may have run, is
// counted once in Redis, and its units are counted as lost.
func TestRedisNeverSendsTwice(t *testing.T) {
	single := startRedis(t)
	line := lay(t, single.addr)
	clusterLine, cluster := startCutCluster(t)
	for _, c := range []struct {
		name string
		line *cable
		o    limiter.RedisOptions
	}{
		{"single", line, limiter.RedisOptions{Addrs: []string{line.addr}}},
		{"cluster", clusterLine, limiter.RedisOptions{Addrs: cluster, Cluster: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRedis(t, c.o)
			check := on(t, "key", "100/h")
			want := int64(0)
			for i := range 20 {
				if i%2 == 1 {
					c.line.cut.Store(true)
				}
				var a limiter.Answer
				err := r.Decide(t.Context(), &limiter.Query{Tag: "tag", Cost: 1, Checks: []limiter.Check{check}}, &a)
				want++
				if i%2 == 0 {
					must(t, err)
				} else if !errors.Is(err, limiter.ErrUnavailable) || !limiter.MayHaveRun(err) {
					t.Fatalf("call %d, %d cuts: got %v, want ErrUnavailable that may have run", i, c.line.cuts.Load(), err)
				}
				if got := used(t, r, check); got != want {
					t.Fatalf("call %d: got %d used, want %d", i, got, want)
				}
			}
			if r.Lost() != 10 || c.line.cuts.Load() != 10 {
				t.Errorf("got %d lost and %d cut, want 10", r.Lost(), c.line.cuts.Load())
			}
			// A day: the lost unit is used, and not by this node's own books.
			daily := today(t, "key", "100/day")
			decide(t, r, 1, daily)
			c.line.cut.Store(true)
			var a limiter.Answer
			if err := r.Decide(t.Context(), &limiter.Query{Tag: "tag", Cost: 1, Checks: []limiter.Check{daily}}, &a); !limiter.MayHaveRun(err) {
				t.Fatalf("got %v, want that it may have run", err)
			}
			if got := used(t, r, daily); got != 2 {
				t.Errorf("got %d used of the day, want 2", got)
			}
			if counts := r.Changed(nil); len(counts) != 1 || counts[0].Used != 1 {
				t.Errorf("got %+v, want the one that was admitted", counts)
			}
		})
	}
}

// TestRedisLostAndBack: without the store every decision is an error within the budget, and soon after it is
// back it decides again; nothing stays behind.
func TestRedisLostAndBack(t *testing.T) {
	const budget = 100 * time.Millisecond
	for name, fault := range map[string]struct{ begin, end func(*testing.T, *server) }{
		"killed": {func(t *testing.T, s *server) { s.kill() }, func(t *testing.T, s *server) { s.start(t) }},
		"paused": {func(t *testing.T, s *server) { s.pause(t) }, func(t *testing.T, s *server) { s.resume(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := startRedis(t)
			s.Ping(t.Context())
			before := goleak.IgnoreCurrent()
			r, err := limiter.NewRedis(limiter.RedisOptions{Addrs: []string{s.addr}, Node: "a", Budget: budget})
			must(t, err)
			ask := func(i int) error {
				var a limiter.Answer
				subject := fmt.Sprint("key ", i%7)
				return r.Decide(t.Context(), &limiter.Query{Tag: subject, Cost: 1, Checks: []limiter.Check{on(t, subject, "1000000/s"), today(t, subject, "1000000/day")}}, &a)
			}
			for i := range 20 {
				must(t, ask(i))
			}
			base := runtime.NumGoroutine()
			fault.begin(t, s)
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					for k := range 5 {
						begun := time.Now()
						err := ask(i + k)
						if took := time.Since(begun); took > 5*budget {
							t.Errorf("an answer took %v, the budget is %v", took, budget)
						}
						if !errors.Is(err, limiter.ErrUnavailable) {
							t.Errorf("got %v, want ErrUnavailable", err)
						}
						if name == "killed" && k > 1 && limiter.MayHaveRun(err) {
							t.Errorf("%v: nothing can have run", err)
						}
					}
				})
			}
			wg.Wait()
			fault.end(t, s)
			eventually(t, 5*time.Second, "it decides again", func() bool { return ask(0) == nil })
			eventually(t, 5*time.Second, "goroutines are back to base", func() bool { return runtime.NumGoroutine() <= base+8 })
			must(t, r.Close())
			if err := ask(0); !errors.Is(err, limiter.ErrUnavailable) || limiter.MayHaveRun(err) {
				t.Errorf("closed: got %v, want ErrUnavailable", err)
			}
			goleak.VerifyNone(t, before)
		})
	}
}

// TestRedisNotThere: a limiter can be made without its store.
func TestRedisNotThere(t *testing.T) {
	before := goleak.IgnoreCurrent()
	r, err := limiter.NewRedis(limiter.RedisOptions{Addrs: []string{fmt.Sprint("127.0.0.1:", freePort(t))}, Node: "a", Budget: time.Second})
	must(t, err)
	var a limiter.Answer
	err = r.Decide(t.Context(), &limiter.Query{Cost: 1, Checks: []limiter.Check{on(t, "key", "1/s")}}, &a)
	if !errors.Is(err, limiter.ErrUnavailable) || limiter.MayHaveRun(err) {
		t.Errorf("got %v, want ErrUnavailable, and not that it may have run", err)
	}
	if err := r.Ping(t.Context()); !errors.Is(err, limiter.ErrUnavailable) {
		t.Errorf("ping: got %v, want ErrUnavailable", err)
	}
	must(t, r.Close())
	goleak.VerifyNone(t, before)
}

// TestRedisStoreErrors: what Redis refuses to run is an error, never a verdict from what it holds.
func TestRedisStoreErrors(t *testing.T) {
	for _, c := range []struct{ name, set, to string }{
		{"no memory", "maxmemory", "1"},
		{"replica", "replicaof", "127.0.0.1 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startRedis(t)
			r := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}})
			one := on(t, "key", "1/h")
			decide(t, r, 1, one)
			if c.set == "replicaof" {
				must(t, s.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
			} else {
				must(t, s.ConfigSet(t.Context(), c.set, c.to).Err())
			}
			_, err := tryOne(t, r, one)
			if !errors.Is(err, limiter.ErrUnavailable) || limiter.MayHaveRun(err) {
				t.Errorf("got %v, want ErrUnavailable, and not that it may have run", err)
			}
			if r.Lost() != 0 {
				t.Errorf("got %d lost, want none", r.Lost())
			}
		})
	}
}

// TestRedisScriptIsLoadedAgain: after SCRIPT FLUSH every call of a pipeline finds its way.
func TestRedisScriptIsLoadedAgain(t *testing.T) {
	s := startRedis(t)
	r := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}})
	for range 20 {
		must(t, s.ScriptFlush(t.Context()).Err())
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				c := on(t, fmt.Sprint("key ", i), "1000/h")
				var a limiter.Answer
				if err := r.Decide(context.Background(), &limiter.Query{Tag: "tag", Cost: 1, Checks: []limiter.Check{c}}, &a); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	for i := range 40 {
		if got := used(t, r, on(t, fmt.Sprint("key ", i), "1000/h")); got != 20 {
			t.Errorf("key %d: got %d used, want 20", i, got)
		}
	}
}
