package limiter_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/limiter"
)

// daily is a query for one unit of a credential's day and second, on that clock.
func daily(t testing.TB, subject, limit string, now time.Time) *limiter.Query {
	c := on(t, subject, limit)
	c.Span = limiter.NewCalendar(c.Limit.Unit, nil).At(now)
	return &limiter.Query{Cost: 1, Checks: []limiter.Check{on(t, subject, "1000/s"), c}}
}

func spend(t testing.TB, l limiter.Limiter, q *limiter.Query) bool {
	t.Helper()
	var a limiter.Answer
	must(t, l.Decide(context.Background(), q, &a))
	return a.Allowed
}

// TestCheckpointCarriesOn: what one limiter counted and another was given goes on where it stood.
func TestCheckpointCarriesOn(t *testing.T) {
	h := clockAt(t, "2026-11-21T10:00:00Z")
	first := limiter.NewLocal(limiter.LocalOptions{Now: h.now, Track: true})
	for range 3 {
		spend(t, first, daily(t, "a", "5/day", h.now()))
	}
	spend(t, first, daily(t, "b", "5/month", h.now()))
	counts := first.Changed(nil)
	slices.SortFunc(counts, func(a, b limiter.Count) int { return cmp.Compare(a.Counter.Subject, b.Counter.Subject) })
	want := []limiter.Count{
		{Counter: limiter.Counter{Subject: "a"}, Unit: limiter.Day, Span: limiter.NewCalendar(limiter.Day, nil).At(h.now()), Used: 3},
		{Counter: limiter.Counter{Subject: "b"}, Unit: limiter.Month, Span: limiter.NewCalendar(limiter.Month, nil).At(h.now()), Used: 1},
	}
	if !slices.Equal(counts, want) {
		t.Fatalf("got %+v, want %+v", counts, want)
	}
	if again := first.Changed(nil); len(again) != 0 {
		t.Errorf("nothing changed since, but got %+v", again)
	}
	spend(t, first, daily(t, "a", "5/day", h.now()))
	if again := first.Changed(nil); len(again) != 1 || again[0].Used != 4 {
		t.Errorf("got %+v, want the one that changed, at 4", again)
	} else {
		counts = append(counts, again...) // the older one of the same counter must not win
	}

	second := limiter.NewLocal(limiter.LocalOptions{Now: h.now, Track: true})
	slices.Reverse(counts)
	must(t, second.Restore(counts))
	if got := second.Changed(nil); len(got) != 0 {
		t.Errorf("what was restored is not new, but got %+v", got)
	}
	if !spend(t, second, daily(t, "a", "5/day", h.now())) || spend(t, second, daily(t, "a", "5/day", h.now())) {
		t.Error("want exactly one more unit of a's day")
	}
	h.move(24 * time.Hour)
	if !spend(t, second, daily(t, "a", "5/day", h.now())) {
		t.Error("the next day must begin at nothing")
	}
}

