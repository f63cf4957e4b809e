package limiter_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/limiter"
)

// testProperties are the promises themselves, each on histories that rapid makes up and shrinks.
func testProperties(t *testing.T, make maker) {
	t.Run("never over", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) { neverOver(t, r, make) })
	})
	t.Run("never wrongly refused", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) { neverWronglyRefused(t, r, make) })
	})
	t.Run("retry is exact", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) { retryIsExact(t, r, make) })
	})
	t.Run("all or nothing", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) { chargesAllOrNothing(t, r, make) })
	})
}

func drawLimit(r *rapid.T) limiter.Limit {
	return limiter.Limit{
		N:      rapid.SampledFrom([]int64{1, 2, 3, 5, 20, 1000, 1001, 5000, 1_000_000}).Draw(r, "N"),
		Window: rapid.SampledFrom([]time.Duration{time.Millisecond, 10 * time.Millisecond, time.Second, time.Hour}).Draw(r, "window"),
	}
}

// drawGap is a time until the next request: none, a few µs, or a good part of the window.
func drawGap(r *rapid.T, window time.Duration) time.Duration {
	most := rapid.SampledFrom([]int64{0, 3, window.Microseconds() / 10, 2 * window.Microseconds()}).Draw(r, "range")
	return time.Duration(rapid.Int64Range(0, most).Draw(r, "gap")) * time.Microsecond
}

func drawCost(r *rapid.T, limit limiter.Limit) int64 {
	most := rapid.SampledFrom([]int64{1, 1 + limit.N/4, limit.N}).Draw(r, "most")
	return rapid.Int64Range(1, most).Draw(r, "cost")
}

// history runs 40 random requests and hands each, with those admitted before it, to check.
func history(t *testing.T, r *rapid.T, make maker, limit limiter.Limit, check func(before []admission, now, cost int64, a limiter.Answer)) {
	clock := clockAt(t, "2026-11-21T10:00:00.000321Z")
	l := make(t, clock.now)
	var before []admission
	for range 40 {
		clock.move(drawGap(r, limit.Window))
		cost, now := drawCost(r, limit), clock.micros.Load()
		a := decide(t, l, cost, limiter.Check{Counter: limiter.Counter{Subject: "key"}, Limit: limit})
		check(before, now, cost, a)
		if a.Allowed {
			before = append(before, admission{now, cost})
		}
	}
}

// within sums the units admitted in (from, ∞).
func within(all []admission, from int64) (units int64) {
	for _, a := range all {
		if a.time > from {
			units += a.units
		}
	}
	return units
}

func neverOver(t *testing.T, r *rapid.T, make maker) {
	limit := drawLimit(r)
	history(t, r, make, limit, func(before []admission, now, cost int64, a limiter.Answer) {
		if used := within(before, now-limit.Window.Microseconds()); a.Allowed && used+cost > limit.N {
			r.Fatalf("%v: admitted %d on top of %d in the window", limit, cost, used)
		}
	})
}

func neverWronglyRefused(t *testing.T, r *rapid.T, make maker) {
	limit := drawLimit(r)
	history(t, r, make, limit, func(before []admission, now, cost int64, a limiter.Answer) {
		from := now - limit.Window.Microseconds() - limit.Resolution().Microseconds()
		if used := within(before, from); !a.Allowed && used+cost <= limit.N {
			r.Fatalf("%v: refused %d on top of at most %d in the window", limit, cost, used)
		}
	})
}

// retryIsExact: whoever waits as told is admitted, whoever comes 1 µs earlier is not.
func retryIsExact(t *testing.T, r *rapid.T, make maker) {
	clock := clockAt(t, "2026-11-21T10:00:00.000321Z")
	l := make(t, clock.now)
	day := limiter.NewCalendar(limiter.Day, nil)
	limits := []limiter.Limit{drawLimit(r), drawLimit(r), {N: rapid.Int64Range(1, 50).Draw(r, "daily"), Unit: limiter.Day}}
	levels := []limiter.Level{limiter.Credential, limiter.Owner, limiter.Tenant}
	checks := func() (out []limiter.Check) {
		for i, limit := range limits {
			c := limiter.Check{Counter: limiter.Counter{Level: levels[i], Subject: "one"}, Limit: limit}
			if limit.Unit == limiter.Day {
				c.Span = day.At(clock.now())
			}
			out = append(out, c)
		}
		return out
	}
	refusals := 0
	for range 40 {
		clock.move(drawGap(r, limits[0].Window))
		cost := min(drawCost(r, limits[0]), limits[1].N, limits[2].N)
		a := decide(t, l, cost, checks()...)
		if a.Allowed {
			continue
		}
		refusals++
		var wait time.Duration
		for _, s := range a.States {
			wait = max(wait, s.Retry)
		}
		clock.move(wait - time.Microsecond)
		if a := decide(t, l, cost, checks()...); a.Allowed {
			r.Fatalf("%v: admitted 1µs before %v", limits, wait)
		}
		clock.move(time.Microsecond)
		if a := decide(t, l, cost, checks()...); !a.Allowed {
			r.Fatalf("%v: refused after waiting %v: %+v", limits, wait, a)
		}
	}
}

// chargesAllOrNothing: a verdict changes what is used on every counter by the cost, or on none.
func chargesAllOrNothing(t *testing.T, r *rapid.T, make maker) {
	clock := clockAt(t, "2026-11-21T10:00:00.000321Z")
	l := make(t, clock.now)
	var checks []limiter.Check
	for i := range rapid.IntRange(1, 12).Draw(r, "checks") {
		level := limiter.Level(i % 4)
		c := limiter.Check{Counter: limiter.Counter{Level: level, Subject: level.String()}, Limit: drawLimit(r)}
		c.Limit.Window += time.Duration(i) * time.Millisecond
		checks = append(checks, c)
	}
	q := &limiter.Query{Tag: "tag", Checks: checks}
	var before, verdict, after limiter.Answer
	for range 20 {
		clock.move(drawGap(r, checks[0].Limit.Window))
		q.Cost = 1
		must(t, l.Peek(t.Context(), q, &before))
		q.Cost = drawCost(r, checks[0].Limit)
		for _, c := range checks {
			q.Cost = min(q.Cost, c.Limit.N)
		}
		must(t, l.Decide(t.Context(), q, &verdict))
		spent := int64(0)
		if verdict.Allowed {
			spent = q.Cost
		}
		q.Cost = 1
		must(t, l.Peek(t.Context(), q, &after))
		for i := range checks {
			if got, want := after.States[i].Used, before.States[i].Used+spent; got != want || verdict.States[i].Used != want {
				r.Fatalf("check %d: got %d used after, %d in the verdict, want %d", i, got, verdict.States[i].Used, want)
			}
		}
	}
}
