package gateway

import (
	"os"
	"sync"
	"time"
)

// Rules of this file: while a handler runs, net/http waits in a read of one byte for a client that
// hangs up, and ends that read with a deadline in the past when the answer is written. For an answer
// that takes a millisecond the two cost more than deciding the request. So such a read waits in
// memory at first, and in the connection only when the answer takes longer. A read that is not known
// to be of that kind goes to the connection at once.

// lookEvery is the tick after one or two of which a waiting read looks at its connection.
const lookEvery = 20 * time.Millisecond

// lookout sends the waiting reads of all connections on to theirs, and has waiting exchanges follow
// their clients.
type lookout struct {
	mu      sync.Mutex
	recent  []waiting // came since the last tick
	earlier []waiting // and before it
	running bool      // a tick is going to come
}

// waiting is something that waits, or waited: it need not be taken out when it is over. A read waits
// for its client to hang up, an exchange for its upstream.
type waiting struct {
	on   looker
	turn uint64
}

// looker is told when it has waited for a tick or two, by the turn it gave.
type looker interface{ look(turn uint64) }

func (l *lookout) add(w waiting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent = append(l.recent, w)
	if !l.running {
		l.running = true
		time.AfterFunc(lookEvery, l.tick)
	}
}

func (l *lookout) tick() {
	l.mu.Lock()
	due := l.earlier
	l.earlier, l.recent = l.recent, nil
	if l.running = len(l.earlier) > 0; l.running {
		time.AfterFunc(lookEvery, l.tick)
	}
	l.mu.Unlock()
	for _, w := range due {
		w.on.look(w.turn)
	}
}

// patientRead is one connection's read for a client that hangs up.
type patientRead struct {
	lookout *lookout // nil: every read goes to the connection
	wake    chan bool

	mu      sync.Mutex
	turn    uint64 // counts reads that waited
	waits   bool
	aborted bool // the read deadline is in the past
}

func (p *patientRead) watchedBy(l *lookout) {
	p.lookout, p.wake = l, make(chan bool, 1)
}

// wait returns nil when it is time to read from the connection, else the error of a read whose
// deadline has passed.
func (p *patientRead) wait() error {
	if p.lookout == nil {
		return nil
	}
	p.mu.Lock()
	if p.aborted { // the connection will say so
		p.mu.Unlock()
		return nil
	}
	p.waits = true
	p.turn++
	turn := p.turn
	p.mu.Unlock()
	p.lookout.add(waiting{p, turn})
	if <-p.wake {
		return nil
	}
	return os.ErrDeadlineExceeded
}

// look ends the wait of a turn, unless it is over.
func (p *patientRead) look(turn uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waits && p.turn == turn {
		p.waits = false
		p.wake <- true
	}
}

// deadline notes a read deadline that is set, and tells whether the connection need not know: the
// read that it was to end has been ended.
func (p *patientRead) deadline(t time.Time) (done bool) {
	if p.lookout == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aborted = !t.IsZero() && t.Unix() <= 1 // as net/http, and ourselves, end reads
	if !p.aborted || !p.waits {
		return false
	}
	// Whoever ends a read lifts the deadline when it has ended. Until then no other begins.
	p.waits, p.aborted = false, false
	p.wake <- false
	return true
}
