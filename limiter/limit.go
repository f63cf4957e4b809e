package limiter

import "time"

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

// Limit is "at most N units per window or period". The zero Limit admits nothing and is never
// produced by ParseLimit.
type Limit struct {
	N      int64         // units, ≥ 1
	Unit   Unit          // how time is measured
	Window time.Duration // length for Sliding, 1 ms to 366 days; 0 otherwise
}
