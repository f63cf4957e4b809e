package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
)

// fakeFleet confirms as it is told.
type fakeFleet struct {
	nodes  []keys.NodeState
	err    error
	answer keys.Confirmation
	most   time.Duration // the last call waited so long
	asked  int
}

func (f *fakeFleet) Nodes(context.Context) ([]keys.NodeState, error) { return f.nodes, f.err }

func (f *fakeFleet) Wait(_ context.Context, most time.Duration) keys.Confirmation {
	f.most = most
	f.asked++
	return f.answer
}

var seenAt = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// fleeted is a site with a fleet of two, of which one has confirmed.
func fleeted(t *testing.T) (*site, *fakeFleet) {
	f := &fakeFleet{answer: keys.Confirmation{Seq: 7, Nodes: []keys.NodeConfirmation{
		{Node: "a", ConfirmedAt: seenAt, LastSeen: seenAt}, {Node: "b", LastSeen: seenAt.Add(-time.Minute)},
	}}}
	return newSite(t, func(o *Options) { o.Fleet = f }), f
}

func TestDenialsWaitForTheFleet(t *testing.T) {
	s, f := fleeted(t)
	const nodes = `"nodes":[{"node":"a","confirmed_at":"2026-11-21T10:00:00Z","last_seen":"2026-11-21T10:00:00Z"},{"node":"b","confirmed_at":null,"last_seen":"2026-11-21T09:59:00Z"}]`
	for _, act := range []string{"suspend", "revoke"} {
		made := s.do("POST", "/v1/keys", `{"name":"k"}`)
		wantStatus(t, made, 201)
		id := made.object["id"].(string)
		f.answer.Confirmed = act == "revoke"
		r := s.do("POST", "/v1/keys/"+id+"/"+act+"?wait=fleet&timeout=300ms", `{"reason":"x"}`)
		want := map[bool]string{false: `"confirmed":false,`, true: `"confirmed":true,`}[f.answer.Confirmed]
		want = `{"key":"` + id + `","seq":7,` + want + nodes + "}"
		if got := strings.TrimSpace(string(r.body)); r.status != statusOf(f.answer.Confirmed) || got != want {
			t.Errorf("%s: got %d %s\nwant %s", act, r.status, got, want)
		}
		if f.most != 300*time.Millisecond || r.header.Get("ETag") == "" {
			t.Errorf("%s: waited %s, ETag %q", act, f.most, r.header.Get("ETag"))
		}
	}
	asked := f.asked
	wantStatus(t, s.do("POST", "/v1/keys/key_000000000001/resume", ""), 200)
	if r := s.do("POST", "/v1/keys/key_000000000001/revoke", ""); r.status != 200 || r.object["status"] != "revoked" || f.asked != asked {
		t.Errorf("without waiting: got %d %s", r.status, r.body)
	}
}

