package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/limiter"
)

// maker makes an empty limiter with the given clock. The clock moves in whole µs, may step back by
// less than a second at a time, and is set before a call and not during it.
type maker func(t testing.TB, now func() time.Time) limiter.Limiter

// testLimiter is what every backend promises. A backend passes it with its own maker.
func testLimiter(t *testing.T, make maker) {
	for name, f := range map[string]func(*testing.T, maker){
		"session":        testSession,
		"all or nothing": testAllOrNothing,
		"change of N":    testChangeOfN,
		"calendar":       testCalendar,
		"peek":           testPeek,
		"apart":          testApart,
		"errors":         testErrors,
		"model":          testModel,
		"properties":     testProperties,
		"concurrent":     testConcurrent,
	} {
		t.Run(name, func(t *testing.T) { f(t, make) })
	}
}

// answer is an Answer of few states, for tables.
func answer(allowed bool, states ...limiter.State) limiter.Answer {
	return limiter.Answer{Allowed: allowed, States: states}
}

func decide(t testing.TB, l limiter.Limiter, cost int64, checks ...limiter.Check) limiter.Answer {
	t.Helper()
	var a limiter.Answer
	must(t, l.Decide(t.Context(), &limiter.Query{Tag: "tag", Cost: cost, Checks: checks}, &a))
	return a
}

func want(t testing.TB, got, want limiter.Answer) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("want (-), got (+):\n%s", diff)
	}
}

// testSession follows one client at 3/s.
func testSession(t *testing.T, make maker) {
	const ms = time.Millisecond
	clock := clockAt(t, "2026-11-21T10:00:00Z")
	l := make(t, clock.now)
	limit := on(t, "key", "3/s")
	for i, step := range []struct {
		wait time.Duration
		cost int64
		want limiter.Answer
	}{
		{0, 1, answer(true, limiter.State{Used: 1, Reset: 1000 * ms})},
		{100 * ms, 1, answer(true, limiter.State{Used: 2, Reset: 900 * ms})},
		{0, 1, answer(true, limiter.State{Used: 3, Reset: 900 * ms})},
		{0, 1, answer(false, limiter.State{Used: 3, Retry: 900 * ms, Reset: 900 * ms})},
		{0, 2, answer(false, limiter.State{Used: 3, Retry: 1000 * ms, Reset: 900 * ms})},
		{900*ms - time.Microsecond, 1, answer(false, limiter.State{Used: 3, Retry: time.Microsecond, Reset: time.Microsecond})},
		{time.Microsecond, 1, answer(true, limiter.State{Used: 3, Reset: 100 * ms})},
		{100 * ms, 2, answer(true, limiter.State{Used: 3, Reset: 900 * ms})},
		// A step back: what is admitted then counts from the newest admission.
		{-50 * ms, 1, answer(false, limiter.State{Used: 3, Retry: 950 * ms, Reset: 950 * ms})},
		{time.Hour, 3, answer(true, limiter.State{Used: 3, Reset: 1000 * ms})},
	} {
		clock.move(step.wait)
		t.Run(fmt.Sprint("step ", i), func(t *testing.T) {
			want(t, decide(t, l, step.cost, limit), step.want)
		})
	}
}

// testAllOrNothing: a request that one limit refuses is charged on none, and only the limit that
// refuses tells to wait.
func testAllOrNothing(t *testing.T, make maker) {
	clock := clockAt(t, "2026-11-21T10:00:00Z")
	l := make(t, clock.now)
	key := on(t, "key", "10/s")
	owner := limiter.Check{Counter: limiter.Counter{Level: limiter.Owner, Subject: "owner"}, Limit: parse(t, "1/min")}
	route := limiter.Check{Counter: limiter.Counter{Level: limiter.Route, Subject: "key", Route: "orders"}, Limit: parse(t, "5/s")}
	full := limiter.State{Used: 1, Reset: time.Second}
	want(t, decide(t, l, 1, key, owner, route),
		answer(true, full, limiter.State{Used: 1, Reset: time.Minute}, full))
	want(t, decide(t, l, 1, key, owner, route),
		answer(false, full, limiter.State{Used: 1, Reset: time.Minute, Retry: time.Minute}, full))
	want(t, decide(t, l, 1, route, key),
		answer(true, limiter.State{Used: 2, Reset: time.Second}, limiter.State{Used: 2, Reset: time.Second}))
}

