//go:build realservers

package main

import (
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestFleetMaxStale cuts one gateway off from the database and stops another one for longer than they may
// trust what they know: the first refuses, both are counted out, and a revocation that is confirmed then
// holds when they come back.
func TestFleetMaxStale(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFleetSite(t, "unlimited", "max_stale: 3s")
	made := f.makeKeys(2)
	live, dead := made[0], made[1]
	well, cutOff, stopped := f.nodes[0], f.nodes[1], f.nodes[2]
	f.toxics.cut("postgres2")
	stopped.signal(syscall.SIGSTOP)
	t.Cleanup(func() { _ = stopped.process.Process.Signal(syscall.SIGCONT) }) // for a test that ends before it did
	if got := f.get(cutOff, "spent", live.Secret); got != http.StatusOK {
		t.Errorf("just cut off: got %d, want 200 until max_stale is over", got)
	}
	took := f.await("the gateway that is cut off refuses", 15*time.Second, func() bool {
		return f.get(cutOff, "spent", live.Secret) == http.StatusServiceUnavailable
	})
	t.Logf("it refused after %v, max_stale is 3 s", took)
	f.wantCode(cutOff, live, http.StatusServiceUnavailable, "directory_unavailable")
	if status, text := f.ready(cutOff); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz of it: %d %s", status, text)
	}
	f.wantCode(well, live, http.StatusOK, "")

	begun := time.Now()
	c, _, err := f.revoke(well, dead.ID, time.Minute)
	if err != nil || !c.Confirmed {
		t.Fatalf("revoke: %+v, %v", c, err)
	}
	t.Logf("confirmed after %v, of %d gateways", time.Since(begun), len(c.Nodes))
	f.wantRefused(dead, "confirmed", well, cutOff)

	// Who asks the one that was stopped, asks before it knows that time has passed.
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() { f.wantRefused(dead, "resumed after it was confirmed", stopped) })
	}
	time.Sleep(50 * time.Millisecond) // until they stand in its queue
	stopped.signal(syscall.SIGCONT)
	callers.Wait()
	f.toxics.mend("postgres2")
	for _, n := range []*fleetNode{cutOff, stopped} {
		f.await(n.name+" admits again", 30*time.Second, func() bool {
			f.wantRefused(dead, "coming back", n)
			return f.get(n, "spent", live.Secret) == http.StatusOK
		})
	}
	f.wantDead("at the end", made[1:])
}

// wantCode fails unless the gateway answers the key so; code is "" where it is admitted.
func (f *fleetSite) wantCode(n *fleetNode, key generated, status int, code string) {
	f.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+n.gateway+"/", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key.Secret)
	resp, text := do(f.t, f.client, req)
	if resp.StatusCode != status || code != "" && !strings.Contains(text, `"`+code+`"`) {
		f.t.Errorf("%s: got %d %s, want %d %s", n.name, resp.StatusCode, text, status, code)
	}
}
