package keys

import "time"

// Confirmation tells whether a change is in effect on every node that counts.
type Confirmation struct {
	Seq       Seq
	Confirmed bool
	Nodes     []NodeConfirmation // of the nodes that count
}

// NodeConfirmation tells of one node. Times are the database's.
type NodeConfirmation struct {
	Node        NodeID
	ConfirmedAt time.Time // when the node said that the change is in effect there; zero: it has not
	LastSeen    time.Time
}

// confirming waits for one change: it is fed with looks that began after the change was committed.
//
// Why a node that it does not find cannot admit by what was before the change: it registers before it
// reads anything, and after it was counted out it answers nothing until it has read again (see
// registration). Either read begins when its row is there to be found, so one that was not found will
// read, or has to read, what holds the change.
type confirming struct {
	seq  Seq
	when map[nodeRun]time.Time // when those that confirmed said so
}

// look returns where things stand. Only the newest look decides: a node that came meanwhile counts, one
// that left does not.
func (c *confirming) look(nodes []SeenNode) Confirmation {
	out := Confirmation{Seq: c.seq, Confirmed: true, Nodes: []NodeConfirmation{}}
	for i := range nodes {
		n := &nodes[i]
		if !n.Counts() {
			continue
		}
		one := NodeConfirmation{Node: n.ID, LastSeen: n.SeenAt}
		if n.Applied >= c.seq {
			run := nodeRun{n.ID, n.Boot}
			if c.when == nil {
				c.when = map[nodeRun]time.Time{}
			}
			if _, said := c.when[run]; !said {
				c.when[run] = n.AppliedAt
			}
			one.ConfirmedAt = c.when[run]
		} else {
			out.Confirmed = false
		}
		out.Nodes = append(out.Nodes, one)
	}
	return out
}