func TestRestoreLeavesOutWhatIsOver(t *testing.T) {
	h := clockAt(t, "2026-11-21T10:00:00Z")
	today := limiter.NewCalendar(limiter.Day, nil).At(h.now())
	count := limiter.Count{Counter: limiter.Counter{Subject: "a"}, Unit: limiter.Day, Span: today, Used: 5}
	h.move(24 * time.Hour)
	// One counter at most: were yesterday's restored, today's would find no room.
	l := limiter.NewLocal(limiter.LocalOptions{Now: h.now, MaxCounters: 2})
	must(t, l.Restore([]limiter.Count{count}))
	if !spend(t, l, daily(t, "a", "5/day", h.now())) {
		t.Error("want the new day free")
	}
	count.Span = limiter.NewCalendar(limiter.Day, nil).At(h.now())
	count.Counter.Subject = "b"
	if err := l.Restore([]limiter.Count{count}); !errors.Is(err, limiter.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	for _, bad := range []limiter.Count{
		{Counter: count.Counter, Unit: limiter.Sliding, Span: count.Span, Used: 1},
		{Counter: count.Counter, Unit: limiter.Day, Used: 1},
		{Counter: count.Counter, Unit: limiter.Day, Span: count.Span, Used: -1},
		{Counter: limiter.Counter{Level: 9}, Unit: limiter.Day, Span: count.Span, Used: 1},
	} {
		if err := l.Restore([]limiter.Count{bad}); !errors.Is(err, limiter.ErrInvalidQuery) {
			t.Errorf("%+v: got %v, want ErrInvalidQuery", bad, err)
		}
	}
}

// TestChangedWhileDeciding: every unit admitted is in the last count that was handed out.
func TestChangedWhileDeciding(t *testing.T) {
	l := limiter.NewLocal(limiter.LocalOptions{Track: true})
	names := []string{"a", "b", "c", "d"}
	var deciders sync.WaitGroup
	const each = 2000
	for _, name := range names {
		deciders.Go(func() {
			var a limiter.Answer
			for range each {
				c := on(t, name, "1000000/month")
				c.Span = limiter.NewCalendar(limiter.Month, nil).At(time.Now())
				if err := l.Decide(context.Background(), &limiter.Query{Cost: 1, Checks: []limiter.Check{c}}, &a); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { deciders.Wait(); close(done) }()
	used := map[string]int64{}
	take := func() {
		for _, c := range l.Changed(nil) {
			used[c.Counter.Subject] = max(used[c.Counter.Subject], c.Used)
		}
	}
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		take()
	}
	for _, name := range names {
		if used[name] != each {
			t.Errorf("%s: got %d, want %d", name, used[name], each)
		}
	}
}

func TestTrackingDoesNotAllocate(t *testing.T) {
	l := limiter.NewLocal(limiter.LocalOptions{Track: true})
	q := daily(t, "a", "1000000/month", time.Now())
	q.Checks = q.Checks[1:]
	var a limiter.Answer
	var room []limiter.Count
	must(t, l.Decide(context.Background(), q, &a))
	room = l.Changed(room)
	if n := testing.AllocsPerRun(100, func() {
		_ = l.Decide(context.Background(), q, &a) // the verdict does not matter
		room = l.Changed(room[:0])
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// TestMarksSurviveSweeps: counters of one subject move among themselves when others of it are dropped,
// and one that was dropped may come back before the next checkpoint. Each is handed out once, with what it
// stands at.
func TestMarksSurviveSweeps(t *testing.T) {
	h := clockAt(t, "2026-11-21T23:30:00Z")
	l := limiter.NewLocal(limiter.LocalOptions{Now: h.now, Track: true})
	routes := []string{"r1", "r2", "r3", "r4", "r5", "r6", "r7"}
	charge := func(unit string, routes ...string) {
		for _, r := range routes {
			c := on(t, "a", unit)
			c.Counter.Route, c.Counter.Level = r, limiter.Route
			c.Span = limiter.NewCalendar(c.Limit.Unit, nil).At(h.now())
			spend(t, l, &limiter.Query{Cost: 1, Checks: []limiter.Check{c}})
		}
	}
	sweep := func() {
		for range 200_000 {
			spend(t, l, &limiter.Query{Cost: 1, Checks: []limiter.Check{on(t, "somebody else", "1000000/s")}})
		}
	}
	charge("100/day", routes...)        // today's stand before the months in the subject
	must(t, l.Restore([]limiter.Count{{ // into a subject that is there
		Counter: limiter.Counter{Level: limiter.Route, Subject: "a", Route: "r1"}, Unit: limiter.Month,
		Span: limiter.NewCalendar(limiter.Month, nil).At(h.now()), Used: 40,
	}}))
	charge("100/month", routes...)
	h.move(3 * time.Hour) // the day is over, and nobody read what it came to
	sweep()
	charge("100/month", "r2")
	charge("100/day", "r1")
	months, days := map[string]int64{}, map[string]int64{}
	for _, n := range l.Changed(nil) {
		if n.Counter.Subject != "a" || n.Span.End <= h.now().UnixMicro() {
			continue
		}
		counts := days
		if n.Unit == limiter.Month {
			counts = months
		}
		if _, twice := counts[n.Counter.Route]; twice {
			t.Errorf("%+v is handed out twice", n)
		}
		counts[n.Counter.Route] = n.Used
	}
	for _, r := range routes {
		want := map[string]int64{"r1": 41, "r2": 2}[r]
		if want == 0 {
			want = 1
		}
		if months[r] != want {
			t.Errorf("the month of %s is handed out as %d, want %d", r, months[r], want)
		}
	}
	if len(days) != 1 || days["r1"] != 1 {
		t.Errorf("got days %v, want the new one of r1 alone, at 1", days)
	}
	charge("100/month", "r7")
	if got := l.Changed(nil); len(got) != 1 || got[0].Used != 2 {
		t.Errorf("got %+v, want the one that changed since, at 2", got)
	}
}
