package limiter

import (
	"fmt"
	"time"
)

// ledger is what this node admitted itself, for each day and month counter. What Redis holds of it in
// the node's field may be less (it was flushed, or failed over to a replica that lagged), then the next
// call that touches the counter raises it, or more:
//
//   - A reply was lost: the field counts units that were admitted nowhere. They stay out of the
//     ledger, and stay charged for as long as Redis holds the field.
//   - This process was killed and restored a checkpoint older than its last admissions. The
//     field is then the better witness: a ledger that stayed below it would, after a flush,
//     give out again what was admitted between. So the first reply on each counter in the life of a
//     process is learnt from. Until it is there no other call on that counter is sent, since
//     the field in its reply would count what that one was granted as well, twice. Units whose reply was lost before
//     the restart enter the ledger this way: over-charged, as they were.
//
// Everything in it is guarded by Redis.mu.
type ledger struct {
	most    int
	count   int
	periods map[Span]*pages
	changed []*own
}

// pages are those of one period, which are forgotten together.
type pages struct {
	byName map[string]*own // by appendName: the checkpoint knows no tags
	list   []*own
}

// own is one counter's page. It counts on from where the units of a checkpoint ended.
type own struct {
	count  Count
	name   string
	tag    string // what its key was last seen under; empty when no call has touched it
	tagged bool
	held   int64 // of count.Used: charged by Charge before the field was learnt, not sent yet
	total  int64 // the most that all nodes are known to have used, by Redis's answers or by a checkpoint
	// Sums of what Charge charged, in all and up to what is in total. Calls overlap and their answers come
	// in any order, so none of them may take off what another one has.
	charged, told int64
	sure          bool // the field has been learnt
	asking        *batch
	marked        bool // in changed
}

// book is an own count as a batch uses it.
type book struct {
	own     *own
	sent    int64
	charged int64 // what of own.charged is in sent
}

// open finds the pages of a new batch. A page's tag is the newest one: a plan may have come to count per
// owner, and what Redis holds under the old tag is nobody's any more.
func (l *ledger) open(b *batch, q *Query) {
	for i := range q.Checks {
		var o *own
		if c := &q.Checks[i]; c.Limit.Unit != Sliding {
			o = l.page(c)
			if o != nil && b.purpose != toRepair && (!o.tagged || o.tag != q.Tag) {
				o.tag, o.tagged = q.Tag, true
			}
		}
		b.books = append(b.books, book{own: o})
	}
}

// page returns a counter's page, nil if there is no room for a new one.
func (l *ledger) page(c *Check) *own {
	var room [160]byte
	name := appendName(room[:0], c)
	p := l.periods[c.Span]
	if p != nil {
		if o := p.byName[string(name)]; o != nil {
			return o
		}
	}
	if l.count >= l.most {
		return nil
	}
	if p == nil {
		p = &pages{byName: map[string]*own{}}
		l.periods[c.Span] = p
	}
	o := &own{name: string(name), count: Count{Counter: c.Counter, Unit: c.Limit.Unit, Span: c.Span}}
	p.byName[o.name], p.list = o, append(p.list, o)
	l.count++
	return o
}

// ready tells whether no call is on the wire that one of b's counters has to wait for.
func (l *ledger) ready(b *batch) bool {
	for _, k := range b.books {
		if k.own != nil && k.own.asking != nil {
			return false
		}
	}
	return true
}

// begin writes the bytes that differ from call to call.
func (l *ledger) begin(b *batch) {
	b.packed = append(b.packed[:0], b.wire.packed()...)
	switch b.purpose {
	case toDecide:
		putNumber(b.packed[askedAt:], int64(len(b.waiters)))
	case toRepair:
		putNumber(b.packed[askedAt:], 0)
	}
	for i := range b.books {
		k := &b.books[i]
		if k.own == nil {
			continue
		}
		if !k.own.sure {
			k.own.asking = b
		}
		k.sent, k.charged = k.own.count.Used-k.own.held, k.own.charged-k.own.held
		putNumber(b.packed[headSize+i*checkSize+ownAt:], k.sent)
	}
}

