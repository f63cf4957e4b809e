package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"postern/internal/keys"
)

// pacedPipe is a connection of a census that looks when it is told to, and its client's end.
func pacedPipe(t *testing.T) (*census, *cappedConn, net.Conn) {
	t.Helper()
	s := newCensus(ServerLimits{}.withDefaults())
	s.every = time.Hour
	ours, theirs := net.Pipe()
	c := s.enter(ours, netip.Addr{})
	t.Cleanup(func() { _, _ = c.Close(), theirs.Close() })
	return s, c, theirs
}

func TestConcurrentPaceOfOneConnection(t *testing.T) {
	const share = 240 * 30 // what must pass in six looks
	type wrote struct {
		n   int
		err error
	}
	cases := []struct {
		name string
		read int // per look
		dies bool
	}{
		{"nothing is read", 0, true},
		{"too little is read", share/paceTicks - 100, true},
		{"enough is read", share/paceTicks + 100, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, conn, client := pacedPipe(t)
			const looks = 5 * paceTicks
			size := c.read*looks + share
			done := make(chan wrote, 1)
			go func() {
				n, err := conn.Write(make([]byte, size))
				if err != nil {
					_ = conn.Close() // as net/http does
				}
				done <- wrote{n, err}
			}()
			eventually(t, "the write", func() bool { return conn.since.Load() != 0 })
			for range looks {
				if _, err := io.CopyN(io.Discard, client, int64(c.read)); err != nil {
					break
				}
				s.look()
			}
			if !c.dies {
				go func() { _, _ = io.Copy(io.Discard, client) }()
			}
			switch w := <-done; {
			case c.dies && !errors.Is(w.err, os.ErrDeadlineExceeded):
				t.Errorf("got %v, want that the client was given up", w.err)
			case !c.dies && (w.err != nil || w.n != size):
				t.Errorf("got %d bytes, %v; want all %d", w.n, w.err, size)
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		s, conn, client := pacedPipe(t)
		go func() { _, _ = io.Copy(io.Discard, client) }()
		for range 3 {
			for range 4 * paceTicks {
				s.look()
			}
			if _, err := conn.Write([]byte("event")); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// endless answers without end.
func endless(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/announced" {
		w.Header().Set("Content-Length", fmt.Sprint(1<<40))
	}
	_, _ = io.Copy(w, zeros{})
}

// hasten makes a gateway lose its patience at once.
func (h *harness) hasten() {
	h.gateway.census.mu.Lock()
	h.gateway.census.every = 5 * time.Millisecond
	h.gateway.census.mu.Unlock()
	s := &h.gateway.streams
	s.mu.Lock()
	s.every, s.patience, s.rate = 5*time.Millisecond, 30*time.Millisecond, 1<<20
	s.mu.Unlock()
}

func (h *harness) idle() bool { return h.gateway.inFlight.Load() == 0 && h.gateway.held.Load() == 0 }

func TestClientThatDoesNotRead(t *testing.T) {
	for _, path := range []string{"/announced", "/unannounced"} {
		t.Run("HTTP/1"+path, func(t *testing.T) {
			h := start(t, http.HandlerFunc(endless))
			h.hasten()
			conn := h.dial()
			_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", path, goodKey)
			eventually(t, "the call", func() bool { return !h.idle() })
			eventually(t, "the call's end", h.idle)
		})
		t.Run("HTTP/2"+path, func(t *testing.T) {
			h := start(t, http.HandlerFunc(endless))
			h.hasten()
			s := speak2(t, dialTLS(t, h.serveTLS(), "h2"))
			// The window is what HTTP/2 begins with, and nobody opens it further.
			if o := s.do(get2(path)); !o.reset {
				t.Errorf("got %v, want a reset", o)
			}
			eventually(t, "the call's end", h.idle)
		})
	}
}

// TestShutWindow has a client of HTTP/2 that takes not a byte, so that answers of any size are stuck
// after their handlers.
func TestShutWindow(t *testing.T) {
	h := start(t, nil)
	h.hasten()
	s := speak2(t, dialTLS(t, h.serveTLS(), "h2"))
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for i := range uint32(flushEvery) {
		s.headers(2*i+1, get2("/").fields, true)
	}
	for {
		if _, err := s.framer.ReadFrame(); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the connection is still open")
			}
			break
		}
	}
	eventually(t, "the calls' end", h.idle)
}

func TestInFlightShare(t *testing.T) {
	cases := []struct {
		name    string
		trusted []netip.Prefix
		code    keys.Code
	}{
		{"a client", nil, keys.Overloaded},
		{"a trusted proxy", []netip.Prefix{loopback}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			arrived, finish := make(chan struct{}), make(chan struct{})
			h := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(arrived)
					<-finish
				}
			}), func(o *Options) {
				o.Limits.InFlightPerAddress = 1
				o.Policy.TrustedProxies = c.trusted
			})
			done := make(chan answer, 1)
			go func() { done <- h.get("/slow", goodKey) }()
			<-arrived
			if c.code != "" {
				wantCode(t, h.get("/", goodKey), c.code)
			} else {
				wantStatus(t, h.get("/", goodKey), 200)
			}
			close(finish)
			wantStatus(t, <-done, 200)
			eventually(t, "the end of both", h.idle)
			wantStatus(t, h.get("/", goodKey), 200)
		})
	}
}

func TestTunnelsCountApart(t *testing.T) {
	h := start(t, http.HandlerFunc(chat), onRoute(allowWebSocket), func(o *Options) {
		o.Limits.InFlight, o.Limits.Tunnels = 1, 1
	})
	conn, _ := h.websocket(t)
	say(t, conn, "hello")
	if n, held := h.gateway.inFlight.Load(), h.gateway.held.Load(); n != 0 || held != 1 {
		t.Errorf("%d in flight and %d held, want 0 and 1", n, held)
	}
	a := h.raw("GET /chat HTTP/1.1\r\nHost: x\r\nX-API-Key: " + goodKey + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	wantCode(t, a, keys.Overloaded)
	_ = conn.CloseNow()
	eventually(t, "the tunnel's end", h.idle)
	again, _ := h.websocket(t)
	say(t, again, "hello again")
}

func TestStreamsCountApart(t *testing.T) {
	send, left := make(chan string), make(chan time.Time, 2)
	h := start(t, events(send, left), func(o *Options) { o.Limits.InFlight, o.Limits.Tunnels = 1, 1 })
	open := func() *http.Response {
		r := h.request("GET", "/events", nil)
		r.Header.Set("X-API-Key", goodKey)
		res, err := h.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first, second := open(), open() // the second finds no place among streams
	wantCode(t, h.get("/", goodKey), keys.Overloaded)
	_, _ = first.Body.Close(), second.Body.Close()
	eventually(t, "the streams' end", h.idle)
}
