//go:build realservers

package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"postern/limiter"
)

// TestRedisRepairsQuotas: after a flush, every node's next call brings back what it admitted itself; what
// nobody asks for any more comes back by itself.
func TestRedisRepairsQuotas(t *testing.T) {
	s := startRedis(t)
	var nodes []*limiter.Redis
	for i := range 3 {
		nodes = append(nodes, newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: fmt.Sprint("node ", i)}))
	}
	busy, idle := today(t, "busy", "1000/day"), today(t, "idle", "1000/month")
	for i, r := range nodes {
		for range 10 * (i + 1) {
			decide(t, r, 1, busy)
		}
		decide(t, r, 7, idle)
	}
	if got := used(t, nodes[0], busy); got != 60 {
		t.Fatalf("got %d used, want 60", got)
	}
	must(t, s.FlushAll(t.Context()).Err())
	// Even a request that is refused brings its node's part back.
	for _, r := range nodes {
		full := busy
		full.Limit.N = 1
		if a := decide(t, r, 1, full); r == nodes[2] && (a.Allowed || a.States[0].Used != 60) {
			t.Errorf("got %+v, want refused at 60", a)
		}
	}
	reader := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: "reader"})
	eventually(t, 20*time.Second, "the idle counter is back", func() bool { return used(t, reader, idle) == 21 })
	for i, r := range nodes {
		want := map[string]int64{"busy": int64(10 * (i + 1)), "idle": 7}
		for _, c := range r.Changed(nil) {
			if c.Used != want[c.Counter.Subject] {
				t.Errorf("node %d: got %+v, want %d", i, c, want[c.Counter.Subject])
			}
		}
	}
	allExpire(t, s)
}

// TestRedisRestoredComesBack: what a gateway restored from its checkpoint is brought to a Redis that has
// nothing of it, without a call for any of it, and faster than page by page.
func TestRedisRestoredComesBack(t *testing.T) {
	const keys = 300
	s := startRedis(t)
	first := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: "node"})
	var checks []limiter.Check
	for i := range keys {
		checks = append(checks, today(t, fmt.Sprint("key ", i), "10/day"))
		decide(t, first, 3, checks[i])
	}
	checkpoint := first.Changed(nil)
	must(t, first.Close())
	must(t, s.FlushAll(t.Context()).Err())
	second := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: "node"})
	must(t, second.Restore(checkpoint))
	eventually(t, 20*time.Second, "all counters are back", func() bool { return s.DBSize(t.Context()).Val() == keys })
	reader := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: "reader"})
	for i, c := range checks {
		if got := used(t, reader, c); got != 3 {
			t.Fatalf("key %d: got %d used, want 3", i, got)
		}
	}
}

// TestRedisRepairsWhatAnswers: a server of a cluster that is lost keeps no other one from being repaired, and is repaired
// itself when it comes back with nothing.
func TestRedisRepairsWhatAnswers(t *testing.T) {
	servers, addrs := startCluster(t, 3) // two are the majority, without which a cluster serves nobody
	r := newRedis(t, limiter.RedisOptions{Addrs: addrs, Node: "node", Budget: time.Second})
	const tags = 40
	for i := range tags {
		var a limiter.Answer
		check := today(t, fmt.Sprint("subject ", i), "100/day")
		must(t, r.Decide(t.Context(), &limiter.Query{Tag: fmt.Sprint("tag ", i), Cost: 3, Checks: []limiter.Check{check}}, &a))
	}
	held := func(s *server) int64 { return s.DBSize(t.Context()).Val() }
	var first []int64
	for _, s := range servers {
		if first = append(first, held(s)); held(s) == 0 {
			t.Fatalf("a server holds none of %d counters", tags)
		}
	}
	for _, s := range servers {
		must(t, s.FlushAll(t.Context()).Err())
	}
	servers[2].pause(t)
	eventually(t, 20*time.Second, "the counters of the servers that answer are back", func() bool {
		return held(servers[0]) == first[0] && held(servers[1]) == first[1]
	})
	servers[2].resume(t)
	eventually(t, 20*time.Second, "those of the other one are", func() bool { return held(servers[2]) == first[2] })
}

