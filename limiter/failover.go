package limiter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Shared is a Limiter whose counters several gateways share, as Failover needs it. Its Decide and Peek
// return ErrUnavailable, wrapped, within a bounded time when the counters cannot be reached.
type Shared interface {
	Limiter
	// Part says in which part of the store the counters of a tag are, 0 to 15: parts are lost apart.
	Part(tag string) int
	// Charge notes that this gateway admitted q by itself. The days and months of the store learn of
	// it as soon as they can be reached; windows do not. ErrFull: it could not be noted.
	Charge(q *Query) error
	// Known is what all gateways together have used of a check's day or month as far as this one
	// knows, by the store's last word or by a checkpoint; and what Charge noted since.
	Known(c *Check) (total, since int64)
}

// Failover is the Limiter of a gateway in a fleet: a shared store decides, and while it is lost this
// gateway's share of each limit does. It loses no time on a store that does not answer: after five
// failures within a second that are no fewer than the successes it asks no more, and looks about five
// times a second whether the store is back.
//
// By its share a gateway admits at most share of N in any window, so all of them together N. The two
// histories know nothing of each other: a window in which the store is lost, or comes back, may hold
// N of each.
//
// Make it with NewFailover; it is safe for concurrent use.
type Failover struct {
	shared Shared
	roster *Roster
	log    *slog.Logger
	parts  [storeParts]storePart
	astray atomic.Int64 // when a call was last not decided by the store, in µs of wall time

	sharing sync.Mutex // held while a share decides
	local   *Local     // windows of what was admitted by shares
	ask     shareAsk

	stop    context.CancelFunc
	stopped context.Context
	probes  sync.WaitGroup
	mu      sync.Mutex // guards closed together with probes
	closed  bool
}

// storePart is what is known of a part of the store.
type storePart struct {
	breaker *breaker
	opened  atomic.Int64           // when the breaker opened, in µs of wall time; 0: it is closed
	failed  atomic.Pointer[string] // the tag that got no answer last
	probing atomic.Bool
}

var _ Limiter = (*Failover)(nil)

// FailoverOptions are the parts of a Failover.
type FailoverOptions struct {
	Shared Shared
	Roster *Roster
	Log    *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // of what shares admit, as LocalOptions.Now; nil: time.Now
}

// NewFailover makes one. Close it; the parts are their owners' to close.
func NewFailover(o FailoverOptions) *Failover {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Failover{shared: o.Shared, roster: o.Roster, log: o.Log, local: NewLocal(LocalOptions{Now: o.Now})}
	for i := range f.parts {
		f.parts[i].breaker = newBreaker()
	}
	f.stopped, f.stop = context.WithCancel(context.Background())
	return f
}

// Decide implements Limiter. What a share refuses has a Retry that is a guess: the store may be back
// any time.
func (f *Failover) Decide(ctx context.Context, q *Query, a *Answer) error {
	return f.answer(ctx, q, a, true)
}

// Peek implements Limiter.
func (f *Failover) Peek(ctx context.Context, q *Query, a *Answer) error {
	return f.answer(ctx, q, a, false)
}

func (f *Failover) answer(ctx context.Context, q *Query, a *Answer, spend bool) error {
	a.ByShare = false
	err := error(ErrUnavailable)
	if part := &f.parts[f.shared.Part(q.Tag)]; !part.breaker.isOpen.Load() {
		if spend {
			err = f.shared.Decide(ctx, q, a)
		} else {
			err = f.shared.Peek(ctx, q, a)
		}
		switch {
		case err == nil, errors.Is(err, ErrPeriodOver):
			part.breaker.note(true)
			return err
		case !errors.Is(err, ErrUnavailable):
			return err
		case !notAsked(err):
			f.failedOn(part, q.Tag, err)
		}
	}
	f.astray.Store(time.Now().UnixMicro())
	if q.NoShare {
		a.Allowed, a.States = false, a.States[:0]
		return fmt.Errorf("decide limits: %w", err)
	}
	return f.byShare(ctx, q, a, spend)
}

// failedOn notes that a part of the store did not answer about a tag. From then on it is probed until it
// answers: whether it is lost, and when it is back, is seen without anybody's call.
func (f *Failover) failedOn(part *storePart, tag string, err error) {
	part.failed.Store(&tag)
	f.failedOnce(part, err)
	if part.probing.Swap(true) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.probes.Go(func() { f.probe(part) })
	}
}

func (f *Failover) failedOnce(part *storePart, err error) {
	if part.breaker.note(false) {
		part.opened.Store(time.Now().UnixMicro())
		f.log.Error("the shared limiter does not answer; limits are decided by on_loss until it does", "error", err)
	}
}

// Times of a probe.
const (
	probeEvery  = 200 * time.Millisecond
	probeJitter = 50 * time.Millisecond // more or less
	probeBudget = 100 * time.Millisecond
)

// probe waits until a part of the store answers again, about the tag that got no answer last.
func (f *Failover) probe(part *storePart) {
	begun := time.Now()
	q := &Query{Cost: 1, Checks: []Check{{
		Counter: Counter{Level: Route, Subject: f.roster.Self(), Route: "probe"}, Limit: Limit{N: 1, Window: MinWindow},
	}}}
	var a Answer
	for {
		select {
		case <-f.stopped.Done():
			return
		case <-time.After(probeEvery - probeJitter + rand.N(2*probeJitter)):
		}
		q.Tag = *part.failed.Load()
		ctx, cancel := context.WithTimeout(f.stopped, probeBudget)
		err := f.shared.Decide(ctx, q, &a)
		cancel()
		switch {
		case f.stopped.Err() != nil:
			return
		case notAsked(err):
			continue
		case err != nil:
			f.failedOnce(part, err)
			continue
		}
		part.probing.Store(false) // first: a call that fails from now on begins another probe
		if part.opened.Swap(0) != 0 {
			f.log.Info("the shared limiter answers again", "after", time.Since(begun).Round(time.Millisecond))
		}
		part.breaker.close()
		return
	}
}

// Lost tells since when the store, or some part of it, is taken for lost and not asked any more; zero
// while all of it is asked.
func (f *Failover) Lost() time.Time {
	first := int64(0)
	for i := range f.parts {
		if since := f.parts[i].opened.Load(); since != 0 && (first == 0 || since < first) {
			first = since
		}
	}
	if first == 0 {
		return time.Time{}
	}
	return time.UnixMicro(first)
}

// degradedFor is how long a call that the store did not decide counts for Degraded.
const degradedFor = time.Second

// Degraded tells whether calls are decided without the store: some part of it failed to answer and has not
// since, though it is asked also while nobody calls, or a call within the last second was not decided by it.
func (f *Failover) Degraded() bool {
	for i := range f.parts {
		if f.parts[i].probing.Load() {
			return true
		}
	}
	return time.Now().UnixMicro()-f.astray.Load() < degradedFor.Microseconds()
}

// Backend names the limiter in metrics.
func (f *Failover) Backend() string { return "redis" }

// Close ends the probes.
func (f *Failover) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.stop()
	f.probes.Wait()
	return nil
}
