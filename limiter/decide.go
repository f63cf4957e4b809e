package limiter

import (
	"hash/maphash"
	"slices"
	"time"
)

// usual is how many checks a query may have before deciding it allocates.
const usual = 8

// place is where a check's counter is found during one decision.
type place struct {
	hash    uint64 // of the subject's id
	subject *subject
	index   int   // in subject; -1: there is none yet
	ahead   int64 // see subject.ahead
}

// shard takes the upper bits; a shard's table takes the lower ones.
func (p *place) shard() int { return int(p.hash >> (64 - shardBits)) }

func (l *Local) decide(q *Query, a *Answer, spend bool) (err error) {
	var placeRoom [usual]place
	var lockRoom [usual]int
	places, locked := placeRoom[:0], lockRoom[:0]
	for i := range q.Checks {
		if id := q.Checks[i].Counter.Subject; i > 0 && id == q.Checks[i-1].Counter.Subject {
			places = append(places, places[i-1])
		} else {
			p := place{hash: maphash.String(l.seed, id)}
			places = append(places, p)
			locked = insert(locked, p.shard())
		}
	}
	for _, i := range locked {
		l.shards[i].mu.Lock()
	}
	at := l.clock.read()
	defer func() {
		for _, i := range locked {
			if err == nil { // else makeRoom shall find all that can be found
				l.tidy(&l.shards[i], at)
			}
			l.shards[i].mu.Unlock()
		}
	}()

	// All look-ups before the first counter is read: they wait for memory side by side.
	for i := range q.Checks {
		if id := q.Checks[i].Counter.Subject; i > 0 && id == q.Checks[i-1].Counter.Subject {
			places[i].subject = places[i-1].subject
		} else {
			p := &places[i]
			if p.subject = l.shards[p.shard()].subjects.find(p.hash, id); p.subject != nil {
				p.ahead = p.subject.ahead()
			}
		}
	}
	a.Allowed, a.States = true, a.States[:0]
	for i := range q.Checks {
		c, p := &q.Checks[i], &places[i]
		if c.Limit.Unit != Sliding && !c.Span.Contains(at.wall) {
			return ErrPeriodOver
		}
		p.index = p.subject.find(c)
		var state State
		if p.index >= 0 {
			state = p.subject.at(p.index).state(c, q.Cost, at)
		}
		a.Allowed = a.Allowed && state.Retry == 0
		a.States = append(a.States, state)
	}
	if !spend || !a.Allowed {
		return nil
	}
	return l.spend(q, places, a, at)
}

// state is where c stands at an instant for a request of that cost.
func (c *counter) state(check *Check, cost int64, at instant) State {
	var s State
	if c.unit() != Sliding {
		if c.units == 0 {
			return s
		}
		s.Used, s.Reset = c.units, micros(check.Span.End-at.wall)
		if cost > check.Limit.N-c.units {
			s.Retry = s.Reset
		}
		return s
	}
	edge := at.sharp - c.width()
	if s.Used = c.slide(edge); s.Used == 0 {
		return s
	}
	s.Reset = micros(c.oldest() - edge)
	if excess := s.Used + cost - check.Limit.N; excess > 0 {
		s.Retry = micros(c.freeing(excess) - edge)
	}
	return s
}

// spend charges every check. It first makes sure that there is room for all of them, so that an
// error leaves nothing charged.
func (l *Local) spend(q *Query, places []place, a *Answer, at instant) error {
	for i := range q.Checks {
		if err := l.prepare(&q.Checks[i], &places[i], at); err != nil {
			return err
		}
	}
	for i := range q.Checks {
		check, s := &q.Checks[i], &a.States[i]
		c := places[i].subject.at(places[i].index)
		s.Used += q.Cost
		if c.unit() == Sliding {
			c.add(at.late, q.Cost, check.Limit.grain())
			s.Reset = micros(c.oldest() + c.width() - at.sharp)
		} else {
			c.units += q.Cost
			c.last = max(c.last, check.Span.End)
			s.Reset = micros(check.Span.End - at.wall)
			if l.track && !c.marked {
				l.mark(c, &places[i], check)
			}
		}
	}
	return nil
}

// prepare makes sure that a check's counter exists and can take one more entry.
func (l *Local) prepare(c *Check, p *place, at instant) error {
	if p.index < 0 {
		if !l.counters.take(1) {
			return ErrFull
		}
		// An earlier check of this query may have made the subject.
		s := &l.shards[p.shard()]
		p.subject = s.subjects.ensure(p.hash, c.Counter.Subject)
		p.index = p.subject.len()
		p.subject.add(counter{counterKey: c.key(), window: window{last: c.Span.End}})
		s.due += looksPerCounter
	}
	if c.Limit.Unit != Sliding {
		return nil
	}
	if c := p.subject.at(p.index); c.full(at.late) {
		if !l.entries.take(int64(c.grown() - len(c.ring))) {
			return ErrFull
		}
		p.subject.grow(p.index)
	}
	return nil
}

// insert puts a shard into an ascending list without repetitions.
func insert(shards []int, shard int) []int {
	i, found := slices.BinarySearch(shards, shard)
	if found {
		return shards
	}
	return slices.Insert(shards, i, shard)
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
