//go:build realservers

package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestFleetUpgrade takes three gateways one after another to a next release, whose schema has more, and
// back again, while keys are used, made and revoked: nothing fails.
func TestFleetUpgrade(t *testing.T) {
	next := filepath.Join(t.TempDir(), "postern-next")
	build := exec.Command("go", "build", "-tags", "nextrelease", "-o", next, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the next release: %v\n%s", err, out)
	}
	// A gateway that has just started has no share of the limits yet, and refuses what Redis does not
	// answer in time on a machine that is busy starting gateways.
	t.Setenv("POSTERN_LIMITER__ON_LOSS", "allow")
	f := newFleetSite(t, "100000/s")
	used := f.makeKeys(1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := f.balance(ctx)
	var work sync.WaitGroup
	var calls *tally
	changes := &tally{}
	var mu sync.Mutex
	var live, dead []generated
	work.Go(func() { calls = b.load(ctx, f.client, "http", used.Secret, 8) })
	for range 2 {
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, err := b.makeAndUse(i%2 == 0)
				changes.note(false, err)
				mu.Lock()
				switch {
				case err != nil:
				case i%2 == 0:
					dead = append(dead, key)
				default:
					live = append(live, key)
				}
				mu.Unlock()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for _, program := range []string{next, "postern"} {
		for _, n := range f.nodes {
			n.program = program
			b.awaitCalls()
			n.stop()
			n.start()
			b.awaitReady()
		}
	}
	b.awaitCalls()
	cancel()
	work.Wait()
	calls.judge(t, "calls")
	changes.judge(t, "changes")
	if calls.slow == 0 {
		t.Error("no slow call was answered")
	}
	if err := f.postgres.Exec(f.database, "SELECT FROM next_release"); err != nil {
		t.Errorf("the next release has migrated nothing: this proves nothing: %v", err)
	}
	f.wantDead("back on the first release", dead)
	for _, n := range f.nodes {
		for _, key := range live {
			if got := f.get(n, "spent", key.Secret); got != http.StatusOK {
				t.Errorf("key %s on %s: got %d, want 200", key.ID, n.name, got)
			}
		}
	}
	f.nodes[0].must("audit", "verify")
}

// makeAndUse makes a key at one gateway, and revokes it at another where that is wanted.
func (b *balancer) makeAndUse(revoke bool) (key generated, err error) {
	n := b.pick()
	if n == nil {
		return key, fmt.Errorf("no gateway is ready")
	}
	status, text, err := b.ask(n, http.MethodPost, "/v1/keys", `{"name":"made meanwhile","apis":["main"]}`, &key)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("make a key at %s: %d %s", n.name, status, text)
	}
	if err != nil || !revoke {
		return key, err
	}
	if n = b.pick(); n == nil {
		return key, fmt.Errorf("no gateway is ready")
	}
	status, text, err = b.ask(n, http.MethodPost, "/v1/keys/"+key.ID+"/revoke", "", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("revoke a key at %s: %d %s", n.name, status, text)
	}
	return key, err
}
