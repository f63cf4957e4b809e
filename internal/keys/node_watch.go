package keys

import "time"

// FleetWatch tells how long ago nodes were last heard of. The database's clock says so, but it may be
// put forward, and then every node would look long silent to who asks before it beats again. So a
// heartbeat that came while this watched counts from the look that found it, however long ago the look
// before was, and ages by what passes here. Where it errs it takes nodes for younger, which only makes
// others wait. Only what a first look finds is believed as it stands.
//
// It is not safe for concurrent use.
type FleetWatch struct {
	known  map[nodeRun]heard
	looked bool // before
}

type nodeRun struct {
	id   NodeID
	boot string
}

// heard is a heartbeat and what its age was, at least, at a time here.
type heard struct {
	beats int64
	sent  time.Time // by the database's clock
	age   time.Duration
	at    time.Time
}

// Look takes what NodeStore.Nodes returned, and the observer's own monotonic clock before and after.
func (w *FleetWatch) Look(nodes []Node, now, began, ended time.Time) []SeenNode {
	known := make(map[nodeRun]heard, len(nodes))
	seen := make([]SeenNode, len(nodes))
	for i, n := range nodes {
		run := nodeRun{n.ID, n.Boot}
		h, there := w.known[run]
		if !there || h.beats != n.Beats || !h.sent.Equal(n.SeenAt) {
			h = heard{beats: n.Beats, sent: n.SeenAt, at: ended}
			if !w.looked {
				h.age = max(0, now.Sub(n.SeenAt))
			}
		}
		known[run] = h
		watched := max(0, began.Sub(h.at))
		seen[i] = SeenNode{Node: n, Age: h.age + watched, Watched: watched}
	}
	w.known, w.looked = known, true
	return seen
}
