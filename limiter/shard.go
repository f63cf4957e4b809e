package limiter

import "sync"

// shard holds the counters of a part of the subjects. All counters of one subject live in one
// shard, side by side: a request has few subjects (credential, owner, tenant), so it takes few
// locks and few lookups whatever the number of its limits.
type shard struct {
	mu       sync.Mutex
	subjects table
	cursor   uint64 // the slot where sweep goes on
	due      uint32 // looks that decisions have left for sweep, times lookParts
	other    uint8  // the shard that was looked after last beside this one
	changed  []changed
	_        [64]byte // keeps neighbours' locks off this cache line
}

type subject struct {
	id       string
	counters []counter
}

// counter counts on one limit's window or period. Sliding counters use log, calendar ones used.
type counter struct {
	counterKey
	log  window
	used int64
	end  int64 // of the period, in µs since the epoch
	// marked says that the shard's list of changed counters has it.
	marked bool
}

// counterKey is what tells a subject's counters apart. N is not in it.
type counterKey struct {
	route  string
	period int64 // the window or the period's start, in µs
	level  Level
	unit   Unit
}

func (c *Check) key() counterKey {
	k := counterKey{route: c.Counter.Route, level: c.Counter.Level, unit: c.Limit.Unit}
	if k.unit == Sliding {
		k.period = c.Limit.width()
	} else {
		k.period = c.Span.Start
	}
	return k
}

// find returns where in s.counters k is, -1 if it is not; s may be nil. There are as many counters
// as limits that apply to one subject, so looking at all of them is quick.
func (s *subject) find(k counterKey) int {
	if s == nil {
		return -1
	}
	for i := range s.counters {
		c := &s.counters[i]
		if c.period == k.period && c.level == k.level && c.unit == k.unit && c.route == k.route {
			return i
		}
	}
	return -1
}
