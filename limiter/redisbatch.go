package limiter

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// mostWaiting bounds the requests that wait at once, mostSent the calls of one pipeline.
const (
	mostWaiting = 16384
	mostSent    = 128
)

// waiter is one request.
type waiter struct {
	ctx    context.Context
	query  *Query
	answer *Answer
	begun  time.Time
	wire   wire
	wake   chan struct{} // tells that done or lead is set
	batch  *batch        // while it waits to be sent
	done   bool
	lead   bool // it is to send what waits, itself included
	err    error
}

// batch is identical requests that share a call of the script.
type batch struct {
	lane    *lane
	wire    wire
	purpose purpose
	cost    int64
	hash    uint64
	waiters []*waiter
	blocked bool      // an identical one is on the wire
	next    *batch    // the identical one that waits for this one
	sent    bool      // taken off the queue
	begun   time.Time // when it was
	due     time.Time // not to be sent before; zero: at once
	books   []book    // by check

	// The command.
	packed  []byte // of wire, with the askers and own counts of the moment it is sent
	room    []wireArg
	args    []any
	written bool
	cmd     *redis.StringCmd
	err     error
}

// lane is the way to one server. Its requests queue until one of its pipelines is free.
type lane struct {
	client *redis.Client
	busy   int // pipelines on the wire
	queue  []*batch
	open   map[uint64]*batch // by hash, the newest of identical ones
	taken  []([]*batch)      // lists to use again
	pace   pace
}

// ask gets an answer for w: it joins identical requests that wait, or waits alone, and sends what waits
// when a pipeline is free.
func (r *Redis) ask(w *waiter, p purpose) error {
	w.wire.encode(w.query, p)
	client := r.store.single
	if client == nil {
		ctx, cancel := context.WithDeadline(w.ctx, w.begun.Add(r.budget))
		defer cancel()
		var err error
		if client, err = r.store.client(ctx, string(w.wire.key(0))); err != nil {
			return unavailable(err, false)
		}
	}
	w.done, w.lead, w.err = false, false, nil

	r.mu.Lock()
	if r.waiting >= mostWaiting {
		r.mu.Unlock()
		return unavailable(errTooMany, false)
	}
	l := r.lanes[client]
	if l == nil {
		l = &lane{client: client, open: map[uint64]*batch{}}
		r.lanes[client] = l
	}
	r.waiting++
	r.join(l, w, p)
	lead := l.busy < pipelines && !w.batch.blocked && !w.batch.due.After(w.begun)
	if lead {
		l.busy++
	}
	r.mu.Unlock()

	gone := w.ctx.Done()
	for {
		if lead {
			r.send(l)
		} else {
			select {
			case <-w.wake:
			case <-gone:
				if r.leave(w) {
					return w.ctx.Err()
				}
				gone = nil // it is on the wire, or was just told something
				continue
			}
		}
		var done bool
		if lead, done = r.told(w); done && !lead {
			return w.err
		}
	}
}

// told returns what w was told: to send, for which it holds a pipeline, or that its wait is over.
func (r *Redis) told(w *waiter) (lead, done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lead, w.lead = w.lead, false
	select { // it is told for good; a token may be left when it was told twice
	case <-w.wake:
	default:
	}
	return lead, w.done
}

// notify wakes w. Locked.
func (w *waiter) notify() {
	select {
	case w.wake <- struct{}{}:
	default: // it has not looked yet
	}
}

// join puts w into the batch that waits, or into a new one. Locked.
func (r *Redis) join(l *lane, w *waiter, p purpose) {
	hash := w.wire.hash(r.seed)
	old := l.open[hash]
	if old != nil && !bytes.Equal(old.wire.bytes, w.wire.bytes) {
		old = nil // two in 2^64: this one travels alone
	}
	if old != nil && !old.sent {
		w.batch = old
		old.waiters = append(old.waiters, w)
		return
	}
	b := r.batches.Get().(*batch)
	b.lane, b.purpose, b.cost, b.hash, b.sent, b.next, b.due = l, p, w.query.Cost, hash, false, nil, time.Time{}
	b.wire, w.wire = w.wire, b.wire
	b.waiters = append(b.waiters[:0], w)
	if b.blocked = old != nil; b.blocked {
		old.next = b
	}
	w.batch = b
	r.ledger.open(b, w.query)
	l.open[hash] = b
	l.queue = append(l.queue, b)
}

// leave takes w out before it is sent, and tells whether it could.
func (r *Redis) leave(w *waiter) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.done || w.lead || w.batch.sent {
		return false
	}
	b := w.batch
	i := slices.Index(b.waiters, w)
	b.waiters = slices.Delete(b.waiters, i, i+1)
	r.waiting--
	return true
}

