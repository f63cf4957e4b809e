package limiter

import (
	"crypto/rand"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Roster knows how many gateways share the limits and which part is this one's while the store of
// their counters is lost. Who keeps the list of gateways tells it of every heartbeat.
//
// However the heartbeats of the gateways interleave, their shares of a limit sum to at most the limit,
// if the list is kept so:
//
//   - A heartbeat writes its gateway's line and reads the others' in one step, which no other
//     heartbeat comes between.
//   - The line it writes names those of Reckoned that are alive at that instant, and itself, and says
//     whether there were others. So a gateway is named only by those that have made room for it, and
//     not any more by those that are about to take its share; and what does not divide is dealt out
//     only when all are known to have made room for the same ones.
//   - A line is alive for Lease after its heartbeat; the gateway itself reckons from before it began,
//     so it gives its share up before anybody takes it.
//
// It is safe for concurrent use.
type Roster struct {
	self    string
	boot    string // of this run: two gateways under one id are told apart by it
	forever bool
	now     func() time.Time

	standing atomic.Pointer[standing]
	mu       sync.Mutex
	reckoned []string
	alive    map[string]lastLine
	since    time.Time // of the first heartbeat
}

// lastLine is a gateway's line as it was last read alive, and until when its lease lasts.
type lastLine struct {
	peer  Peer
	until time.Time
}

// NewRoster makes the roster of a gateway that has no share yet. forever is for a list that is kept in
// the store itself: when that is lost nobody can renew, and each keeps the share it had.
func NewRoster(self string, forever bool) *Roster {
	r := &Roster{self: self, boot: rand.Text(), forever: forever, now: time.Now, alive: map[string]lastLine{}}
	r.standing.Store(&standing{})
	return r
}

// Self is the gateway's own id.
func (r *Roster) Self() string { return r.self }

// Reckoned returns the living gateways that this one's share makes room for, itself included: what
// its next heartbeat names, as far as they are alive then.
func (r *Roster) Reckoned() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.reckoned...)
}

// Beat takes in what a heartbeat read. begun is when it began, by the clock of time.Now.
//
// A list in the store itself may be lost and begin anew, or the store's clock be moved. So a gateway that
// was alive and is not on the list any more is reckoned with until its lease must be over, and on such a
// list a newcomer waits for a lease until it believes that nobody else is there.
func (r *Roster) Beat(begun time.Time, peers []Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.since.IsZero() {
		r.since = now
	}
	for _, p := range peers {
		if p.ID != r.self && p.Age < Lease {
			r.alive[p.ID] = lastLine{p, now.Add(Lease - p.Age)}
		}
	}
	for id, last := range r.alive {
		switch {
		case !now.Before(last.until):
			delete(r.alive, id)
		case !slices.ContainsFunc(peers, func(p Peer) bool { return p.ID == id && p.Age < Lease }):
			last.peer.Age, last.peer.Lost = 0, true
			peers = append(slices.Clip(peers), last.peer)
		}
	}
	found, live := standingOf(r.self, peers)
	if r.forever && now.Sub(r.since) < Lease {
		found = standing{}
	}
	found.until = begun.Add(Lease)
	r.standing.Store(&found)
	r.reckoned = live
}

// Share is how much of n units a counter of that tag has here, while the store is lost.
func (r *Roster) Share(n int64, tag string) int64 {
	return r.at(r.now()).share(n, turnOf(tag))
}

// HasShare tells whether this gateway has a part of the limits, be it not all that will be its own.
func (r *Roster) HasShare() bool { return r.at(r.now()).of > 0 }

// Settled returns how many gateways share the limits, this one included, as long as all of them reckon
// with the same ones; 0 otherwise, and while this one has no share.
func (r *Roster) Settled() int {
	if p := r.at(r.now()); p.agreed {
		return p.of
	}
	return 0
}

// at returns the standing in force.
func (r *Roster) at(now time.Time) standing {
	p := *r.standing.Load()
	// Also by the wall clock, which goes on while a machine sleeps.
	if !r.forever && (!now.Before(p.until) || !now.Round(0).Before(p.until.Round(0))) {
		return standing{}
	}
	return p
}
