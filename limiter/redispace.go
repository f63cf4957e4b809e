package limiter

import "time"

// A key that is asked for very often at once is given fewer, larger calls: when more than hotCalls of the
// same call were sent within hotSpan, one that waited for its predecessor waits until hotGap after
// that one was sent. A client that asks one after another never waits, nor does a burst.
const (
	hotSpan  = 10 * time.Millisecond
	hotCalls = 25
	hotGap   = 450 * time.Microsecond
)

// pace counts calls by their hash, roughly: two that share a slot take it from each other, and are then
// not found to be hot.
type pace struct {
	slots [64]paceSlot
	armed bool // somebody is woken later
}

type paceSlot struct {
	hash          uint64
	since         time.Time
	calls, before int // in this span, and in the one right before it
}

func (p *pace) count(hash uint64, now time.Time) {
	s := &p.slots[hash%uint64(len(p.slots))]
	switch age := now.Sub(s.since); {
	case s.hash != hash || age > 2*hotSpan:
		*s = paceSlot{hash: hash, since: now}
	case age > hotSpan:
		s.since, s.before, s.calls = now, s.calls, 0
	}
	s.calls++
}

func (p *pace) hot(hash uint64) bool {
	s := &p.slots[hash%uint64(len(p.slots))]
	return s.hash == hash && max(s.calls, s.before) > hotCalls
}
