package limiter

import (
	"sync"
	"sync/atomic"
	"time"
)

// When the breaker opens: this many failures within breakerSpan, and no fewer than successes.
// (failsafe-go's rule by rate counts executions where this one counts failures.)
const (
	breakerFailures = 5
	breakerSpan     = time.Second
	breakerSlots    = 10
)

// breaker remembers how the calls of the last second went. It is closed at first.
type breaker struct {
	isOpen atomic.Bool
	begun  time.Time

	mu    sync.Mutex
	slots [breakerSlots]outcomes
}

// outcomes are the calls that ended within one tenth of breakerSpan.
type outcomes struct {
	tick           int64
	worked, failed int
}

func newBreaker() *breaker { return &breaker{begun: time.Now()} }

// note takes a call's outcome in, and tells whether that opened the breaker.
func (b *breaker) note(worked bool) (opened bool) {
	tick := int64(time.Since(b.begun) / (breakerSpan / breakerSlots))
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.slots[tick%breakerSlots]
	if s.tick != tick {
		*s = outcomes{tick: tick}
	}
	if worked {
		s.worked++
		return false
	}
	s.failed++
	var sum outcomes
	for _, s := range b.slots {
		if tick-s.tick < breakerSlots {
			sum.worked += s.worked
			sum.failed += s.failed
		}
	}
	if sum.failed < breakerFailures || sum.failed < sum.worked {
		return false
	}
	return !b.isOpen.Swap(true)
}

// close forgets what was.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots = [breakerSlots]outcomes{}
	b.isOpen.Store(false)
}
