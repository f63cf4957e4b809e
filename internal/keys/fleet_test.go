package keys

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestFleetTellsWhatIsAmiss: heartbeats that fail, and gateways that run something else.
func TestFleetTellsWhatIsAmiss(t *testing.T) {
	m := newFleetModel(t, 1) // nobody disturbs: it only acts when it is told to
	m.depth = 3
	a, b := m.nodes[0], m.nodes[1]
	for _, n := range []*modelNode{a, b} {
		n.start()
	}
	beat := func(n *modelNode) {
		m.base = m.base.Add(time.Second)
		n.fleet.beat(context.Background(), n.now())
	}
	want := func(parts ...string) {
		t.Helper()
		got := strings.Join(a.fleet.Degraded(), "\n")
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("got %q, want it to say %q", got, part)
			}
		}
		if len(parts) == 0 && got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	}
	beat(a)
	want()
	a.cutWrites = true
	beat(a)
	beat(a)
	want("could not be stored for 1s", "it admits nobody")
	a.cutWrites = false
	beat(a)
	want()
	b.fleet.configuration = func() string { return "another" }
	beat(b)
	beat(a)
	want("another configuration runs on n1")
	states, err := a.fleet.Nodes(t.Context())
	if err != nil || len(states) != 2 || !states[0].Self || states[0].OtherConfig || !states[1].OtherConfig {
		t.Errorf("got %+v, %v", states, err)
	}
	twin := m.row("n1")
	twin.ID, twin.Boot, twin.StartedAt = "n0", "2", m.base
	beat(a)
	want("another gateway runs under this one's node id, n0")
	m.base = m.base.Add(NodeLease)
	beat(a)
	want()
}

// row is the first row of a node's id.
func (m *fleetModel) row(id NodeID) *Node {
	for i := range m.rows {
		if m.rows[i].ID == id {
			return &m.rows[i]
		}
	}
	m.t.Fatalf("there is no row of %s", id)
	return nil
}