func TestManyRevocationsWaitForTheFleet(t *testing.T) {
	s, f := fleeted(t)
	wantStatus(t, s.do("POST", "/v1/keys", `{"name":"k"}`), 201)
	const one = `{"ids":["key_000000000001"],"dry_run":`
	if r := s.do("POST", "/v1/keys/revoke?wait=fleet", one+"true}"); r.status != 200 || f.asked != 0 || r.object["confirmed"] != nil {
		t.Errorf("a dry run: got %d %s", r.status, r.body)
	}
	r := s.do("POST", "/v1/keys/revoke?wait=fleet", one+"false}")
	if r.status != 202 || f.most != usualWait || r.object["confirmed"] != false || r.object["seq"] != 7.0 || len(r.object["nodes"].([]any)) != 2 || r.object["revoked"] != 1.0 {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

// TestWrongWaits: nothing is changed by a call that cannot wait as it wants to.
func TestWrongWaits(t *testing.T) {
	s, f := fleeted(t)
	wantStatus(t, s.do("POST", "/v1/keys", `{"name":"k"}`), 201)
	for _, query := range []string{"wait=", "wait=all", "wait=fleet&timeout=0s", "wait=fleet&timeout=61s", "wait=fleet&timeout=2", "wait=fleet&timeout=-1s", "wait=fleet&timeout=999999m", "timeout=2s", "wait=fleet&wait=fleet"} {
		for path, body := range map[string]string{"key_000000000001/revoke": "", "key_000000000001/suspend": "", "revoke": `{"ids":["key_000000000001"]}`} {
			if r := s.do("POST", "/v1/keys/"+path+"?"+query, body); r.status != 422 {
				t.Errorf("%s?%s: got %d %s", path, query, r.status, r.body)
			}
		}
	}
	if r := s.do("POST", "/v1/keys/key_000000000001/resume?wait=fleet", ""); r.status != 422 {
		t.Errorf("resume waits: got %d", r.status)
	}
	if r := s.do("GET", "/v1/keys/key_000000000001", ""); r.object["status"] != "active" || f.asked != 0 {
		t.Errorf("the key is %s, and %d waits were made", r.object["status"], f.asked)
	}
}

func TestListNodes(t *testing.T) {
	s, f := fleeted(t)
	s.registry.actors[operatorText].Permissions[keys.NodesRead] = struct{}{}
	node := func(id string, change func(*keys.NodeState)) {
		n := keys.NodeState{SeenNode: keys.SeenNode{Node: keys.Node{ID: keys.NodeID(id), Applied: 3, MaxStale: time.Hour, StartedAt: seenAt, SeenAt: seenAt}}}
		change(&n)
		f.nodes = append(f.nodes, n)
	}
	node("running", func(n *keys.NodeState) { n.Self, n.Sees = true, []keys.NodeID{"running"} })
	node("loading", func(n *keys.NodeState) { n.Applied = 0 })
	node("silent", func(n *keys.NodeState) { n.Age = time.Hour })
	node("gone", func(n *keys.NodeState) { n.Age = time.Hour + 11*time.Second })
	node("left", func(n *keys.NodeState) { n.LeftAt = seenAt })
	r := s.do(http.MethodGet, "/v1/nodes", "")
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal(r.body, &list); err != nil || r.status != 200 || len(list.Items) != 5 {
		t.Fatalf("got %d %s, %v", r.status, r.body, err)
	}
	for _, n := range list.Items {
		if counts := n["state"] == "running" || n["state"] == "loading" || n["state"] == "silent"; n["state"] != n["id"] || n["counts"] != counts {
			t.Errorf("%s is %s and counts: %v", n["id"], n["state"], n["counts"])
		}
	}
	s.registry.actors[developerText].Permissions[keys.NodesRead] = struct{}{} // as a custom role might
	if r := s.do(http.MethodGet, "/v1/nodes", "", "Authorization", "Bearer "+developerText); r.status != http.StatusForbidden {
		t.Errorf("somebody of a tenant got %d", r.status)
	}
	f.err = &keys.Refusal{Code: keys.StoreUnavailableHere, Detail: "x"}
	if r := s.do(http.MethodGet, "/v1/nodes", ""); r.status != http.StatusServiceUnavailable {
		t.Errorf("without the store: got %d %s", r.status, r.body)
	}
	f.err = errors.New("x")
	if r := s.do(http.MethodGet, "/v1/nodes", ""); r.status != http.StatusInternalServerError {
		t.Errorf("got %d", r.status)
	}
}

func wantStatus(t *testing.T, r reply, status int) {
	t.Helper()
	if r.status != status {
		t.Fatalf("got %d %s, want %d", r.status, r.body, status)
	}
}

// TestWaitsAgain: after a 202 the same call waits again, and changes nothing.
func TestWaitsAgain(t *testing.T) {
	s, f := fleeted(t)
	for act, other := range map[string]string{"suspend": "revoke", "revoke": "suspend"} {
		made := s.do("POST", "/v1/keys", `{"name":"k"}`)
		wantStatus(t, made, 201)
		path := "/v1/keys/" + made.object["id"].(string) + "/"
		f.answer.Confirmed = false
		wantStatus(t, s.do("POST", path+act+"?wait=fleet", ""), 202)
		version := s.do("GET", strings.TrimSuffix(path, "/"), "").header.Get("ETag")
		wantStatus(t, s.do("POST", path+act+"?wait=fleet", ""), 202)
		f.answer.Confirmed = true
		r := s.do("POST", path+act+"?wait=fleet&timeout=1s", `{"reason":"x"}`)
		if r.status != 200 || r.object["confirmed"] != true || r.header.Get("ETag") != version || f.most != time.Second {
			t.Errorf("%s again: got %d %s, ETag %s, want %s", act, r.status, r.body, r.header.Get("ETag"), version)
		}
		wantProblem(t, s.do("POST", path+act, ""), 409, "invalid_state")
		wantProblem(t, s.do("POST", path+act+"?wait=fleet", "", "If-Match", `"99"`), 412, "version_conflict")
		if act == "revoke" { // it is not suspended, so there is nothing to wait for
			wantProblem(t, s.do("POST", path+other+"?wait=fleet", ""), 409, "invalid_state")
		}
	}
}
