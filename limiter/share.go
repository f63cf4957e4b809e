package limiter

import (
	"slices"
	"time"
)

// Lease is for how long a gateway counts as alive after its last heartbeat, by the clock of whatever
// keeps the list of gateways.
const Lease = 10 * time.Second

// Peer is one line of the list of gateways, as another gateway reads it with its own heartbeat.
type Peer struct {
	ID   string
	Age  time.Duration // since its last heartbeat, by the list's clock
	Sees []string      // the living gateways that it reckoned with, see Roster
	Lost bool          // it reckoned with others too, that were no longer alive
}

// standing is where a gateway stands among those that share the limits.
type standing struct {
	rank   int
	of     int  // how many share; 0: this gateway has no share
	agreed bool // all of them reckon with the same ones, so what does not divide can be dealt out too
	until  time.Time
}

// standingOf finds a gateway's standing in the list it just read. A newcomer has no share until every living
// gateway reckons with it.
func standingOf(self string, peers []Peer) (standing, []string) {
	live := make([]string, 0, len(peers)+1)
	live = append(live, self)
	for _, p := range peers {
		if p.ID != self && p.Age < Lease {
			live = append(live, p.ID)
		}
	}
	slices.Sort(live)
	found := standing{rank: slices.Index(live, self), of: len(live), agreed: true}
	for _, p := range peers {
		if p.Age >= Lease && p.ID != self {
			continue
		}
		if p.ID != self && !slices.Contains(p.Sees, self) {
			return standing{}, live
		}
		seen := slices.Clone(p.Sees)
		slices.Sort(seen)
		found.agreed = found.agreed && !p.Lost && slices.Equal(seen, live)
	}
	return found, live
}

// share is how much of n units is this gateway's. What does not divide goes to some of the gateways,
// to others for another turn, so that with n below their number none always gets nothing.
func (p standing) share(n int64, turn uint64) int64 {
	if p.of == 0 {
		return 0
	}
	of := int64(p.of)
	own := n / of
	if p.agreed && (int64(turn%uint64(of))+int64(p.rank))%of < n%of {
		own++
	}
	return own
}

// turnOf is the same number for a tag on every gateway (FNV-1a).
func turnOf(tag string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(tag) {
		h = (h ^ uint64(tag[i])) * 1099511628211
	}
	return h
}
