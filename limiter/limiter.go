package limiter

import (
	"context"
	"errors"
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
	// callers are expected to have ruled it out.
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
	// Own is what this gateway itself has admitted on this counter in Span before this call. A
	// shared store repairs its count with it; the in-process limiter ignores it.
	Own int64
}

// Query is one request put to a Limiter.
type Query struct {
	// Tag names the group of counters that must live together in a sharded store: all counters
	// of one query share it. The in-process limiter ignores it.
	Tag string
	// Cost is how many units the request spends on each counter, ≥ 1.
	Cost int64
	// Checks are decided together. An empty list is admitted.
	Checks []Check
}

// Answer is a Limiter's verdict. Its zero value is ready for use and may be reused.
type Answer struct {
	Allowed bool
	// States has one entry per check, in the order of Query.Checks.
	States []State
}

// State is where one counter stands after the decision.
type State struct {
	// Used is the units in the window or period, this request's included if it was admitted.
	Used int64
	// Retry is how long to wait until this limit has room for the cost, 0 when it has it now.
	// A lone client that waits exactly that long is admitted.
	Retry time.Duration
	// Reset is how long until the oldest unit leaves the window or the period ends; 0 if unused.
	Reset time.Duration
}
