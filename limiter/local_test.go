package limiter_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"postern/limiter"
)

// tryOne asks for one unit and returns the error.
func tryOne(t testing.TB, l limiter.Limiter, checks ...limiter.Check) (bool, error) {
	var a limiter.Answer
	err := l.Decide(t.Context(), &limiter.Query{Cost: 1, Checks: checks}, &a)
	return a.Allowed, err
}

// TestLocalFull: when full, new counters are refused with nothing charged, live ones go on, and
// room comes back when counters are idle.
func TestLocalFull(t *testing.T) {
	clock := clockAt(t, "2026-11-21T10:00:00Z")
	l := limiter.NewLocal(limiter.LocalOptions{Now: clock.now, MaxCounters: 20})
	for i := range 20 {
		decide(t, l, 1, on(t, fmt.Sprint("key ", i), "2/s"))
	}
	old, fresh := on(t, "key 7", "2/s"), on(t, "another", "2/s")
	if _, err := tryOne(t, l, old, fresh); !errors.Is(err, limiter.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	want(t, decide(t, l, 1, old), answer(true, limiter.State{Used: 2, Reset: time.Second}))
	want(t, decide(t, l, 1, old), answer(false, limiter.State{Used: 2, Reset: time.Second, Retry: time.Second}))
	var a limiter.Answer
	must(t, l.Peek(t.Context(), &limiter.Query{Cost: 1, Checks: []limiter.Check{fresh}}, &a))
	want(t, a, answer(true, limiter.State{}))

	// Not before everything left the windows.
	clock.move(time.Second - time.Microsecond)
	if _, err := tryOne(t, l, fresh); !errors.Is(err, limiter.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	clock.move(11 * time.Second)
	want(t, decide(t, l, 1, fresh), answer(true, limiter.State{Used: 1, Reset: time.Second}))
}

// TestLocalFullOfEntries: room for log entries is bounded as counters are.
func TestLocalFullOfEntries(t *testing.T) {
	clock := clockAt(t, "2026-11-21T10:00:00Z")
	l := limiter.NewLocal(limiter.LocalOptions{Now: clock.now, MaxEntries: 64})
	limit, other := on(t, "key", "1000/h"), on(t, "key", "1000/min")
	admitted := 0
	var err error
	for err == nil {
		_, err = tryOne(t, l, other, limit)
		clock.move(time.Microsecond)
		admitted++
	}
	if !errors.Is(err, limiter.ErrFull) || admitted != 33 {
		t.Fatalf("got %v at request %d, want ErrFull at 33, when two logs of 32 are full", err, admitted)
	}
	var a limiter.Answer
	must(t, l.Peek(t.Context(), &limiter.Query{Cost: 1, Checks: []limiter.Check{limit, other}}, &a))
	if a.States[0].Used != 32 || a.States[1].Used != 32 {
		t.Errorf("got %+v, want 32 used on both", a.States)
	}
	// As soon as an entry has left there is room for one again.
	clock.move(time.Minute)
	want(t, decide(t, l, 1, other), answer(true, limiter.State{Used: 1, Reset: time.Minute}))
	clock.move(2 * time.Hour)
	for i := range 8 {
		decide(t, l, 1, on(t, fmt.Sprint("key ", i), "2/s"))
	}
}

// TestLocalAllocatesNothing covers admissions, refusals and looks at 100,000 keys under four limits.
func TestLocalAllocatesNothing(t *testing.T) {
	const keys = 100_000
	l := limiter.NewLocal(limiter.LocalOptions{})
	who := newCallers(keys, 3)
	q, a := who.query(), limiter.Answer{}
	for i := range keys {
		who.put(q, i)
		must(t, l.Decide(t.Context(), q, &a))
	}
	ctx := t.Context()
	for name, call := range map[string]func(i int) error{
		"100,000 keys": func(i int) error {
			who.put(q, i)
			return l.Decide(ctx, q, &a)
		},
		"one key, refused": func(int) error {
			who.put(q, 0)
			return l.Decide(ctx, q, &a)
		},
		"look": func(i int) error {
			who.put(q, i)
			return l.Peek(ctx, q, &a)
		},
	} {
		i := 0
		n := testing.AllocsPerRun(50_000, func() {
			i++
			if err := call(i); err != nil {
				t.Error(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: got %v allocations per decision, want 0", name, n)
		}
	}
}

// TestLocalManyChecks: more checks than usual cost allocations and nothing else.
func TestLocalManyChecks(t *testing.T) {
	l := limiter.NewLocal(limiter.LocalOptions{Now: clockAt(t, "2026-11-21T10:00:00Z").now})
	var checks []limiter.Check
	for i := range 300 {
		checks = append(checks, on(t, fmt.Sprint("key ", i), "1/s"))
	}
	for i, allowed := range []bool{true, false} {
		a := decide(t, l, 1, checks...)
		if a.Allowed != allowed || len(a.States) != 300 || a.States[299].Used != 1 {
			t.Errorf("call %d: got %v with %d states, want %v with 300", i, a.Allowed, len(a.States), allowed)
		}
	}
	must(t, l.Close())
}