// end books what b was granted, and tells whether calls may go now that had to wait for it.
func (l *ledger) end(r *Redis, b *batch, v verdict, err error) (freed bool) {
	for i := range b.books {
		k := &b.books[i]
		o := k.own
		if o == nil {
			continue
		}
		if o.asking == b {
			o.asking, freed = nil, true
		}
		if err != nil || v.over() {
			continue
		}
		used, field, repaired := v.state(i)
		units := int64(0)
		if b.purpose == toDecide {
			units = v.granted() * b.cost
		}
		o.total, o.told = max(o.total, used+units), max(o.told, k.charged)
		if repaired > 0 && k.sent > 0 { // Redis has lost something, or never had what a checkpoint holds
			r.repairs.Add(1)
			if b.purpose != toRepair {
				r.suspect()
			}
		}
		if !o.sure {
			o.sure, o.held = true, 0
			units += field - units - k.sent
		}
		l.add(o, units)
	}
	return freed
}

func (l *ledger) add(o *own, units int64) {
	if units == 0 {
		return
	}
	o.count.Used += units
	if !o.marked {
		o.marked = true
		l.changed = append(l.changed, o)
	}
}

// forget drops the pages of periods that ended long before an instant of the store's clock, in µs.
func (l *ledger) forget(now int64) {
	for span, p := range l.periods {
		if span.End+calendarGrace <= now {
			delete(l.periods, span)
			l.count -= len(p.list)
		}
	}
}

// Changed appends to to what this node itself has admitted on the day and month counters that changed
// since the last call, and returns it. Safe for concurrent use; what one call returns no other does.
func (r *Redis) Changed(to []Count) []Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.ledger.changed {
		o.marked = false
		o.count.Tag = o.tag
		to = append(to, o.count)
	}
	clear(r.ledger.changed)
	r.ledger.changed = r.ledger.changed[:0]
	return to
}

// Restore puts counts of a checkpoint back, before the first decision: those of this node, or of a
// Local whose place this limiter takes. The next call on each of these counters brings them to Redis.
// A counter that stands higher already stays. ErrFull, wrapped, when there is no room for all; ErrInvalidQuery for what no
// checkpoint holds.
func (r *Redis) Restore(counts []Count) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now().UnixMicro()
	for i := range counts {
		n := &counts[i]
		if n.invalid() {
			return fmt.Errorf("restore count %d of %d: %w: no calendar count: %+v", i+1, len(counts), ErrInvalidQuery, *n)
		}
		if n.Used == 0 || n.Span.End+calendarGrace <= now {
			continue
		}
		o := r.ledger.page(&Check{Counter: n.Counter, Limit: Limit{Unit: n.Unit}, Span: n.Span})
		if o == nil {
			return fmt.Errorf("restore count %d of %d: %w", i+1, len(counts), ErrFull)
		}
		o.count.Used = max(o.count.Used, n.Used)
		o.total = max(o.total, n.Used) // at least
		if n.Tag != "" {
			o.tag, o.tagged = n.Tag, true
		}
	}
	return nil
}

// Charge implements Shared: it books q's cost on each of its days and months. The next call on each of
// them, or the next repair, brings it to Redis.
func (r *Redis) Charge(q *Query) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range q.Checks {
		if c := &q.Checks[i]; c.Limit.Unit != Sliding && r.ledger.page(c) == nil {
			return ErrFull
		}
	}
	for i := range q.Checks {
		c := &q.Checks[i]
		if c.Limit.Unit == Sliding {
			continue
		}
		o := r.ledger.page(c)
		o.tag, o.tagged = q.Tag, true
		if !o.sure {
			o.held += q.Cost
		}
		o.charged += q.Cost
		r.ledger.add(o, q.Cost)
	}
	return nil
}

// Known implements Shared.
func (r *Redis) Known(c *Check) (total, since int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.ledger.periods[c.Span]
	if p == nil {
		return 0, 0
	}
	var room [160]byte
	o := p.byName[string(appendName(room[:0], c))]
	if o == nil {
		return 0, 0
	}
	return o.total, o.charged - o.told
}
