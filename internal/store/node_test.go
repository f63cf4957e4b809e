package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

// registrar is a store that knows nodes, as every one behind testStore does.
func registrar(t *testing.T, s keys.Store) keys.NodeStore {
	t.Helper()
	r, ok := s.(keys.NodeStore)
	if !ok {
		t.Fatalf("%T knows no nodes", s)
	}
	return r
}

func node(id, boot, place string) keys.Node {
	return keys.Node{ID: keys.NodeID(id), Boot: boot, Place: place, MaxStale: time.Hour, Version: "1.2.3", Configuration: "abc", Pepper: 1 << 31,
		Host: "host ☂", Address: "10.0.0.5:8080", AdminURL: "https://a", Sees: []keys.NodeID{"a", "b"}}
}

// nodes returns what is there, by boot, and checks the times.
func nodes(t *testing.T, r keys.NodeStore) map[string]keys.Node {
	t.Helper()
	list, now, err := r.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if off := time.Since(now); off < -time.Minute || off > time.Minute {
		t.Errorf("the database's time is %s", now)
	}
	all := map[string]keys.Node{}
	for _, n := range list {
		// A database's clock may go on within a statement.
		if seen := n.SeenAt.Add(time.Millisecond); n.SeenAt.After(now.Add(time.Millisecond)) || n.StartedAt.After(seen) || n.AppliedAt.After(seen) {
			t.Errorf("%s: started %s, applied %s, seen %s, now %s", n.Boot, n.StartedAt, n.AppliedAt, n.SeenAt, now)
		}
		all[n.Boot] = n
	}
	return all
}

func testNodes(t *testing.T, open func(*testing.T) keys.Store) {
	t.Run("Life", func(t *testing.T) { testNodeLife(t, open(t)) })
	t.Run("Places", func(t *testing.T) { testNodePlaces(t, open(t)) })
	t.Run("Forget", func(t *testing.T) { testNodeForget(t, open(t)) })
	t.Run("Starts", func(t *testing.T) { testNodeStarts(t, open(t)) })
	t.Run("Concurrent", func(t *testing.T) { testNodesConcurrent(t, open(t)) })
}

func testNodeLife(t *testing.T, s keys.Store) {
	r := registrar(t, s)
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	n := node("a", "1", "")
	n.Applied = 99 // a node that registers has applied nothing
	if err := r.Heartbeat(t.Context(), n); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("heartbeat of a stranger: got %v", err)
	}
	must(r.RegisterNode(t.Context(), n))
	first := nodes(t, r)["1"]
	want := node("a", "1", "")
	want.StartedAt, want.SeenAt, want.AppliedAt = first.StartedAt, first.SeenAt, first.AppliedAt
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}

	time.Sleep(2 * time.Millisecond) // a clock may count in ms
	n.Applied, n.Configuration, n.Pepper, n.Sees = 7, "def", 2, []keys.NodeID{"a"}
	must(r.Heartbeat(t.Context(), n))
	second := nodes(t, r)["1"]
	if second.Applied != 7 || !second.AppliedAt.After(first.AppliedAt) || second.Beats != 1 || second.Configuration != "def" || second.Pepper != 2 || len(second.Sees) != 1 {
		t.Errorf("after a heartbeat: %+v", second)
	}
	time.Sleep(2 * time.Millisecond)
	n.Applied = 6 // an older heartbeat that comes late
	must(r.Heartbeat(t.Context(), n))
	third := nodes(t, r)["1"]
	if third.Applied != 7 || !third.AppliedAt.Equal(second.AppliedAt) || !third.SeenAt.After(second.SeenAt) || third.Beats != 2 {
		t.Errorf("after an older heartbeat: %+v", third)
	}

	must(r.DeregisterNode(t.Context(), "a", "another"))
	if got := nodes(t, r)["1"]; !got.LeftAt.IsZero() {
		t.Error("somebody else's leaving counted")
	}
	must(r.DeregisterNode(t.Context(), "a", "1"))
	left := nodes(t, r)["1"]
	if left.LeftAt.IsZero() {
		t.Error("it has not left")
	}
	if err := r.Heartbeat(t.Context(), n); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("a heartbeat that comes after leaving: got %v", err)
	}
	must(r.DeregisterNode(t.Context(), "a", "1"))
	if got := nodes(t, r)["1"]; !got.LeftAt.Equal(left.LeftAt) {
		t.Error("it left twice")
	}
	if after, err := s.Head(t.Context()); err != nil || after != head {
		t.Errorf("nodes took change number %d, %v, want none after %d", after, err, head)
	}
}

