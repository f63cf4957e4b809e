package limiter

import (
	"sync/atomic"
	"time"
)

// Decisions look after idle counters: each leaves a fraction of a look at some slot to be done,
// each new counter four whole ones. So idle subjects stay about as few as live ones, however many
// come and go. What is due is done in the decision's own shard and in another one, so that a shard
// nobody asks for any more empties too.
const (
	lookParts       = 64
	looksPerCounter = 4 * lookParts
	looksElsewhere  = 4
)

// An idle counter is kept for a while, so that a clock set back forgets nothing. Windows follow the
// monotonic clock, which only a test sets back. Days and months follow the wall clock, which may be
// corrected by much more.
const (
	grace         = int64(10 * time.Second / time.Microsecond)
	calendarGrace = int64(time.Hour / time.Microsecond)
)

// idle tells whether forgetting c changes no later verdict.
func (c *counter) idle(at instant) bool {
	if c.unit() == Sliding {
		return c.over(at.sharp - grace - c.width())
	}
	return c.units == 0 || c.last+calendarGrace <= at.wall
}

// slack is the length a log's ring must have before sweep makes it smaller.
const slack = 64

// sweep looks at the next few slots, drops their idle counters and tells how much was freed.
func (s *shard) sweep(at instant, looks int) (counters, entries int64) {
	t := &s.subjects
	for range min(uint64(looks), t.places()) {
		if s.cursor >= t.places() {
			s.cursor = 0
		}
		if sub := t.at(s.cursor); sub != nil {
			c, e := sub.prune(at)
			counters, entries = counters+c, entries+e
			if sub.len() == 0 {
				t.remove(s.cursor)
			}
		}
		s.cursor++
	}
	return counters, entries
}

// prune drops the idle counters of s, and gives back most of what logs needed in busier times.
func (s *subject) prune(at instant) (counters, entries int64) {
	for i := s.len() - 1; i >= 0; i-- {
		c := s.at(i)
		if c.idle(at) {
			entries += int64(len(c.ring))
			counters++
			s.drop(i)
			continue
		}
		if n := len(c.ring); n >= slack {
			c.slide(at.sharp - grace - c.width())
			if int(c.size-c.gone) <= n/8 {
				c.resize(n / 4)
				entries += int64(n - n/4)
			}
		}
	}
	return counters, entries
}

// tidy does the looks that are due in a locked shard. It never waits for another one.
func (l *Local) tidy(s *shard, at instant) {
	if s.due++; s.due < lookParts {
		return
	}
	looks := int(s.due / lookParts)
	s.due %= lookParts
	l.free(s.sweep(at, looks))
	s.other++
	if other := &l.shards[s.other]; other.mu.TryLock() {
		l.free(other.sweep(at, looksElsewhere))
		other.mu.Unlock()
	}
}

func (l *Local) free(counters, entries int64) {
	if counters > 0 || entries > 0 { // most looks find nothing, and other cores use the gauges too
		l.counters.held.Add(-counters)
		l.entries.held.Add(-entries)
	}
}

// makeRoom looks at a few slots of every shard for idle counters, and tells whether it is worth
// trying again. It must be called without a lock held. Whoever comes while another is at it only
// waits for him; and after a search in vain nobody searches for a while, because a full limiter is
// no time to be slow.
func (l *Local) makeRoom() bool {
	if !l.reclaim.TryLock() {
		l.reclaim.Lock()
		defer l.reclaim.Unlock()
		return true
	}
	defer l.reclaim.Unlock()
	at := l.clock.read()
	if since := at.sharp - l.reclaim.inVain; 0 <= since && since < pause {
		return false
	}
	before := l.counters.held.Load() + l.entries.held.Load()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		l.free(s.sweep(at, 8))
		s.mu.Unlock()
	}
	if l.counters.held.Load()+l.entries.held.Load() < before {
		return true
	}
	l.reclaim.inVain = at.sharp
	return false
}

// pause is how long after a search in vain makeRoom does not search again, in µs.
const pause = 10_000

// gauge counts what is held up to a bound.
type gauge struct {
	held atomic.Int64
	most int64
}

// take adds n, or returns false if that would be more than the bound.
func (g *gauge) take(n int64) bool {
	if g.held.Add(n) <= g.most {
		return true
	}
	g.held.Add(-n)
	return false
}
