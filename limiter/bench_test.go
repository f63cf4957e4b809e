package limiter_test

import (
	"fmt"
	"runtime"
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
		// fill makes a limiter that holds the counters of some callers.
		fill := func(b *testing.B, who *callers) func(*limiter.Query, *limiter.Answer) {
			l := limiter.NewLocal(limiter.LocalOptions{})
			decide := func(q *limiter.Query, a *limiter.Answer) {
				if err := l.Decide(b.Context(), q, a); err != nil {
					b.Error(err)
				}
			}
			q, a := who.query(), limiter.Answer{}
			for i := range who.ids {
				who.put(q, i)
				decide(q, &a)
			}
			return decide
		}
		b.Run(bench.name, func(b *testing.B) {
			who := newCallers(bench.keys, bench.rate)
			decide := fill(b, who)
			q, a := who.query(), limiter.Answer{}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				who.put(q, i)
				decide(q, &a)
			}
		})
		// With apart, each core has a limiter of its own with its part of the callers: what the machine
		// lets two cores do that share nothing.
		for _, form := range []struct {
			name  string
			apart bool
		}{{" parallel", false}, {" apart", true}} {
			b.Run(bench.name+form.name, func(b *testing.B) {
				cores := runtime.GOMAXPROCS(0)
				var whose []*callers
				var decides []func(*limiter.Query, *limiter.Answer)
				for i := range cores {
					keys := bench.keys
					if form.apart {
						keys = max(1, keys/cores)
					} else if i > 0 {
						whose, decides = append(whose, whose[0]), append(decides, decides[0])
						continue
					}
					who := newCallers(keys, bench.rate)
					whose, decides = append(whose, who), append(decides, fill(b, who))
				}
				b.ResetTimer()
				var starts atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					n := int(starts.Add(1))
					who, decide := whose[n-1], decides[n-1]
					q, a := who.query(), limiter.Answer{}
					for i := n * 1009; pb.Next(); i++ {
						who.put(q, i)
						decide(q, &a)
					}
				})
			})
		}
	}
}