// testChangeOfN: N may change between any two calls and what was counted stays.
func testChangeOfN(t *testing.T, make maker) {
	clock := clockAt(t, "2026-11-21T10:00:00.0000005Z")
	l := make(t, clock.now)
	decide(t, l, 2, on(t, "key", "2/s"))
	want(t, decide(t, l, 3, on(t, "key", "5/s")), answer(true, limiter.State{Used: 5, Reset: time.Second}))
	want(t, decide(t, l, 1, on(t, "key", "2/s")), answer(false, limiter.State{Used: 5, Reset: time.Second, Retry: time.Second}))
	// A large N rounds the times it writes, those already written stay.
	clock.move(500*time.Millisecond + 300*time.Microsecond)
	want(t, decide(t, l, 1995, on(t, "key", "2000/s")),
		answer(true, limiter.State{Used: 2000, Reset: 499*time.Millisecond + 700*time.Microsecond}))
	clock.move(499*time.Millisecond + 700*time.Microsecond)
	want(t, decide(t, l, 6, on(t, "key", "2000/s")),
		answer(false, limiter.State{Used: 1995, Reset: 501 * time.Millisecond, Retry: 501 * time.Millisecond}))
	clock.move(501 * time.Millisecond)
	want(t, decide(t, l, 1, on(t, "key", "1/s")), answer(true, limiter.State{Used: 1, Reset: time.Second}))
}

// testCalendar counts over the end of a day and of a month, and refuses spans that are not now.
func testCalendar(t *testing.T, make maker) {
	clock := clockAt(t, "2026-11-30T23:59:59Z")
	l := make(t, clock.now)
	day, month := limiter.NewCalendar(limiter.Day, nil), limiter.NewCalendar(limiter.Month, nil)
	checks := func() []limiter.Check {
		d, m := on(t, "key", "2/day"), on(t, "key", "3/month")
		d.Span, m.Span = day.At(clock.now()), month.At(clock.now())
		return []limiter.Check{d, m}
	}
	second, today, december := limiter.State{Used: 2, Reset: time.Second}, 24*time.Hour, 31*24*time.Hour
	old := checks()
	want(t, decide(t, l, 2, old...), answer(true, second, second))
	second.Retry = time.Second
	want(t, decide(t, l, 2, old...), answer(false, second, second))

	clock.move(time.Second)
	var a limiter.Answer
	if err := l.Decide(t.Context(), &limiter.Query{Cost: 1, Checks: old}, &a); !errors.Is(err, limiter.ErrPeriodOver) {
		t.Fatalf("got %v, want ErrPeriodOver", err)
	}
	want(t, decide(t, l, 2, checks()...),
		answer(true, limiter.State{Used: 2, Reset: today}, limiter.State{Used: 2, Reset: december}))
	early := checks()
	clock.move(-time.Second)
	if err := l.Peek(t.Context(), &limiter.Query{Cost: 1, Checks: early}, &a); !errors.Is(err, limiter.ErrPeriodOver) {
		t.Fatalf("got %v, want ErrPeriodOver", err)
	}
	// Back in the old day: it has not been forgotten.
	want(t, decide(t, l, 1, checks()...),
		answer(false, limiter.State{Used: 2, Reset: time.Second, Retry: time.Second}, limiter.State{Used: 2, Reset: time.Second}))

	// A calendar starts anew for each zone, and slides for none.
	clock.move(time.Hour)
	other := on(t, "key", "2/day")
	other.Span = limiter.NewCalendar(limiter.Day, time.FixedZone("", 3600)).At(clock.now())
	want(t, decide(t, l, 1, other, on(t, "key", "2/24h")),
		answer(true, limiter.State{Used: 1, Reset: 23*time.Hour + time.Second - time.Hour}, limiter.State{Used: 1, Reset: today}))
}