// TestRedisFlushedUnderLoad: however flushes and decisions fall together, the final count is exact.
func TestRedisFlushedUnderLoad(t *testing.T) {
	s := startRedis(t)
	var nodes []*limiter.Redis
	for i := range 3 {
		nodes = append(nodes, newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: fmt.Sprint(i)}))
	}
	owner := today(t, "owner", "1000000/day")
	owner.Counter.Level = limiter.Owner
	var wg sync.WaitGroup
	const clients, each = 12, 400
	for i := range clients {
		wg.Go(func() {
			own := today(t, fmt.Sprint("key ", i%5), "1000000/day") // so that they are different calls
			q := &limiter.Query{Tag: "tag", Cost: 1 + int64(i%2), Checks: []limiter.Check{own, owner}}
			var a limiter.Answer
			for range each {
				if err := nodes[i%3].Decide(context.Background(), q, &a); err != nil || !a.Allowed {
					t.Errorf("got %+v, %v, want admitted", a, err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range 10 {
			time.Sleep(20 * time.Millisecond) // the load goes on meanwhile
			_ = s.FlushAll(context.Background()).Err()
		}
	}()
	wg.Wait()
	<-stop
	want := int64(clients / 2 * each * 3)
	for _, r := range nodes {
		used(t, r, owner)
		var a limiter.Answer // a decision writes what a look only reads
		must(t, r.Decide(t.Context(), &limiter.Query{Tag: "tag", Cost: 1, Checks: []limiter.Check{{Counter: owner.Counter, Limit: limiter.Limit{N: 1, Unit: limiter.Day}, Span: owner.Span}}}, &a))
	}
	if got := used(t, nodes[0], owner); got != want {
		t.Errorf("got %d used, want %d", got, want)
	}
}

// TestRedisLearns: a node that was killed and restored an older checkpoint learns from its field what the
// checkpoint lacks, so that a flush does not give it out again; what was charged meanwhile is on top.
func TestRedisLearns(t *testing.T) {
	s := startRedis(t)
	c := today(t, "key", "1000/day")
	first := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: "node"})
	for range 3 {
		decide(t, first, 1, c)
	}
	checkpoint := first.Changed(nil)
	decide(t, first, 2, c) // not in it

	second := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: "node"})
	must(t, second.Restore(checkpoint))
	must(t, second.Charge(&limiter.Query{Tag: "tag", Cost: 10, Checks: []limiter.Check{c}})) // while Redis was lost
	if total, since := second.Known(&c); total != 3 || since != 10 {
		t.Errorf("before Redis was heard: got %d and %d since, want the checkpoint's 3 and 10", total, since)
	}
	var wg sync.WaitGroup
	for i := range 20 { // many at once, of two costs, so that they cannot all share a call
		wg.Go(func() {
			var a limiter.Answer
			if err := second.Decide(context.Background(), &limiter.Query{Tag: "tag", Cost: 1 + int64(i%2), Checks: []limiter.Check{c}}, &a); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	decide(t, second, 1, c)
	const want = 5 + 10 + 30 + 1
	if got := used(t, second, c); got != want {
		t.Errorf("got %d used, want %d", got, want)
	}
	if total, since := second.Known(&c); total != want || since != 0 {
		t.Errorf("got %d known and %d since, want %d and nothing", total, since, want)
	}
	must(t, s.FlushAll(t.Context()).Err())
	decide(t, second, 1, c)
	if got := used(t, second, c); got != want+1 {
		t.Errorf("flushed: got %d used, want %d", got, want+1)
	}
	if counts := second.Changed(nil); len(counts) != 1 || counts[0].Used != want+1 {
		t.Errorf("got %+v, want %d", counts, want+1)
	}
}

// TestRedisKnownUnderOverlap: calls that are on the wire at the same time all bring what was charged while Redis was lost,
// and it counts as brought once.
func TestRedisKnownUnderOverlap(t *testing.T) {
	s := startRedis(t)
	line := lay(t, s.addr)
	r := newRedis(t, limiter.RedisOptions{Addrs: []string{line.addr}, Node: "node"})
	c := today(t, "key", "1000/day")
	decide(t, r, 1, c)
	decide(t, r, 1, c)
	must(t, r.Charge(&limiter.Query{Tag: "tag", Cost: 10, Checks: []limiter.Check{c}}))
	line.delay.Store(int64(50 * time.Millisecond)) // long enough for both to be sent before either is answered
	var wg sync.WaitGroup
	for cost := range int64(2) { // different calls, which share nothing
		wg.Go(func() {
			var a limiter.Answer
			if err := r.Decide(context.Background(), &limiter.Query{Tag: "tag", Cost: 1 + cost, Checks: []limiter.Check{c}}, &a); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if total, since := r.Known(&c); total != 15 || since != 0 {
		t.Errorf("got %d known and %d since, want 15 and nothing", total, since)
	}
}

// TestRedisRestoreRefuses what no checkpoint holds.
func TestRedisRestoreRefuses(t *testing.T) {
	r := newRedis(t, limiter.RedisOptions{Addrs: []string{"127.0.0.1:1"}, MaxCounters: 1})
	good := limiter.Count{Unit: limiter.Day, Span: today(t, "", "1/day").Span, Used: 1}
	bad := good
	bad.Unit = limiter.Sliding
	if err := r.Restore([]limiter.Count{bad}); !errors.Is(err, limiter.ErrInvalidQuery) {
		t.Errorf("got %v, want ErrInvalidQuery", err)
	}
	other := good
	other.Counter.Subject = "other"
	if err := r.Restore([]limiter.Count{good, good, other}); !errors.Is(err, limiter.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}

// allExpire checks that every key has a TTL.
func allExpire(t testing.TB, s *server) {
	t.Helper()
	keys := s.Scan(context.Background(), 0, "postern:*", 1000).Iterator()
	n := 0
	for keys.Next(context.Background()) {
		n++
		if ttl := s.PTTL(context.Background(), keys.Val()).Val(); ttl == -1 {
			t.Errorf("%s never expires", keys.Val())
		}
	}
	must(t, keys.Err())
	if n == 0 {
		t.Error("there are no keys")
	}
}