// testNodePlaces: a run that is known to be over is taken out, any other one is not.
func testNodePlaces(t *testing.T, s keys.Store) {
	r := registrar(t, s)
	for _, n := range []keys.Node{node("a", "1", "x"), node("b", "2", "y"), node("c", "3", ""), node("d", "4", ""), node("e", "5", "x"), node("c", "3", "")} {
		if err := r.RegisterNode(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	got := nodes(t, r)
	for boot, want := range map[string]bool{"1": false, "2": true, "3": true, "4": true, "5": true} {
		if _, there := got[boot]; there != want {
			t.Errorf("run %s is there: %t, want %t", boot, there, want)
		}
	}
}

// testNodeForget: a node is taken out by who read its last heartbeat, and by nobody who read an earlier one.
func testNodeForget(t *testing.T, s keys.Store) {
	r := registrar(t, s)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	n := node("a", "1", "")
	must(r.RegisterNode(t.Context(), n))
	must(r.RegisterNode(t.Context(), node("a", "2", "")))
	before := nodes(t, r)["1"]
	must(r.Heartbeat(t.Context(), n))
	must(r.ForgetNode(t.Context(), before))
	now := nodes(t, r)
	if _, there := now["1"]; !there {
		t.Error("a node that had beaten meanwhile was taken out")
	}
	must(r.ForgetNode(t.Context(), now["1"]))
	if got := nodes(t, r); len(got) != 1 || got["2"].ID != "a" {
		t.Errorf("after it was forgotten: got %v, want the other run of its id alone", got)
	}
	// Who read the old row late does not take out the new one, which has as many heartbeats.
	must(r.RegisterNode(t.Context(), node("b", "1", "")))
	silent := nodes(t, r)["1"]
	must(r.ForgetNode(t.Context(), silent))
	time.Sleep(2 * time.Millisecond) // a clock may count in ms
	must(r.RegisterNode(t.Context(), node("b", "1", "")))
	must(r.ForgetNode(t.Context(), silent))
	if got := nodes(t, r)["1"]; got.ID != "b" {
		t.Error("a node that had registered anew was taken out")
	}
	if err := r.Heartbeat(t.Context(), n); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("heartbeat of a forgotten node: got %v, want %v", err, keys.ErrNotFound)
	}
}

// testNodeStarts: of two with one id the later one starts later, however fast they follow each other.
func testNodeStarts(t *testing.T, s keys.Store) {
	r := registrar(t, s)
	const starts = 20
	for i := range starts {
		if err := r.RegisterNode(t.Context(), node("a", fmt.Sprint(i), "")); err != nil {
			t.Fatal(err)
		}
	}
	got := nodes(t, r)
	for i := 1; i < starts; i++ {
		if before, after := got[fmt.Sprint(i-1)].StartedAt, got[fmt.Sprint(i)].StartedAt; !after.After(before) {
			t.Errorf("start %d at %v, after one at %v", i, after, before)
		}
	}
}

func testNodesConcurrent(t *testing.T, s keys.Store) {
	r := registrar(t, s)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			n := node(fmt.Sprint("n", i), fmt.Sprint(i), fmt.Sprint("place", i))
			if err := r.RegisterNode(t.Context(), n); err != nil {
				t.Error(err)
			}
			for k := range 20 {
				n.Applied = keys.Seq(k)
				if err := r.Heartbeat(t.Context(), n); err != nil {
					t.Error(err)
				}
			}
			if err := r.DeregisterNode(t.Context(), n.ID, n.Boot); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for boot, n := range nodes(t, r) {
		if n.Applied != 19 || n.Beats != 20 {
			t.Errorf("run %s: applied %d after %d heartbeats", boot, n.Applied, n.Beats)
		}
	}
}