// testPeek spends nothing, and says what Decide would.
func testPeek(t *testing.T, make maker) {
	clock := clockAt(t, "2026-11-21T10:00:00Z")
	l := make(t, clock.now)
	q := &limiter.Query{Cost: 2, Checks: []limiter.Check{on(t, "key", "2/s")}}
	var a limiter.Answer
	for range 3 {
		must(t, l.Peek(t.Context(), q, &a))
		want(t, a, answer(true, limiter.State{}))
	}
	want(t, decide(t, l, 1, q.Checks...), answer(true, limiter.State{Used: 1, Reset: time.Second}))
	for range 3 {
		must(t, l.Peek(t.Context(), q, &a))
		want(t, a, answer(false, limiter.State{Used: 1, Reset: time.Second, Retry: time.Second}))
	}
	must(t, l.Peek(t.Context(), &limiter.Query{Cost: 1}, &a))
	if !a.Allowed || len(a.States) != 0 {
		t.Errorf("no checks: got %+v, want allowed", a)
	}
	if a := decide(t, l, 1); !a.Allowed || len(a.States) != 0 {
		t.Errorf("no checks: got %+v, want allowed", a)
	}
}

// testApart: counters differ by level, subject, route and window, and by nothing else.
func testApart(t *testing.T, make maker) {
	l := make(t, clockAt(t, "2026-11-21T10:00:00Z").now)
	var checks []limiter.Check
	for _, level := range []limiter.Level{limiter.Credential, limiter.Owner, limiter.Tenant, limiter.Route} {
		for _, subject := range []string{"", "a", "b", "a\x00b", "a:b", "a}{b"} {
			for _, limit := range []string{"1/s", "1/min", "1/60ms"} {
				c := limiter.Counter{Level: level, Subject: subject}
				checks = append(checks, limiter.Check{Counter: c, Limit: parse(t, limit)})
				if level == limiter.Route {
					for _, c.Route = range []string{"a", "b", "a:b"} {
						checks = append(checks, limiter.Check{Counter: c, Limit: parse(t, limit)})
					}
				}
			}
		}
	}
	for i, c := range checks {
		if a := decide(t, l, 1, c); !a.Allowed {
			t.Errorf("check %d %+v: got refused, want a counter of its own", i, c)
		}
	}
	a := decide(t, l, 1, checks...)
	for i, s := range a.States {
		if s.Used != 1 || s.Retry == 0 {
			t.Errorf("check %d %+v: got %+v, want 1 used", i, checks[i], s)
		}
	}
}

// testErrors: what cannot be decided charges nothing and leaves no verdict.
func testErrors(t *testing.T, make maker) {
	l := make(t, clockAt(t, "2026-11-21T10:00:00Z").now)
	good := on(t, "key", "5/s")
	with := func(change func(*limiter.Check)) []limiter.Check {
		bad := on(t, "key", "5/min")
		change(&bad)
		return []limiter.Check{good, bad}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		cost   int64
		checks []limiter.Check
		want   error
	}{
		{"no cost", t.Context(), 0, []limiter.Check{good}, limiter.ErrInvalidQuery},
		{"negative cost", t.Context(), -1 << 63, []limiter.Check{good}, limiter.ErrInvalidQuery},
		{"no N", t.Context(), 1, with(func(c *limiter.Check) { c.Limit.N = 0 }), limiter.ErrInvalidQuery},
		{"negative N", t.Context(), 1, with(func(c *limiter.Check) { c.Limit.N = -1 << 63 }), limiter.ErrInvalidQuery},
		{"huge N", t.Context(), 1, with(func(c *limiter.Check) { c.Limit.N = 1<<63 - 1 }), limiter.ErrInvalidQuery},
		{"no window", t.Context(), 1, with(func(c *limiter.Check) { c.Limit.Window = 0 }), limiter.ErrInvalidQuery},
		{"negative window", t.Context(), 1, with(func(c *limiter.Check) { c.Limit.Window = -time.Second }), limiter.ErrInvalidQuery},
		{"unknown unit", t.Context(), 1, with(func(c *limiter.Check) { c.Limit.Unit = 77 }), limiter.ErrInvalidQuery},
		{"unknown level", t.Context(), 1, with(func(c *limiter.Check) { c.Counter.Level = 77 }), limiter.ErrInvalidQuery},
		{"no span", t.Context(), 1, with(func(c *limiter.Check) { c.Limit = limiter.Limit{N: 1, Unit: limiter.Day} }), limiter.ErrInvalidQuery},
		{"twice", t.Context(), 1, with(func(c *limiter.Check) { c.Limit = limiter.Limit{N: 7, Window: time.Second} }), limiter.ErrInvalidQuery},
		{"cost above N", t.Context(), 6, []limiter.Check{good}, limiter.ErrCostExceedsLimit},
		{"largest cost", t.Context(), 1<<63 - 1, []limiter.Check{good}, limiter.ErrCostExceedsLimit},
		{"gone", gone, 1, []limiter.Check{good}, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := &limiter.Query{Cost: c.cost, Checks: c.checks}
			for name, call := range map[string]func(context.Context, *limiter.Query, *limiter.Answer) error{"Decide": l.Decide, "Peek": l.Peek} {
				a := limiter.Answer{Allowed: true, States: []limiter.State{{Used: 9}}}
				if err := call(c.ctx, q, &a); !errors.Is(err, c.want) {
					t.Errorf("%s: got %v, want %v", name, err, c.want)
				}
				if a.Allowed || len(a.States) != 0 {
					t.Errorf("%s: got %+v, want no verdict", name, a)
				}
			}
		})
	}
	want(t, decide(t, l, 5, good), answer(true, limiter.State{Used: 5, Reset: time.Second}))
}

