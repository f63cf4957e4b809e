package limiter

import (
	"fmt"
	"hash/maphash"
)

// Count is what one day or month counter stands at: what a checkpoint holds, so that a restart does
// not give everybody the whole period again.
type Count struct {
	Counter Counter
	Unit    Unit // Day or Month
	Span    Span // the period that was counted in
	Used    int64
	Tag     string // Query.Tag that it was last charged under, where that matters; "": not known
}

// changed names a calendar counter that was charged since Changed was last called.
type changed struct {
	hash  uint64
	check Check // Counter, Limit.Unit and Span
}

// Changed appends to to the calendar counters that were charged since the last call, each with what
// it stands at now, and returns it. Only a limiter made with LocalOptions.Track has any. Decisions
// wait for it no longer than it takes to read one shard's part. Safe for concurrent use; what one call returns no
// other does.
func (l *Local) Changed(to []Count) []Count {
	for i := range l.shards {
		to = l.shards[i].takeChanged(to)
	}
	return to
}

func (s *shard) takeChanged(to []Count) []Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.changed {
		x := &s.changed[i]
		sub := s.subjects.find(x.hash, x.check.Counter.Subject)
		at := sub.find(&x.check)
		if at < 0 {
			continue // its period is long over
		}
		c := sub.at(at)
		if !c.marked {
			continue // named twice: it was dropped and came back
		}
		c.marked = false
		to = append(to, Count{Counter: x.check.Counter, Unit: x.check.Limit.Unit, Span: x.check.Span, Used: c.units})
	}
	clear(s.changed) // subjects' names shall not stay
	s.changed = s.changed[:0]
	return to
}

// mark notes that a calendar counter was charged. It allocates only where more counters change
// between two checkpoints than ever before.
func (l *Local) mark(c *counter, p *place, check *Check) {
	c.marked = true
	s := &l.shards[p.shard()]
	s.changed = append(s.changed, changed{p.hash, Check{
		Counter: check.Counter, Limit: Limit{Unit: check.Limit.Unit}, Span: check.Span,
	}})
}

// Restore puts counts of a checkpoint back, before the first decision: a counter that stands higher
// already stays. Those of periods that have long ended are left out. ErrFull, wrapped, when there is
// no room for all; ErrInvalidQuery for what no checkpoint holds. Sliding windows are not restored:
// they begin anew.
func (l *Local) Restore(counts []Count) error {
	for i := range counts {
		if err := l.restore(&counts[i]); err != nil {
			return fmt.Errorf("restore count %d of %d: %w", i+1, len(counts), err)
		}
	}
	return nil
}

// invalid tells whether no checkpoint can hold it.
func (n *Count) invalid() bool {
	return n.Unit != Day && n.Unit != Month || n.Counter.Level > Route || n.Used < 0 || n.Span.Start >= n.Span.End
}

func (l *Local) restore(n *Count) error {
	if n.invalid() {
		return fmt.Errorf("%w: no calendar count: %+v", ErrInvalidQuery, *n)
	}
	at := l.clock.read()
	if n.Used == 0 || n.Span.End+calendarGrace <= at.wall {
		return nil
	}
	check := Check{Counter: n.Counter, Limit: Limit{Unit: n.Unit}, Span: n.Span}
	p := place{hash: maphash.String(l.seed, n.Counter.Subject)}
	s := &l.shards[p.shard()]
	s.mu.Lock()
	defer s.mu.Unlock()
	p.subject = s.subjects.find(p.hash, n.Counter.Subject)
	if p.index = p.subject.find(&check); p.index < 0 {
		if err := l.prepare(&check, &p, at); err != nil {
			return err
		}
	}
	c := p.subject.at(p.index)
	c.units, c.last = max(c.units, n.Used), max(c.last, n.Span.End)
	return nil
}
