//go:build realservers

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer sends calls by turns to those gateways that say that they are ready, as a load balancer does.
type balancer struct {
	*fleetSite
	ready    []atomic.Bool
	next     atomic.Int64
	answered atomic.Int64 // calls, well
}

// awaitCalls returns when callers got answers meanwhile, from each gateway as a rule.
func (b *balancer) awaitCalls() {
	b.t.Helper()
	enough := b.answered.Load() + 200
	b.await("calls are answered", 30*time.Second, func() bool { return b.answered.Load() >= enough })
}

// balance looks at /readyz until ctx ends.
func (f *fleetSite) balance(ctx context.Context) *balancer {
	b := &balancer{fleetSite: f, ready: make([]atomic.Bool, len(f.nodes))}
	probe := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for i, n := range f.nodes {
		look := func() {
			resp, err := probe.Get("http://" + n.admin + "/readyz")
			if err == nil {
				resp.Body.Close()
			}
			b.ready[i].Store(err == nil && resp.StatusCode == http.StatusOK)
		}
		look()
		go func() {
			for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
				look()
			}
		}()
	}
	return b
}

// pick is a gateway that is ready, or nil.
func (b *balancer) pick() *fleetNode {
	for range b.nodes {
		if i := int(b.next.Add(1)) % len(b.nodes); b.ready[i].Load() {
			return b.nodes[i]
		}
	}
	return nil
}

// tally is what became of calls.
type tally struct {
	mu     sync.Mutex
	good   int
	slow   int // of the good ones, those that took a while
	failed []string
}

func (c *tally) note(slow bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.failed = append(c.failed, err.Error())
	case slow:
		c.slow++
		fallthrough
	default:
		c.good++
	}
}

// judge fails when a call has failed.
func (c *tally) judge(t *testing.T, what string) {
	t.Helper()
	t.Logf("%s: %d answered, %d of them slow ones, %d failed", what, c.good, c.slow, len(c.failed))
	if len(c.failed) > 0 || c.good == 0 {
		t.Errorf("%s: %d failed, such as %q", what, len(c.failed), c.failed[:min(len(c.failed), 5)])
	}
}

// load has callers use a key until ctx ends; every fourth of them has calls that take longer than a
// gateway's delay.
func (b *balancer) load(ctx context.Context, client *http.Client, scheme, key string, callers int) *tally {
	c := &tally{}
	var all sync.WaitGroup
	for i := range callers {
		slow, path := i%4 == 0, "/"
		if slow {
			path = "/slow"
		}
		all.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
				c.note(slow, b.once(client, scheme, path, key))
			}
		})
	}
	all.Wait()
	return c
}

func (b *balancer) once(client *http.Client, scheme, path, key string) error {
	n := b.pick()
	if n == nil {
		return fmt.Errorf("no gateway is ready")
	}
	req, err := http.NewRequest(http.MethodGet, scheme+"://"+n.gateway+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", key)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(text) != "here\n") {
		err = fmt.Errorf("%s answered %d %s", n.name, resp.StatusCode, text)
	}
	if err == nil {
		b.answered.Add(1)
	}
	return err
}
