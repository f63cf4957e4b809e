package limiter

import (
	"context"
	"time"
)

// ParseLimit reads the limit grammar, for example 2/s, 100/10s, 50/min, 1000/day.
func ParseLimit(s string) (Limit, error) { panic("stub") }

// String writes the limit in its shortest form; ParseLimit reads it back.
func (l Limit) String() string { panic("stub") }

// Label names the limit's window within a limit name: s, 10s, min, 24h, day, month.
func (l Limit) Label() string { panic("stub") }

// Span is a calendar period [Start, End) in µs since the Unix epoch.
type Span struct{ Start, End int64 }

// Calendar finds the period of a unit (Day or Month) in a time zone. Safe for concurrent use.
type Calendar struct{}

// NewCalendar ...
func NewCalendar(u Unit, zone *time.Location) *Calendar { panic("stub") }

// At returns the period that holds now. No allocation.
func (c *Calendar) At(now time.Time) Span { panic("stub") }

// LocalOptions configures NewLocal; the zero value works.
type LocalOptions struct {
	Now         func() time.Time // wall + monotonic clock; nil means time.Now
	MaxCounters int              // 0 means the documented default
}

// Local is the in-process Limiter.
type Local struct{}

// NewLocal ...
func NewLocal(o LocalOptions) *Local { panic("stub") }

// Decide implements Limiter.
func (l *Local) Decide(ctx context.Context, q *Query, a *Answer) error { panic("stub") }

// Peek implements Limiter.
func (l *Local) Peek(ctx context.Context, q *Query, a *Answer) error { panic("stub") }

// Close stops the background sweep.
func (l *Local) Close() error { panic("stub") }

var _ Limiter = (*Local)(nil)
