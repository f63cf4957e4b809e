//go:build realservers

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestFleetRollingRestart restarts three gateways one after another behind a balancer, under load over
// HTTP/1.1 and HTTP/2: no call fails.
func TestFleetRollingRestart(t *testing.T) {
	dir := t.TempDir()
	roots := writeCertificate(t, dir)
	// A gateway that has just started has no share of the limits yet, and refuses what Redis does not
	// answer in time on a machine that is busy starting gateways.
	t.Setenv("POSTERN_LIMITER__ON_LOSS", "allow")
	f := newFleetSite(t, "100000/s", fmt.Sprintf("tls: { cert_file: %q, key_file: %q }", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")))
	client := func(http2 bool) *http.Client {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!http2)
		protocols.SetHTTP2(http2)
		c := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: protocols, MaxIdleConnsPerHost: 64}}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
	var key generated
	f.mustAsk(f.nodes[0], http.StatusCreated, http.MethodPost, "/v1/keys", `{"name":"used","apis":["main"]}`, &key)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := f.balance(ctx)
	clients := map[string]*http.Client{"HTTP/1.1": client(false), "HTTP/2": client(true)}
	for version, c := range clients {
		for range f.nodes {
			f.await("the key works over "+version, 10*time.Second, func() bool { return b.once(c, "https", "/", key.Secret) == nil })
		}
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	tallies := map[string]*tally{}
	for version, c := range clients {
		work.Go(func() {
			saw := b.load(ctx, c, "https", key.Secret, 8)
			mu.Lock()
			defer mu.Unlock()
			tallies[version] = saw
		})
	}
	for range sized(1, 10) {
		for _, n := range f.nodes {
			b.awaitCalls()
			n.stop()
			n.start()
			b.awaitReady()
		}
	}
	b.awaitCalls()
	cancel()
	work.Wait()
	for version := range clients {
		tallies[version].judge(t, version)
		if tallies[version].slow == 0 {
			t.Errorf("%s: no slow call was answered", version)
		}
	}
}

// awaitReady returns when every gateway is used again.
func (b *balancer) awaitReady() {
	b.t.Helper()
	for i, n := range b.nodes {
		b.await(n.name+" is ready", 30*time.Second, b.ready[i].Load)
	}
}
