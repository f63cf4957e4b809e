//go:build realservers

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestFleetConfirmation revokes keys with wait=fleet, in peace and while something is the matter with one
// gateway. After an answer that confirms, no gateway may admit the key even once. POSTERN_LONG=1 takes
// more keys.
func TestFleetConfirmation(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFleetSite(t, "100000/s")
	const patience = 20 * time.Second

	t.Run("in peace", func(t *testing.T) {
		f := f.in(t)
		made := f.makeKeys(sized(60, 1000))
		var revokers sync.WaitGroup
		var next atomic.Int64
		for range 3 {
			revokers.Go(func() {
				for k := int(next.Add(1)) - 1; k < len(made); k = int(next.Add(1)) - 1 {
					c, _, err := f.revoke(f.nodes[k%3], made[k].ID, patience)
					if err != nil || !c.Confirmed || len(c.Nodes) != 3 {
						t.Errorf("revoke %s: %+v, %v", made[k].ID, c, err)
						continue
					}
					f.wantRefused(made[k], "confirmed in peace", f.nodes...)
					if again, _, err := f.revoke(f.nodes[(k+1)%3], made[k].ID, patience); err != nil || !again.Confirmed || again.Key != made[k].ID {
						t.Errorf("wait again for %s: %+v, %v", made[k].ID, again, err)
					}
				}
			})
		}
		revokers.Wait()
	})

	// One gateway hears of nothing, and nothing is confirmed. What it does not know it admits, or this
	// would prove little.
	for _, fault := range []struct {
		name  string
		begin func(f *fleetSite)
		end   func(f *fleetSite)
		hangs bool
	}{
		{name: "cut off", begin: func(f *fleetSite) { f.toxics.cut("postgres2") }, end: func(f *fleetSite) { f.toxics.mend("postgres2") }},
		{name: "black hole", begin: func(f *fleetSite) { f.toxics.blackHole("postgres2") }, end: func(f *fleetSite) { f.toxics.heal() }},
		{name: "stopped", hangs: true,
			begin: func(f *fleetSite) { f.nodes[1].signal(syscall.SIGSTOP) },
			end:   func(f *fleetSite) { f.nodes[1].signal(syscall.SIGCONT) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			f := f.in(t)
			made := f.makeKeys(sized(3, 30))
			last := len(made) - 1
			fault.begin(f)
			for k := range last {
				c, status, err := f.revoke(f.nodes[k%2*2], made[k].ID, time.Second)
				if err != nil || c.Confirmed || status != http.StatusAccepted || len(c.Nodes) != 3 {
					t.Fatalf("revoke %s: %d %+v, %v", made[k].ID, status, c, err)
				}
				for _, n := range c.Nodes {
					if cutOff := n.Node == f.nodes[1].name; cutOff != (n.ConfirmedAt == nil) {
						t.Errorf("revoke %s: %s confirmed at %v", made[k].ID, n.Node, n.ConfirmedAt)
					}
				}
				f.wantRefused(made[k], "revoked, and this one knows", f.nodes[0], f.nodes[2])
				if !fault.hangs {
					if got := f.get(f.nodes[1], "spent", made[k].Secret); got != http.StatusOK {
						t.Errorf("the gateway that knows nothing answered %d: this proves little", got)
					}
				}
			}
			// One is waited for until it is over: then it has to be true.
			answered := make(chan error, 1)
			go func() {
				c, _, err := f.revoke(f.nodes[0], made[last].ID, time.Minute)
				if err == nil && !c.Confirmed {
					err = fmt.Errorf("not confirmed after a minute: %+v", c)
				}
				if err == nil {
					f.wantRefused(made[last], "confirmed after all", f.nodes...)
				}
				answered <- err
			}()
			select {
			case err := <-answered:
				t.Fatalf("answered while one gateway knew nothing: %v", err)
			case <-time.After(500 * time.Millisecond):
			}
			fault.end(f)
			if err := <-answered; err != nil {
				t.Fatal(err)
			}
			f.wantDead("once all know", made)
		})
	}

	t.Run("restarted meanwhile", func(t *testing.T) {
		f := f.in(t)
		made := f.makeKeys(sized(60, 600))
		ctx, cancel := context.WithCancel(t.Context())
		var revoker sync.WaitGroup
		var confirmed, used atomic.Int64
		revoker.Go(func() {
			for k := 0; k < len(made) && ctx.Err() == nil; k++ {
				c, _, err := f.revoke(f.nodes[k%2], made[k].ID, patience)
				if err != nil {
					t.Errorf("revoke %s: %v", made[k].ID, err)
				}
				used.Add(1)
				if c.Confirmed {
					confirmed.Add(1)
					f.wantRefused(made[k], "confirmed while one restarts", f.nodes...)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		n := f.nodes[2]
		for range sized(2, 10) {
			n.stop()
			n.start()
			n.kill()
			n.start()
		}
		cancel()
		revoker.Wait()
		t.Logf("%d revoked meanwhile, %d confirmed", used.Load(), confirmed.Load())
		if confirmed.Load() == 0 {
			t.Error("nothing was ever confirmed")
		}
		f.wantDead("at the end", made[:used.Load()])
	})
}

// wantRefused fails when a gateway admits the key. That it does not answer admits nobody.
func (f *fleetSite) wantRefused(key generated, when string, nodes ...*fleetNode) {
	var calls sync.WaitGroup
	for _, n := range nodes {
		calls.Go(func() {
			if got := f.get(n, "spent", key.Secret); got != http.StatusUnauthorized && got != http.StatusServiceUnavailable && got != 0 {
				f.t.Errorf("%s: %s answered %d to key %s", when, n.name, got, key.ID)
			}
		})
	}
	calls.Wait()
}

func (n *fleetNode) signal(sig syscall.Signal) {
	n.t.Helper()
	if err := n.process.Process.Signal(sig); err != nil {
		n.t.Fatal(err)
	}
}
