package limiter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

// LocalOptions configures NewLocal; the zero value works.
type LocalOptions struct {
	// Now is the clock; nil means time.Now. It is called while locks are held, from many
	// goroutines, and must not call the limiter. Readings without a monotonic part may step back
	// by a few seconds; what is counted then waits in its window that much longer.
	Now func() time.Time
	// MaxCounters bounds the counters held at once; 0 means 4,000,000, about 1.4 GB when each is of
	// another subject, and half of that when subjects have three. A counter lives until its window has been over for ten seconds, its
	// day or month for an hour.
	MaxCounters int
	// MaxEntries bounds the log entries that all counters together have room for, 16 B each; 0
	// means 33,554,432, half a gigabyte. A counter has room for 4 to 2048 of them.
	MaxEntries int
	// Track notes which days and months were counted in, for Changed; somebody has to call it now
	// and then. Off, nothing is noted.
	Track bool
}

const (
	defaultCounters = 4_000_000
	defaultEntries  = 32 << 20
)

// Local is the Limiter of one process: counters in memory, no I/O. Make it with NewLocal; it is
// safe for concurrent use. A decision takes one lock for each subject of its checks, always in the
// same order, and reads the clock once, after it holds them all: so decisions that share a counter
// happen one after another at times that agree with their order.
//
// Idle counters are dropped by the decisions themselves, a few looks each, rather than by a
// goroutine: the work is spread evenly, no decision waits for a sweep over everything, and there
// is nothing to stop. A Local that nobody calls keeps what it holds.
type Local struct {
	clock    clock
	seed     maphash.Seed
	track    bool
	shards   []shard
	counters gauge
	entries  gauge
	reclaim  struct {
		sync.Mutex       // held by the one who makes room
		inVain     int64 // when that last failed, in µs
	}
}

var _ Limiter = (*Local)(nil)

// shardBits makes 256 shards, so that a few dozen cores seldom meet in one. A uint8 numbers them.
const shardBits = 8

// NewLocal makes an empty limiter.
func NewLocal(o LocalOptions) *Local {
	l := &Local{clock: newClock(o.Now), seed: maphash.MakeSeed(), track: o.Track, shards: make([]shard, 1<<shardBits)}
	for i := range l.shards {
		l.shards[i].other = uint8(i)
	}
	l.counters.most = int64(cmp.Or(o.MaxCounters, defaultCounters))
	l.entries.most = int64(cmp.Or(o.MaxEntries, defaultEntries))
	return l
}

// Decide implements Limiter. It returns ErrFull if a counter would be needed for which there is no
// room; what is counted already goes on being decided.
func (l *Local) Decide(ctx context.Context, q *Query, a *Answer) error {
	return l.answer(ctx, q, a, true)
}

// Peek implements Limiter.
func (l *Local) Peek(ctx context.Context, q *Query, a *Answer) error {
	return l.answer(ctx, q, a, false)
}

// Close implements io.Closer, as limiters with connections do. There is nothing to stop.
func (l *Local) Close() error { return nil }

func (l *Local) answer(ctx context.Context, q *Query, a *Answer, spend bool) error {
	a.Allowed, a.States = false, a.States[:0]
	// Looked at before, never in between: a count once begun is finished.
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("decide limits: %w", err)
	}
	if err := q.validate(); err != nil {
		return fmt.Errorf("decide limits: %w", err)
	}
	err := l.decide(q, a, spend)
	if errors.Is(err, ErrFull) && l.makeRoom() {
		err = l.decide(q, a, spend)
	}
	if err != nil {
		a.Allowed, a.States = false, a.States[:0]
		return fmt.Errorf("decide limits: %w", err)
	}
	return nil
}
