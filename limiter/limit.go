package limiter

import (
	"fmt"
	"strconv"
	"time"
)

// Unit tells how a limit measures time.
type Unit uint8

const (
	// Sliding limits look back over the last Window at every instant.
	Sliding Unit = iota
	// Day limits count from local midnight to local midnight.
	Day
	// Month limits count from the first of a month to the first of the next.
	Month
)

// The range of a limit. Within it no sum of units or of times overflows.
const (
	MaxUnits  = 1_000_000_000_000 // largest N
	MinWindow = time.Millisecond
	MaxWindow = 366 * 24 * time.Hour
)

// Limit is "at most N units per window or period". The zero Limit admits nothing and is never
// produced by ParseLimit.
type Limit struct {
	N      int64         // units, 1 to MaxUnits
	Unit   Unit          // how time is measured
	Window time.Duration // length for Sliding, whole ms from MinWindow to MaxWindow; 0 otherwise
}

// Validate returns nil for what ParseLimit can produce, else what is wrong with the limit.
func (l Limit) Validate() error {
	if l.inRange() {
		return nil
	}
	switch {
	case l.N < 1 || l.N > MaxUnits:
		return fmt.Errorf("limit of %d units: want 1 to %d", l.N, int64(MaxUnits))
	case l.Unit > Month:
		return fmt.Errorf("limit with unit %d: want Sliding, Day or Month", l.Unit)
	case l.Unit != Sliding:
		return fmt.Errorf("calendar limit with a window of %v: want none", l.Window)
	}
	return fmt.Errorf("limit with a window of %v: want whole milliseconds, %v to %v", l.Window, MinWindow, MaxWindow)
}

func (l Limit) inRange() bool {
	if l.N < 1 || l.N > MaxUnits {
		return false
	}
	if l.Unit != Sliding {
		return l.Unit <= Month && l.Window == 0
	}
	return l.Window >= MinWindow && l.Window <= MaxWindow && l.Window%time.Millisecond == 0
}

// String writes the limit with the largest unit that divides its window, so that 60/60s becomes
// 60/min. ParseLimit reads it back.
func (l Limit) String() string {
	return strconv.FormatInt(l.N, 10) + "/" + l.Label()
}

// Label names the limit's window within a limit name: s, 10s, min, 24h, day, month. Limits with
// the same window have the same label.
func (l Limit) Label() string {
	switch l.Unit {
	case Day:
		return "day"
	case Month:
		return "month"
	}
	length, name := time.Millisecond, "ms"
	for _, u := range slidingUnits {
		if l.Window >= u.length && l.Window%u.length == 0 {
			length, name = u.length, u.name
		}
	}
	if l.Window == length {
		return name
	}
	return strconv.FormatInt(int64(l.Window/length), 10) + name
}

// SameWindow tells whether both limits count over one window or period, whatever their N: 60/min
// and 10/60s do, 5/day and 5/24h do not.
func (l Limit) SameWindow(m Limit) bool {
	return l.Unit == m.Unit && l.Window == m.Window
}

// Resolution is how much longer than the window a sliding limit may hold a unit against its
// caller: 1 µs up to N = 1000, a thousandth of the window above. It bounds a counter's log to
// about a thousand entries. It is 0 for calendar limits, which are exact.
func (l Limit) Resolution() time.Duration {
	switch {
	case l.Unit != Sliding:
		return 0
	case l.N <= 1000:
		return time.Microsecond
	}
	return l.Window / 1000
}

// width is the window in µs.
func (l Limit) width() int64 { return int64(l.Window / time.Microsecond) }

// grain is the resolution in µs.
func (l Limit) grain() int64 { return int64(l.Resolution() / time.Microsecond) }