// testModel compares every answer with the model's over random histories.
func testModel(t *testing.T, make maker) {
	steps := 100_000
	if long() {
		steps = 2_000_000
	}
	const rounds = 20
	var admitted, refused, errs int
	for round := range rounds {
		w := newWorld(t, uint64(round), make)
		for i := range steps / rounds {
			q := w.next()
			now := w.clock.micros.Load()
			spend := w.rand.IntN(10) > 0
			call := w.limiter.Peek
			if spend {
				call = w.limiter.Decide
			}
			var got limiter.Answer
			err := call(t.Context(), q, &got)
			want, wantErr := w.model.decide(now, q, spend)
			if !errors.Is(err, wantErr) || err == nil && (got.Allowed != want.Allowed || !slices.Equal(got.States, want.States)) {
				t.Fatalf("round %d, step %d, spend %v, %+v:\ngot  %+v, %v\nwant %+v, %v", round, i, spend, q, got, err, want, wantErr)
			}
			w.retry = 0
			for _, s := range got.States {
				w.retry = max(w.retry, s.Retry)
			}
			switch {
			case err != nil:
				errs++
			case got.Allowed:
				admitted++
			default:
				refused++
			}
		}
	}
	t.Logf("%d admitted, %d refused, %d outside their period", admitted, refused, errs)
	if admitted < steps/10 || refused < steps/10 || errs == 0 {
		t.Errorf("got %d admitted, %d refused, %d outside their period of %d steps: the histories prove little", admitted, refused, errs, steps)
	}
}

// world makes random requests around one limiter: a handful of counters with limits of all sizes,
// whose N changes now and then, at times that stand still, creep, jump, and step back a little.
type world struct {
	rand      *rand.Rand
	clock     *hand
	limiter   limiter.Limiter
	model     model
	checks    []limiter.Check
	calendars map[limiter.Unit]*limiter.Calendar
	stale     limiter.Span
	retry     time.Duration // what the last answer told to wait
}

func newWorld(t testing.TB, seed uint64, make maker) *world {
	w := &world{rand: rand.New(rand.NewPCG(seed, 1)), clock: clockAt(t, "2026-11-21T10:00:00.000123Z"), model: model{}}
	w.limiter = make(t, w.clock.now)
	w.calendars = map[limiter.Unit]*limiter.Calendar{
		limiter.Day:   limiter.NewCalendar(limiter.Day, time.FixedZone("", 5*3600+1800)),
		limiter.Month: limiter.NewCalendar(limiter.Month, nil),
	}
	windows := []limiter.Limit{
		{Window: time.Millisecond}, {Window: 7 * time.Millisecond}, {Window: time.Second}, {Window: 10 * time.Second},
		{Window: time.Minute}, {Window: 24 * time.Hour}, {Unit: limiter.Day}, {Unit: limiter.Month},
	}
	for i := range 8 {
		c := limiter.Check{
			Counter: limiter.Counter{Level: limiter.Level(i % 4), Subject: fmt.Sprint("subject ", i/3)},
			Limit:   windows[(i+int(seed))%len(windows)],
		}
		if c.Counter.Level == limiter.Route {
			c.Counter.Route = fmt.Sprint("route ", i)
		}
		c.Limit.N = w.number()
		w.checks = append(w.checks, c)
	}
	return w
}

