package keys

import (
	"testing"
	"time"
)

// TestFleetWatchNeverOverrates: what an observer says of how long a node was silent is never more than it was,
// however the database's clock is set, unless the observer looks for the first time.
func TestFleetWatchNeverOverrates(t *testing.T) {
	here := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	there := here.Add(time.Hour) // the database's clock
	var w FleetWatch
	n := Node{ID: "n0", Boot: "1"}
	pass := func(d time.Duration) { here, there = here.Add(d), there.Add(d) }
	beat := func() { n.Beats, n.SeenAt = n.Beats+1, there }
	age := func() time.Duration { return w.Look([]Node{n}, there, here, here)[0].Age }

	beat()
	pass(3 * time.Second)
	if got := age(); got != 3*time.Second {
		t.Errorf("a first look: got %v, want what the database's clock says, 3s", got)
	}
	there = there.Add(10 * time.Minute)
	pass(2 * time.Second)
	if got := age(); got != 5*time.Second {
		t.Errorf("silent since the look before: got %v, want 5s", got)
	}
	pass(34 * time.Second) // the observer was held up
	beat()
	pass(time.Second)
	there = there.Add(3 * time.Minute)
	if got := age(); got > time.Second {
		t.Errorf("a heartbeat one second ago, then the clock was put forward: got %v, want at most 1s", got)
	}
	pass(40 * time.Second)
	if got := age(); got < 40*time.Second || got > 41*time.Second {
		t.Errorf("40 s later: got %v", got)
	}
}

// TestSilentNodesAreForgottenByWatchersOnly: a database clock that was put forward by days before an observer's first
// look takes nobody out; what the observer has seen silent for as long as a node may admit may go.
func TestSilentNodesAreForgottenByWatchersOnly(t *testing.T) {
	here := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	there := here.Add(72 * time.Hour)
	silent := Node{ID: "silent", Boot: "1", Beats: 5, SeenAt: here, MaxStale: time.Hour}
	left := Node{ID: "left", Boot: "1", Beats: 5, SeenAt: here, LeftAt: here, MaxStale: time.Hour}
	lately := Node{ID: "lately", Boot: "1", Beats: 5, SeenAt: there, LeftAt: there, MaxStale: time.Hour}
	var w FleetWatch
	for _, c := range []struct {
		after  time.Duration
		silent bool
	}{{0, false}, {time.Hour, false}, {time.Hour + NodeGrace, false}, {time.Hour + NodeGrace + time.Second, true}} {
		at := here.Add(c.after)
		seen := w.Look([]Node{silent, left, lately}, there.Add(c.after), at, at)
		if got := seen[0].over(nodesKept); got != c.silent {
			t.Errorf("watched for %s: got over %t, want %t", c.after, got, c.silent)
		}
		if !seen[1].over(nodesKept) {
			t.Errorf("left three days ago, watched for %s: want over", c.after)
		}
		if seen[2].over(nodesKept) {
			t.Errorf("left %s ago: want it still told of", c.after)
		}
	}
}
