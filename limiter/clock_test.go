package limiter

import (
	"context"
	"testing"
	"time"
)

// TestClock rounds away from the limit on both sides.
func TestClock(t *testing.T) {
	for _, c := range []struct {
		name        string
		base, now   int64 // ns since the epoch
		sharp, late int64 // µs
	}{
		{"whole", 5_000, 9_000, 9, 9},
		{"between", 5_000, 9_001, 9, 10},
		{"both between", 5_999, 9_001, 9, 10},
		{"almost whole", 5_001, 9_999, 9, 10},
		{"base between, now whole", 5_001, 9_000, 9, 9},
		{"the base", 5_001, 5_001, 5, 6},
		{"before the base", 5_000, 4_001, 4, 5},
		{"whole before the base", 5_999, 4_000, 4, 4},
		{"before the epoch", 5_999, -1, -1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := c.base
			clock := newClock(func() time.Time { return time.Unix(0, at) })
			at = c.now
			if got, want := clock.read(), (instant{c.sharp, c.late, c.sharp}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// TestBetweenMicroseconds: a clock finer than 1 µs does not let a window of real time exceed its
// limit, nor keep a unit for more than 1 µs beyond it.
func TestBetweenMicroseconds(t *testing.T) {
	at := int64(900)
	l := NewLocal(LocalOptions{Now: func() time.Time { return time.Unix(0, at) }})
	q := &Query{Cost: 1, Checks: []Check{{Limit: Limit{N: 1, Window: time.Second}}}}
	for _, step := range []struct {
		ns      int64
		allowed bool
	}{
		{900, true},
		{1_000_000_000, false}, // 900 ns too early
		{1_000_000_899, false},
		{1_000_000_999, false}, // kept for 99 ns longer than needed
		{1_000_001_000, true},
		{2_000_000_999, false},
		{2_000_001_000, true}, // the time before was a whole one
	} {
		at = step.ns
		var a Answer
		if err := l.Decide(context.Background(), q, &a); err != nil {
			t.Fatal(err)
		}
		if a.Allowed != step.allowed {
			t.Errorf("at %d ns: got %v, want %v", at, a.Allowed, step.allowed)
		}
	}
}