func (w *world) number() int64 {
	return []int64{1, 2, 3, 10, 100, 999, 1000, 1001, 2500, 1_000_000}[w.rand.IntN(10)]
}

func (w *world) next() *limiter.Query {
	switch n := w.rand.IntN(100); {
	case n < 40:
	case n < 55:
		w.clock.move(time.Duration(w.rand.IntN(5)) * time.Microsecond)
	case n < 75:
		w.clock.move(time.Duration(w.rand.Int64N(int64(10 * time.Millisecond))))
	case n < 80:
		w.clock.move(time.Duration(w.rand.Int64N(int64(3 * time.Second))))
	case n < 88:
		w.clock.move(min(w.retry, time.Hour))
	case n < 92:
		w.clock.move(max(0, min(w.retry, time.Hour)-time.Microsecond))
	case n < 96:
		w.clock.move(-time.Duration(w.rand.Int64N(int64(20 * time.Millisecond))))
	case n < 97:
		w.clock.move(-time.Duration(w.rand.Int64N(int64(time.Second))))
	case n < 98:
		w.clock.move(time.Duration(w.rand.Int64N(int64(2 * time.Minute))))
	default:
		w.clock.move(time.Duration(w.rand.Int64N(int64(9 * time.Hour))))
	}
	if w.rand.IntN(50) == 0 {
		w.checks[w.rand.IntN(len(w.checks))].Limit.N = w.number()
	}
	q := &limiter.Query{Tag: "tag", Cost: 1}
	most := int64(1 << 40)
	for range 1 + w.rand.IntN(4) {
		c := w.checks[w.rand.IntN(len(w.checks))]
		if slices.ContainsFunc(q.Checks, func(d limiter.Check) bool { return d.Counter == c.Counter && d.Limit.SameWindow(c.Limit) }) {
			continue
		}
		if calendar := w.calendars[c.Limit.Unit]; calendar != nil {
			c.Span = calendar.At(w.clock.now())
			if w.rand.IntN(200) == 0 {
				c.Span, w.stale = w.stale, c.Span
			}
			if c.Span == (limiter.Span{}) {
				c.Span = calendar.At(w.clock.now())
			}
		}
		most = min(most, c.Limit.N)
		q.Checks = append(q.Checks, c)
	}
	if w.rand.IntN(3) == 0 {
		q.Cost = 1 + w.rand.Int64N(most)
	}
	return q
}

// testConcurrent: however many ask at one instant, in whatever order of checks, exactly N get in.
func testConcurrent(t *testing.T, make maker) {
	const clients, tries = 16, 200
	l := make(t, clockAt(t, "2026-11-21T10:00:00Z").now)
	shared := on(t, "shared", "1000/s")
	var admitted [4]atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			own := on(t, fmt.Sprint("client ", i%4), "300/s")
			own.Counter.Level = limiter.Owner
			q := &limiter.Query{Tag: "tag", Cost: 1, Checks: []limiter.Check{shared, own}}
			if i%2 == 0 {
				q.Checks = []limiter.Check{own, shared}
			}
			var a limiter.Answer
			for range tries {
				if err := l.Decide(t.Context(), q, &a); err != nil {
					t.Error(err)
					return
				}
				if a.Allowed {
					admitted[i%4].Add(1)
				}
				if err := l.Peek(t.Context(), q, &a); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	var sum int64
	for i := range admitted {
		n := admitted[i].Load()
		if n > 300 {
			t.Errorf("owner %d: got %d admitted, want at most 300", i, n)
		}
		sum += n
	}
	if sum != 1000 {
		t.Errorf("got %d admitted, want 1000", sum)
	}
}

func TestLocalConformsConcurrent(t *testing.T) {
	testLimiter(t, func(t testing.TB, now func() time.Time) limiter.Limiter {
		return limiter.NewLocal(limiter.LocalOptions{Now: now})
	})
}
