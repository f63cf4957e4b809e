package limiter

import (
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
