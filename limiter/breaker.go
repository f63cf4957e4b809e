package limiter

import (
	"sync"
	"sync/atomic"
	"time"
)

// When the breaker opens: at this many failures within breakerSpan that are no fewer than the successes,
// or at as many in a row, however far apart, so that a gateway with little to do does not wait in vain
// for ever. (failsafe-go's rule by rate counts executions where this one counts failures.)
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
	row   int // failures since the last success
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
		b.row = 0
		return false
	}
	s.failed++
	b.row++
	var sum outcomes
	for _, s := range b.slots {
		if tick-s.tick < breakerSlots {
			sum.worked += s.worked
			sum.failed += s.failed
		}
	}
	if b.row < breakerFailures && (sum.failed < breakerFailures || sum.failed < sum.worked) {
		return false
	}
	return !b.isOpen.Swap(true)
}

// close forgets what was.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots, b.row = [breakerSlots]outcomes{}, 0
	b.isOpen.Store(false)
}
