package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/keys"
)

func TestReady(t *testing.T) {
	h := start(t, nil)
	if err := h.gateway.Ready(); err != nil {
		t.Errorf("got %v, want ready", err)
	}
	h.directory.ready = errors.New("not loaded")
	if err := h.gateway.Ready(); err == nil {
		t.Error("ready although the directory is not")
	}
	h.directory.ready = nil
	if err := h.gateway.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := h.gateway.Ready(); !errors.Is(err, errDraining) {
		t.Errorf("got %v after Shutdown, want draining", err)
	}
}

// TestConcurrentDrainFailsNothing drains under load: requests go on being served during the delay, and those
// that run are finished. Clients follow Connection: close and turn away once the gateway is not
// ready, as a load balancer makes them.
func TestConcurrentDrainFailsNothing(t *testing.T) {
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}), func(o *Options) { o.Drain = Drain{Delay: 500 * time.Millisecond, Timeout: 5 * time.Second} })
	var served, closing atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for leaving := false; !leaving; {
				leaving = h.gateway.Ready() != nil // one more request, and then elsewhere
				r := h.request("POST", "/", strings.NewReader("body"))
				r.Header.Set("X-API-Key", goodKey)
				res, err := h.client.Do(r)
				if err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("a request got %d", res.StatusCode)
				}
				served.Add(1)
				if res.Close {
					closing.Add(1)
				}
			}
		})
	}
	eventually(t, "load", func() bool { return served.Load() > 100 })
	if err := h.gateway.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	clients.Wait()
	if closing.Load() == 0 {
		t.Error("no answer asked for the connection to be closed")
	}
	if _, err := net.Dial("tcp", h.address); err == nil {
		t.Error("the listener is still open")
	}
}

func TestDrainWaitsForRunningRequests(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-finish
		_, _ = io.WriteString(w, "late")
	}))
	got := make(chan answer, 1)
	go func() { got <- h.get("/", goodKey) }()
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- h.gateway.Shutdown(context.Background()) }()
	eventually(t, "draining", func() bool { return h.gateway.Ready() != nil })
	close(finish)
	if a := <-got; a.body != "late" {
		t.Errorf("got %q, want the late answer", a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	arrived := make(chan struct{})
	h := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}), func(o *Options) { o.Drain.Timeout = 50 * time.Millisecond })
	conn := h.dial()
	_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", goodKey)
	<-arrived
	if err := h.gateway.Shutdown(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that something was cut", err)
	}
}

func TestServeAfterShutdown(t *testing.T) {
	h := start(t, nil)
	if err := h.gateway.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.gateway.Serve(l, nil); err != nil {
		t.Errorf("got %v, want nil at once", err)
	}
}

func TestConnectionCaps(t *testing.T) {
	cases := []struct {
		name   string
		limits ServerLimits
	}{
		{"in all", ServerLimits{Connections: 3, ConnectionsPerAddress: 100}},
		{"per address", ServerLimits{Connections: 100, ConnectionsPerAddress: 3}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, nil, func(o *Options) { o.Limits = c.limits })
			speak := func(conn net.Conn) error {
				if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", goodKey); err != nil {
					return err
				}
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, res.Body)
				return err
			}
			var open []net.Conn
			for range 3 {
				conn := h.dial()
				if err := speak(conn); err != nil {
					t.Fatal(err)
				}
				open = append(open, conn)
			}
			if err := speak(h.dial()); err == nil {
				t.Error("a fourth connection was served")
			}
			_ = open[0].Close()
			eventually(t, "room for another connection", func() bool { return speak(h.dial()) == nil })
		})
	}
}

func TestInFlightCap(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	h := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-finish
	}), func(o *Options) { o.Limits.InFlight = 1 })
	done := make(chan answer, 1)
	go func() { done <- h.get("/", goodKey) }()
	<-arrived
	a := h.get("/", goodKey)
	wantCode(t, a, keys.Overloaded)
	if a.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
	}
	close(finish)
	wantStatus(t, <-done, 200)
}