// take takes off the queue what may be sent now, and returns it with the time by which it must be
// done. Locked.
//
// A request that has waited for half of the budget fails here: the rest would hardly do, and those
// that share the pipeline have their time by the oldest.
func (r *Redis) take(l *lane, now time.Time) (list []*batch, until time.Time) {
	if n := len(l.taken); n > 0 {
		list, l.taken = l.taken[n-1][:0], l.taken[:n-1]
	}
	until = now.Add(r.budget)
	stay := l.queue[:0]
	for _, b := range l.queue {
		if b.blocked || b.due.After(now) || len(list) == mostSent || !r.ledger.ready(b) {
			stay = append(stay, b)
			continue
		}
		keep := b.waiters[:0]
		for _, w := range b.waiters {
			switch {
			case w.ctx.Err() != nil:
				r.tell(w, w.ctx.Err())
			case now.Sub(w.begun) > r.budget/2:
				r.tell(w, unavailable(errTooLong, false))
			default:
				keep = append(keep, w)
				if end := w.begun.Add(r.budget); end.Before(until) {
					until = end
				}
			}
		}
		b.waiters, b.sent, b.begun = keep, true, now
		if len(keep) == 0 {
			r.retire(b)
			continue
		}
		r.ledger.begin(b)
		l.pace.count(b.hash, now)
		list = append(list, b)
	}
	clear(l.queue[len(stay):])
	l.queue = stay
	return list, until
}

// tell ends the wait of w. Locked.
func (r *Redis) tell(w *waiter, err error) {
	w.err, w.done = err, true
	r.waiting--
	w.notify()
}

// send sends what may be sent on l, by a pipeline that the caller holds, tells everybody, and hands the
// pipeline to somebody who waits.
func (r *Redis) send(l *lane) {
	r.mu.Lock()
	list, until := r.take(l, time.Now())
	r.mu.Unlock()
	// Deferred, so that a panic leaves nobody waiting.
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		freed := false
		for _, b := range list {
			freed = r.settle(b) || freed
		}
		clear(list)
		l.taken = append(l.taken, list)
		r.handOver(l)
		if freed {
			r.handOverOthers(l)
		}
	}()
	if len(list) > 0 {
		r.exchange(l, list, until)
	}
}

// handOver wakes somebody who can send what waits, or lets the pipeline rest. Locked.
func (r *Redis) handOver(l *lane) {
	now := time.Now()
	for i := 0; i < len(l.queue); i++ {
		b := l.queue[i]
		switch {
		case len(b.waiters) == 0: // all have left
			l.queue = slices.Delete(l.queue, i, i+1)
			b.sent = true
			r.retire(b)
			i--
		case b.blocked || !r.ledger.ready(b):
		case b.due.After(now):
			r.wakeLater(l, b.due.Sub(now))
		case !b.waiters[0].lead:
			b.waiters[0].lead = true
			b.waiters[0].notify()
			return
		}
	}
	l.busy--
}

// wakeLater has somebody send what is due then. Locked.
func (r *Redis) wakeLater(l *lane, d time.Duration) {
	if l.pace.armed {
		return
	}
	l.pace.armed = true
	time.AfterFunc(d, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		l.pace.armed = false
		if l.busy < pipelines { // else one that is busy looks when it is done
			l.busy++
			r.handOver(l)
		}
	})
}

// handOverOthers wakes somebody on each lane whose calls may have waited for one on l. Locked.
func (r *Redis) handOverOthers(l *lane) {
	for _, other := range r.lanes {
		if other != l && len(other.queue) > 0 && other.busy < pipelines {
			other.busy++
			r.handOver(other)
		}
	}
}

// settle tells the waiters of b what came of it, and whether calls may go now that had to wait for it.
// Locked.
func (r *Redis) settle(b *batch) (freed bool) {
	v, err := b.outcome()
	freed = r.ledger.end(r, b, v, err)
	if err == nil && v.over() {
		err = &PeriodError{Now: time.UnixMicro(v.now())}
	}
	if r.failing.Swap(err != nil && !isPeriod(err)) && err == nil {
		r.suspect() // it is back, and may have come back without what it held
	}
	if MayHaveRun(err) && b.purpose == toDecide {
		r.lost.Add(b.cost * int64(len(b.waiters)))
	}
	for i, w := range b.waiters {
		if err == nil {
			v.fill(w.answer, w.query, int64(i), b.purpose)
		}
		r.tell(w, err)
	}
	r.retire(b)
	return freed
}

func isPeriod(err error) bool {
	_, ok := err.(*PeriodError)
	return ok
}

// retire forgets b, and lets the identical one behind it go. Locked.
func (r *Redis) retire(b *batch) {
	if b.next != nil {
		b.next.blocked = false
		if b.lane.pace.hot(b.hash) {
			b.next.due = b.begun.Add(hotGap)
		}
	}
	if l := b.lane; l.open[b.hash] == b {
		delete(l.open, b.hash)
	}
	clear(b.waiters)
	clear(b.books)
	b.waiters, b.books, b.next, b.lane, b.cmd, b.err = b.waiters[:0], b.books[:0], nil, nil, nil, nil
	r.batches.Put(b)
}

// fill writes the answer to the i-th request of a batch.
func (v verdict) fill(a *Answer, q *Query, i int64, p purpose) {
	granted := v.granted()
	a.Allowed = i < granted
	units := granted * q.Cost // of all that were admitted
	if a.Allowed {
		units = (i + 1) * q.Cost
	}
	if p == toPeek {
		a.Allowed, units = granted > 0, 0
	}
	for k := range q.Checks {
		c := &q.Checks[k]
		used, wait, reset := v.state(k)
		s := State{Used: used + units}
		if c.Limit.Unit == Sliding {
			s.Reset = micros(reset)
			if !a.Allowed {
				s.Retry = micros(wait)
			}
		} else if s.Used > 0 {
			s.Reset = micros(c.Span.End - v.now())
			if !a.Allowed && q.Cost > c.Limit.N-s.Used {
				s.Retry = s.Reset
			}
		}
		a.States = append(a.States, s)
	}
}
