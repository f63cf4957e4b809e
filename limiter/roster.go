package limiter

import (
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
	forever bool

	standing atomic.Pointer[standing]
	mu       sync.Mutex
	reckoned []string
}

// NewRoster makes the roster of a gateway that has no share yet. forever is for a list that is kept in
// the store itself: when that is lost nobody can renew, and each keeps the share it had.
func NewRoster(self string, forever bool) *Roster {
	r := &Roster{self: self, forever: forever}
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
func (r *Roster) Beat(begun time.Time, peers []Peer) {
	found, live := standingOf(r.self, peers)
	found.until = begun.Add(Lease)
	r.standing.Store(&found)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reckoned = live
}

// Share is how much of n units a counter of that tag has here, while the store is lost.
func (r *Roster) Share(n int64, tag string) int64 {
	return r.at(time.Now()).share(n, turnOf(tag))
}

// Settled returns how many gateways share the limits, this one included, as long as all of them reckon
// with the same ones; 0 otherwise, and while this one has no share.
func (r *Roster) Settled() int {
	if p := r.at(time.Now()); p.agreed {
		return p.of
	}
	return 0
}

// at returns the standing in force.
func (r *Roster) at(now time.Time) standing {
	p := *r.standing.Load()
	if !r.forever && !now.Before(p.until) {
		return standing{}
	}
	return p
}