func TestServerGrants(t *testing.T) {
	srv := (&Gateway{log: discardLog()}).newServer()
	if srv.ReadHeaderTimeout != 5*time.Second || srv.IdleTimeout != time.Minute || srv.MaxHeaderBytes != 64<<10 ||
		srv.HTTP2.MaxConcurrentStreams != 100 || srv.Protocols.UnencryptedHTTP2() {
		t.Errorf("the server grants more than it should: %+v", srv)
	}
}

func TestHTTP2OverTLS(t *testing.T) {
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // before it answers: HTTP/1.1 is not for both at once
		r.Body = io.NopCloser(bytes.NewReader(body))
		echo(w, r)
	}))
	h.switchToHTTP2()
	a := h.get("/", goodKey)
	wantStatus(t, a, 200)
	if a.ProtoMajor != 2 || !strings.Contains(a.body, "X-Forwarded-Proto: https\n") {
		t.Errorf("got %s and\n%s", a.Proto, a.body)
	}
	r := h.request("POST", "/", io.LimitReader(zeros{}, 1<<20))
	if a := h.do(r); len(a.body) < 1<<20 {
		t.Errorf("a body of 1 MiB came back as %d bytes", len(a.body))
	}
}

func TestConcurrentSwap(t *testing.T) {
	h := start(t, http.HandlerFunc(echo))
	good := *h.policy
	bad := good
	bad.Routes = append([]Route{}, good.Routes...)
	bad.Routes[0].Targets = nil
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if a := h.get("/", goodKey); a.StatusCode != 200 {
					t.Errorf("a request got %d", a.StatusCode)
					return
				}
			}
		})
	}
	for i := range 200 {
		if i%3 == 2 {
			if err := h.gateway.Swap(&bad); err == nil || !strings.Contains(err.Error(), `"main"`) {
				t.Fatalf("got %v, want an error that names the route", err)
			}
			continue
		}
		if err := h.gateway.Swap(&good); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	clients.Wait()
	if n := len(h.gateway.transports.byKind); n != 2 {
		t.Errorf("%d transports are left, want 2: one for http and one for https targets", n)
	}
}

// TestShutdownForgetsSilentConnections ends while somebody has connected and said nothing: nothing of
// his is cut.
func TestShutdownForgetsSilentConnections(t *testing.T) {
	h := start(t, nil, func(o *Options) { o.Drain.Timeout = 50 * time.Millisecond })
	h.dial()
	eventually(t, "accepted", func() bool {
		h.gateway.census.mu.Lock()
		defer h.gateway.census.mu.Unlock()
		return len(h.gateway.census.conns) == 1
	})
	if err := h.gateway.Shutdown(t.Context()); err != nil {
		t.Errorf("got %v, want no error: no request was cut", err)
	}
}

// swapping is a directory that has the policy replaced while it is asked.
type swapping struct {
	Directory
	swap func()
}

func (d *swapping) Authenticate(p keys.Presented, now time.Time) (*keys.Principal, keys.Code) {
	d.swap()
	return d.Directory.Authenticate(p, now)
}

// TestOvertakenRequest is decided by the routes that a reload brought while it was under way, when the
// old ones ask for a scope that the catalog has no more.
func TestOvertakenRequest(t *testing.T) {
	var swap func()
	scope := func(s keys.Scope) change {
		return onRoute(func(r *Route) { r.Scopes = map[string][]keys.Scope{"GET": {s}} })
	}
	h := start(t, http.HandlerFunc(echo), scope("orders.gone"), func(o *Options) {
		o.Directory = &swapping{o.Directory, func() { swap() }}
	})
	next := *h.policy
	next.Routes = slices.Clone(next.Routes)
	swap = func() {}
	wantCode(t, h.get("/", goodKey), keys.InsufficientScope)
	next.Routes[0].Scopes = map[string][]keys.Scope{"GET": {"orders.read"}}
	swap = sync.OnceFunc(func() {
		if err := h.gateway.Swap(&next); err != nil {
			t.Error(err)
		}
	})
	wantStatus(t, h.get("/", goodKey), http.StatusOK)
}
