package limiter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Limiter decides whether a request may be admitted under every limit that applies to it at once,
// and counts it if so. It is implemented by Local (one machine) and, with the same promises, by a
// store that several gateways share. Implementations are safe for concurrent use.
type Limiter interface {
	// Decide admits q when every check has room for q.Cost more units, and then charges all of
	// them; otherwise it charges none. The verdict is in a, whose States slice is reused.
	//
	// An error means that the limiter could not know (ErrUnavailable, ErrFull, or the context's
	// error): it is never a refusal, and nothing has been charged unless the error says otherwise.
	// A check whose limit is smaller than q.Cost can never be met; it is ErrCostExceedsLimit, and
	// callers are expected to have ruled it out, as they have what is ErrInvalidQuery.
	//
	// The limiter's own clock decides. If it lies outside a check's Span, the error is
	// ErrPeriodOver: the caller asks its Calendar again, for the time in the PeriodError if the error
	// is one, and calls once more; if that fails too, the limiter cannot know.
	Decide(ctx context.Context, q *Query, a *Answer) error

	// Peek answers as Decide would at this instant, and spends nothing: State.Used is then what
	// is spent already, without q.Cost.
	Peek(ctx context.Context, q *Query, a *Answer) error
}

// Errors that Decide and Peek return, wrapped.
var (
	// ErrUnavailable says that the counters cannot be reached.
	ErrUnavailable = errors.New("limiter unavailable")
	// ErrFull says that the in-process limiter holds as many live counters as it may. A live
	// counter is never evicted, because forgetting it would admit too much.
	ErrFull = errors.New("limiter memory is full")
	// ErrCostExceedsLimit says that the cost is above a limit's N, so no wait would help.
	ErrCostExceedsLimit = errors.New("cost exceeds limit")
	// ErrPeriodOver says that the limiter's time lies outside a check's Span, usually because a
	// day or month ended since the span was computed. Nothing was charged; recompute it once.
	ErrPeriodOver = errors.New("calendar period is over")
	// ErrInvalidQuery says that a query is not one that a configuration can lead to: a cost below
	// 1, a limit out of range, an empty span, the same counter and window twice.
	ErrInvalidQuery = errors.New("invalid query")
)

// Level is what a limit counts by.
type Level uint8

// The levels, in the order in which a request's checks are listed.
const (
	Credential Level = iota // one key or client
	Owner                   // all credentials of one owner together
	Tenant                  // all credentials of one organisation together
	Route                   // one credential (public routes: one client address) on one route
)

// String returns the level as it stands in limit names: credential, owner, tenant, route.
func (l Level) String() string {
	switch l {
	case Credential:
		return "credential"
	case Owner:
		return "owner"
	case Tenant:
		return "tenant"
	case Route:
		return "route"
	}
	return "level(" + strconv.Itoa(int(l)) + ")"
}

// Counter names what is counted. It holds no N: changing a limit's number keeps what was counted.
type Counter struct {
	Level   Level
	Subject string // id of the credential, owner or tenant; for Route, of the credential or address
	Route   string // route name, only when Level is Route
}

// Check is one limit applied to one counter.
type Check struct {
	Counter Counter
	Limit   Limit
	// Span is the calendar period in force, only for calendar limits. See Calendar.
	Span Span
}

// Query is one request put to a Limiter.
type Query struct {
	// Tag names the group of counters that must live together in a sharded store: all counters
	// of one query share it. The in-process limiter ignores it.
	Tag string
	// Cost is how many units the request spends on each counter, ≥ 1.
	Cost int64
	// Checks are decided together. An empty list is admitted. No two may name the same counter
	// with the same window.
	Checks []Check
	// NoShare has a limiter that lost its store answer ErrUnavailable, where it would else decide by
	// this gateway's share of the limits. Others ignore it.
	NoShare bool
}

// Answer is a Limiter's verdict. Its zero value is ready for use and may be reused.
type Answer struct {
	Allowed bool
	// ByShare says that the store was lost and this gateway's share of the limits decided.
	ByShare bool
	// States has one entry per check, in the order of Query.Checks.
	States []State
}

// State is where one counter stands after the decision.
type State struct {
	// Used is the units in the window or period, this request's included if it was admitted.
	Used int64
	// Retry is how long to wait until this limit has room for the cost, 0 when it has it now or
	// had it for the request that was just admitted. A lone client that waits for the longest
	// Retry of an answer is admitted.
	Retry time.Duration
	// Reset is how long until the oldest unit leaves the window or the period ends; 0 if unused.
	Reset time.Duration
}

// validate returns what makes q one that no configuration leads to, or whose cost is too high.
func (q *Query) validate() error {
	if q.Cost < 1 {
		return fmt.Errorf("%w: cost %d: want at least 1", ErrInvalidQuery, q.Cost)
	}
	for i := range q.Checks {
		c := &q.Checks[i]
		switch {
		case !c.Limit.inRange():
			return fmt.Errorf("%w: check %d: %w", ErrInvalidQuery, i, c.Limit.Validate())
		case c.Counter.Level > Route:
			return fmt.Errorf("%w: check %d: %v", ErrInvalidQuery, i, c.Counter.Level)
		case c.Limit.Unit != Sliding && c.Span.Start >= c.Span.End:
			return fmt.Errorf("%w: check %d: calendar limit %v without a span", ErrInvalidQuery, i, c.Limit)
		case q.Cost > c.Limit.N:
			return fmt.Errorf("%w: %d units, %v limit %v", ErrCostExceedsLimit, q.Cost, c.Counter.Level, c.Limit)
		}
		for j := range i {
			if d := &q.Checks[j]; d.Limit.SameWindow(c.Limit) && d.Counter == c.Counter {
				return fmt.Errorf("%w: checks %d and %d: the same counter and window", ErrInvalidQuery, j, i)
			}
		}
	}
	return nil
}
