package limiter

import (
	"strings"
	"sync"
	"unique"
)

// shard holds the counters of a part of the subjects. All counters of one subject live in one
// shard, side by side: a request has few subjects (credential, owner, tenant), so it takes few
// locks and few lookups whatever the number of its limits.
type shard struct {
	mu       sync.Mutex
	subjects table
	cursor   uint64 // the place where sweep goes on
	due      uint32 // looks that decisions have left for sweep, times lookParts
	other    uint8  // the shard that was looked after last beside this one
	changed  []changed
	_        [64]byte // keeps neighbours' locks off this cache line
}

// subject is who is counted, with all his counters: five cache lines of 64 bytes, one of which says who
// he is, one for each of the first three counters and one for a short log. Deciding over very many
// subjects is waiting for memory, so nothing is kept behind a pointer that most subjects do not need.
type subject struct {
	hash   uint64
	long   *string    // the id, where it does not fit into short
	more   *[]counter // beyond few
	length uint8      // of the id in short
	count  uint8      // of counters in few
	lent   bool       // room is the ring of some counter
	short  [37]byte
	few    [3]counter
	room   [smallestRing]entry // the first ring of one of the counters
}

// ahead reads from each line of the subject. What it returns means nothing: it lets the processor
// fetch the lines side by side, where a decision needs one after another.
func (s *subject) ahead() int64 {
	return s.few[0].what + s.few[1].what + s.few[2].what + s.room[0].time
}

func newSubject(hash uint64, id string) *subject {
	s := &subject{hash: hash}
	if len(id) <= len(s.short) {
		s.length = uint8(copy(s.short[:], id))
	} else {
		id = strings.Clone(id)
		s.long = &id
	}
	return s
}

// is tells whether the subject has that id.
func (s *subject) is(id string) bool {
	if s.long != nil {
		return *s.long == id
	}
	return string(s.short[:s.length]) == id
}

// len is how many counters there are.
func (s *subject) len() int {
	if s.more != nil {
		return len(s.few) + len(*s.more)
	}
	return int(s.count)
}

func (s *subject) at(i int) *counter {
	if i < len(s.few) {
		return &s.few[i]
	}
	return &(*s.more)[i-len(s.few)]
}

// add makes a counter; its index is the last one.
func (s *subject) add(c counter) {
	switch {
	case int(s.count) < len(s.few):
		s.few[s.count] = c
		s.count++
	case s.more == nil:
		s.more = &[]counter{c}
	default:
		*s.more = append(*s.more, c)
	}
}

// grow makes room for one more entry in the log of counter i.
func (s *subject) grow(i int) {
	c := s.at(i)
	if c.ring == nil && !s.lent {
		s.lent, c.ring = true, s.room[:]
		return
	}
	s.giveBack(c)
	c.grow()
}

// giveBack notes that c's ring will be another one.
func (s *subject) giveBack(c *counter) {
	if len(c.ring) > 0 && &c.ring[0] == &s.room[0] {
		s.lent = false
	}
}

// drop takes a counter out and puts the last one in its place.
func (s *subject) drop(i int) {
	s.giveBack(s.at(i))
	last := s.at(s.len() - 1)
	*s.at(i) = *last
	*last = counter{}
	switch {
	case s.more == nil:
		s.count--
	case len(*s.more) == 1:
		s.more = nil
	default:
		*s.more = (*s.more)[:len(*s.more)-1]
	}
}

// counter counts on one limit's window or period: one cache line. A calendar counter has no log: its
// units are what was used, and last is when its period ends.
type counter struct {
	counterKey
	window
}

// counterKey is what tells a subject's counters apart. N is not in it.
type counterKey struct {
	route unique.Handle[string] // zero for no route
	what  int64
}

// what is the window or the period's start in µs, with level and unit in the four lowest bits.
func (c *Check) what() int64 {
	period := c.Span.Start
	if c.Limit.Unit == Sliding {
		period = c.Limit.width()
	}
	return period<<4 | int64(c.Counter.Level)<<2 | int64(c.Limit.Unit)
}

func (c *Check) key() counterKey {
	k := counterKey{what: c.what()}
	if c.Counter.Route != "" {
		k.route = unique.Make(c.Counter.Route)
	}
	return k
}

// width is the window of a sliding counter in µs.
func (k *counterKey) width() int64 { return k.what >> 4 }

func (k *counterKey) unit() Unit { return Unit(k.what & 3) }

// of tells whether the counter is on that route.
func (k *counterKey) of(route string) bool {
	if k.route == (unique.Handle[string]{}) {
		return route == ""
	}
	return k.route.Value() == route
}

// find returns the index of a check's counter, -1 if there is none; s may be nil. There are as many
// counters as limits that apply to one subject, so looking at all of them is quick.
func (s *subject) find(c *Check) int {
	if s == nil {
		return -1
	}
	what := c.what()
	for i := range s.few[:s.count] {
		if k := &s.few[i].counterKey; k.what == what && k.of(c.Counter.Route) {
			return i
		}
	}
	if s.more != nil {
		for i := range *s.more {
			if k := &(*s.more)[i].counterKey; k.what == what && k.of(c.Counter.Route) {
				return len(s.few) + i
			}
		}
	}
	return -1
}
