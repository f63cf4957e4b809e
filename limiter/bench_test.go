package limiter_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/limiter"
)

// callers are credentials, ten to an owner, each under four limits: a rate and a quota of its own,
// a quota of its owner and a rate of the route.
type callers struct {
	ids, owners []string
	rate        int64
	today       limiter.Span
}

// newCallers makes n callers with a rate by the second.
func newCallers(n int, rate int64) *callers {
	c := &callers{rate: rate, today: limiter.NewCalendar(limiter.Day, nil).At(time.Now())}
	c.today.End += c.today.End - c.today.Start // midnight may come while this runs
	for i := range n {
		c.ids = append(c.ids, fmt.Sprintf("key_%012d", i))
		c.owners = append(c.owners, fmt.Sprintf("user_%012d", i/10))
	}
	return c
}

// query makes a query to be used again and again with put.
func (c *callers) query() *limiter.Query {
	rate := limiter.Limit{N: c.rate, Window: time.Second}
	quota := limiter.Limit{N: limiter.MaxUnits, Unit: limiter.Day}
	return &limiter.Query{Cost: 1, Checks: []limiter.Check{
		{Counter: limiter.Counter{Level: limiter.Credential}, Limit: rate},
		{Counter: limiter.Counter{Level: limiter.Credential}, Limit: quota, Span: c.today},
		{Counter: limiter.Counter{Level: limiter.Owner}, Limit: quota, Span: c.today},
		{Counter: limiter.Counter{Level: limiter.Route, Route: "orders"}, Limit: rate},
	}}
}

// put makes q the query of another caller. Steps of one through i visit all of them, neighbours in
// time being strangers in memory.
func (c *callers) put(q *limiter.Query, i int) {
	i = i * 7919 % len(c.ids)
	id := c.ids[i]
	q.Tag = c.owners[i]
	q.Checks[0].Counter.Subject = id
	q.Checks[1].Counter.Subject = id
	q.Checks[2].Counter.Subject = c.owners[i]
	q.Checks[3].Counter.Subject = id
}

// BenchmarkLocalDecide is one decision under four limits; ns/op is the whole decision.
func BenchmarkLocalDecide(b *testing.B) {
	for _, bench := range []struct {
		name string
		keys int
		rate int64
	}{
		{"one key admitted", 1, limiter.MaxUnits},
		{"one key refused", 1, 2},
		{"100000 counters admitted", 32_000, 1000}, // three for each key, one for ten
		{"100000 keys admitted", 100_000, 1000},
		{"100000 keys refused", 100_000, 1},
	} {
		b.Run(bench.name, func(b *testing.B) {
			one := newSubjects(b, bench.keys, bench.rate)
			b.ReportAllocs()
			b.ResetTimer()
			one.decide(b, 0, b.N)
		})
		b.Run(bench.name+" parallel", func(b *testing.B) {
			all := newSubjects(b, bench.keys, bench.rate)
			b.ResetTimer()
			onAllCores(b, b.N, all)
		})
	}
}

// BenchmarkLocalScaling compares one limiter, used by all cores, with one for each core that has its part of
// the callers: what the machine lets cores do that share nothing. Short turns of both alternate; ratio is the
// median of the pairs.
func BenchmarkLocalScaling(b *testing.B) {
	for _, bench := range []struct {
		name string
		keys int
		rate int64
	}{
		{"100000 counters admitted", 32_000, 1000},
		{"100000 keys admitted", 100_000, 1000},
		{"100000 keys refused", 100_000, 1},
	} {
		b.Run(bench.name, func(b *testing.B) {
			shared := newSubjects(b, bench.keys, bench.rate)
			var apart []*subjects
			for range runtime.GOMAXPROCS(0) {
				apart = append(apart, newSubjects(b, bench.keys/runtime.GOMAXPROCS(0), bench.rate))
			}
			b.ResetTimer()
			const turns = 25
			var ratios []float64
			for range turns {
				n := max(1, b.N/turns)
				begun := time.Now()
				onAllCores(b, n, shared)
				between := time.Now()
				onAllCores(b, n, apart...)
				ratios = append(ratios, float64(between.Sub(begun))/float64(time.Since(between)))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[turns/2], "ratio")
		})
	}
}

// subjects are callers with a limiter that holds their counters.
type subjects struct {
	*callers
	limiter *limiter.Local
	at      atomic.Int64 // the caller to go on with
}

func newSubjects(b *testing.B, n int, rate int64) *subjects {
	s := &subjects{callers: newCallers(n, rate), limiter: limiter.NewLocal(limiter.LocalOptions{})}
	s.decide(b, 0, n)
	return s
}

// decide decides n times, from one caller on.
func (s *subjects) decide(b *testing.B, from, n int) {
	q, a := s.query(), limiter.Answer{}
	for i := range n {
		s.put(q, from+i)
		if err := s.limiter.Decide(b.Context(), q, &a); err != nil {
			b.Error(err)
			return
		}
	}
}

// onAllCores decides n times in all, on all cores, core i with limiter i if there is more than one.
func onAllCores(b *testing.B, n int, by ...*subjects) {
	var group sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for i := range cores {
		s, part := by[i%len(by)], (n+i)/cores
		group.Go(func() { s.decide(b, int(s.at.Add(int64(part)))+i*1009, part) })
	}
	group.Wait()
}
