//go:build realservers

package limiter_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/socket"
	"postern/limiter"
)

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRedisDecide is one decision under four limits. Beside the usual figures it reports
// cpu-ns/op of this process, redis-ns/op of Redis's processor time and calls/op of its script.
func BenchmarkRedisDecide(b *testing.B) {
	for _, bench := range []struct {
		name    string
		keys    int
		rate    int64
		clients int
		limits  int
	}{
		{"alone", 10_000, 1000, 1, 4},
		{"alone refused", 10_000, 1, 1, 4},
		{"32 clients", 10_000, 1000, 32, 4},
		{"32 clients refused", 10_000, 1, 32, 4},
		{"32 clients one key", 1, limiter.MaxUnits, 32, 4},
		{"alone one key", 1, 1000, 1, 4},
		{"two limits", 10_000, 1000, 32, 2},
		{"two limits few keys", 100, 1000, 32, 2},
		{"one limit", 10_000, 1000, 32, 1},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := startRedis(b)
			l, err := limiter.NewRedis(limiter.RedisOptions{Addrs: []string{s.addr}, Node: "a", Budget: patient, Wrap: socket.Direct})
			must(b, err)
			defer func() { must(b, l.Close()) }()
			who := newCallers(bench.keys, bench.rate)
			q, a := who.query(), limiter.Answer{}
			q.Checks = q.Checks[:bench.limits]
			for i := range bench.keys {
				q.Checks = q.Checks[:4]
				who.put(q, i)
				q.Checks = q.Checks[:bench.limits]
				must(b, l.Decide(b.Context(), q, &a))
			}
			run := func(n, from int) {
				q, a := who.query(), limiter.Answer{}
				all := q.Checks
				for i := range n {
					q.Checks = all
					who.put(q, from+i)
					q.Checks = all[:bench.limits]
					if err := l.Decide(b.Context(), q, &a); err != nil {
						b.Error(err)
						return
					}
				}
			}
			b.ReportAllocs()
			used, redisUsed, calls := cpu(b), s.cpu(b), l.Calls()
			b.ResetTimer()
			done := make(chan struct{})
			for c := range bench.clients {
				n := b.N / bench.clients
				if c < b.N%bench.clients {
					n++
				}
				go func() { run(n, c*1009); done <- struct{}{} }()
			}
			for range bench.clients {
				<-done
			}
			b.StopTimer()
			n := float64(b.N)
			b.ReportMetric(float64(cpu(b)-used)/n, "cpu-ns/op")
			b.ReportMetric((s.cpu(b)-redisUsed)*1e9/n, "redis-ns/op")
			b.ReportMetric(float64(l.Calls()-calls)/n, "calls/op")
		})
	}
}

// BenchmarkRedisGet is the yardstick: what being asked costs Redis at all on this machine, where the answer
// is a GET of one short string.
func BenchmarkRedisGet(b *testing.B) {
	for _, clients := range []int{1, 32} {
		b.Run(fmt.Sprint(clients, " clients"), func(b *testing.B) {
			s := startRedis(b)
			must(b, s.Set(b.Context(), "key", "value", 0).Err())
			used, redisUsed := cpu(b), s.cpu(b)
			b.ResetTimer()
			var group sync.WaitGroup
			for c := range clients {
				group.Go(func() {
					for range (b.N + c) / clients {
						if err := s.Get(b.Context(), "key").Err(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cpu(b)-used)/float64(b.N), "cpu-ns/op")
			b.ReportMetric((s.cpu(b)-redisUsed)*1e9/float64(b.N), "redis-ns/op")
		})
	}
}

// BenchmarkRedisHotKey offers one key 10,000 requests a second, evenly, whether or not those before
// were answered, and reports calls/s of the script that Redis ran.
func BenchmarkRedisHotKey(b *testing.B) {
	const rate = 10_000
	s := startRedis(b)
	l, err := limiter.NewRedis(limiter.RedisOptions{Addrs: []string{s.addr}, Node: "a", Budget: patient, Wrap: socket.Direct})
	must(b, err)
	defer func() { must(b, l.Close()) }()
	who := newCallers(1, limiter.MaxUnits)
	var group sync.WaitGroup
	ask := func() {
		q, a := who.query(), limiter.Answer{}
		who.put(q, 0)
		if err := l.Decide(b.Context(), q, &a); err != nil {
			b.Error(err)
		}
	}
	ask()
	calls, begun := l.Calls(), time.Now()
	b.ResetTimer()
	for i := range b.N {
		if due := begun.Add(time.Duration(i) * time.Second / rate); time.Until(due) > 0 {
			time.Sleep(time.Until(due))
		}
		group.Go(ask)
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(l.Calls()-calls)/time.Since(begun).Seconds(), "calls/s")
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "asked/s")
}
