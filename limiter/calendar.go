package limiter

import (
	"sync/atomic"
	"time"
)

// Span is a calendar period [Start, End) in µs since the Unix epoch.
type Span struct{ Start, End int64 }

// Contains tells whether an instant in µs since the Unix epoch lies in the span.
func (s Span) Contains(micros int64) bool { return s.Start <= micros && micros < s.End }

// Calendar finds the period of a unit (Day or Month) in a time zone. Safe for concurrent use.
//
// A period starts at the first instant whose local date is in it. That is not always midnight:
// where clocks go forward at midnight (Santiago, Havana) the day starts at one, where they were
// put back a minute after it (St. John's until 2011) the day has started for good, and a day that
// a country left out (Samoa's 30 December 2011) has no period. So days have 23 to 25 hours, now
// and then other lengths, and each instant is in exactly one period.
type Calendar struct {
	unit  Unit
	zone  *time.Location
	cache atomic.Pointer[Span]
}

// NewCalendar makes the calendar of u, Day or Month, in zone; nil means UTC. It panics if u is
// Sliding, which has no periods.
func NewCalendar(u Unit, zone *time.Location) *Calendar {
	if u != Day && u != Month {
		panic("limiter: a calendar counts days or months")
	}
	if zone == nil {
		zone = time.UTC
	}
	return &Calendar{unit: u, zone: zone}
}

// At returns the period that holds now. It allocates only when the period differs from the one
// asked for last.
func (c *Calendar) At(now time.Time) Span {
	micros := now.UnixMicro()
	if s := c.cache.Load(); s != nil && s.Contains(micros) {
		return *s
	}
	s := c.find(now)
	c.cache.Store(&s)
	return s
}

func (c *Calendar) find(now time.Time) Span {
	year, month, day := now.In(c.zone).Date()
	if c.unit == Month {
		day = 1
	}
	date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	start := c.start(date)
	for {
		date = c.after(date)
		end := c.start(date)
		if now.Before(end) {
			return Span{start.UnixMicro(), end.UnixMicro()}
		}
		// The clock was put back over the start of this period, or it was left out.
		start = end
	}
}

// after returns the first date of the next period; dates are written as midnights of UTC.
func (c *Calendar) after(date time.Time) time.Time {
	if c.unit == Month {
		return date.AddDate(0, 1, 0)
	}
	return date.AddDate(0, 0, 1)
}

// start returns the first instant whose local date is that date or a later one. It looks through
// the stretches of constant offset, oldest first, beginning where no zone has reached the date.
func (c *Calendar) start(date time.Time) time.Time {
	from := date.Add(-48 * time.Hour)
	for {
		local := from.In(c.zone)
		_, offset := local.Zone()
		midnight := date.Add(-time.Duration(offset) * time.Second)
		if midnight.Before(from) {
			midnight = from
		}
		_, until := local.ZoneBounds()
		if until.IsZero() || midnight.Before(until) {
			return midnight
		}
		from = until
	}
}
