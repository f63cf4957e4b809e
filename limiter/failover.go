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
	// Charge notes that this gateway admitted q by itself. The days and months of the store learn of
	// it as soon as they can be reached; windows do not.
	Charge(q *Query)
	// Known is what all gateways together have used of a check's day or month as far as this one
	// knows: by the store's last word, or by what a checkpoint held; and what itself has admitted of
	// it, Charge included. heard tells whether the store had a word in it.
	Known(c *Check) (total, own int64, heard bool)
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
	shared  Shared
	roster  *Roster
	log     *slog.Logger
	breaker *breaker
	local   *Local // what was admitted by shares

	lost   atomic.Int64 // when a share first decided since the store last did, in µs of wall time; 0: it does
	opened atomic.Int64 // when the breaker opened, likewise; 0: it is closed
	failed atomic.Pointer[string]
	asks   sync.Pool // of *shareAsk

	stop    context.CancelFunc
	stopped context.Context
	probes  sync.WaitGroup
	mu      sync.Mutex // guards closed together with probes
	closed  bool
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
	f := &Failover{shared: o.Shared, roster: o.Roster, log: o.Log, breaker: newBreaker(), local: NewLocal(LocalOptions{Now: o.Now})}
	f.asks.New = func() any { return new(shareAsk) }
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
	if !f.breaker.isOpen.Load() {
		if spend {
			err = f.shared.Decide(ctx, q, a)
		} else {
			err = f.shared.Peek(ctx, q, a)
		}
		if !errors.Is(err, ErrUnavailable) {
			f.worked()
			return err
		}
		f.failedOn(q.Tag, err)
	}
	if q.NoShare {
		a.Allowed, a.States = false, a.States[:0]
		return fmt.Errorf("decide limits: %w", err)
	}
	return f.byShare(ctx, q, a, spend)
}

// worked notes that the store answered.
func (f *Failover) worked() {
	f.breaker.note(true)
	if f.lost.Load() != 0 && !f.breaker.isOpen.Load() {
		f.lost.Store(0)
	}
}

// failedOn notes that the store did not answer about a tag.
func (f *Failover) failedOn(tag string, err error) {
	f.failed.Store(&tag)
	if !f.breaker.note(false) {
		return
	}
	f.opened.Store(time.Now().UnixMicro())
	f.log.Error("the shared limiter does not answer; limits are decided by on_loss until it does", "error", err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.probes.Go(f.probe)
}

// Times of a probe while the breaker is open.
const (
	probeEvery  = 200 * time.Millisecond
	probeJitter = 50 * time.Millisecond // more or less
	probeBudget = 100 * time.Millisecond
)

// probe waits until the store answers again. It asks about the tag that got no answer last: in a
// cluster the others may be well.
func (f *Failover) probe() {
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
		q.Tag = *f.failed.Load()
		ctx, cancel := context.WithTimeout(f.stopped, probeBudget)
		err := f.shared.Decide(ctx, q, &a)
		cancel()
		if err == nil {
			f.breaker.close()
			f.lost.Store(0)
			f.opened.Store(0)
			f.log.Info("the shared limiter answers again", "after", time.Since(begun).Round(time.Millisecond))
			return
		}
	}
}

// Lost tells since when the store is taken for lost and not asked any more; zero while it is asked.
func (f *Failover) Lost() time.Time {
	since := f.opened.Load()
	if since == 0 {
		return time.Time{}
	}
	return time.UnixMicro(since)
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
