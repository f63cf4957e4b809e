package gateway

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestStalledHandshake: whoever opens a TLS connection and says nothing holds up nobody, and is cut
// when the listener closes.
func TestStalledHandshake(t *testing.T) {
	h, _ := fortress(t)
	address := h.serveTLS()
	var stalled []net.Conn
	for range 20 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		stalled = append(stalled, conn)
	}
	if o := speak2(t, dialTLS(t, address, "h2")).do(get2("/a")); o.status != "200" {
		t.Errorf("beside stalled handshakes: got %v, want 200", o)
	}
	if err := h.gateway.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for _, conn := range stalled {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a stalled connection got an answer")
		} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Fatal("a stalled connection outlives the listener")
		}
	}
}

func TestHandshakeTimesOut(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := watchListener(inner, testTLS(t), 20*time.Millisecond)
	defer l.Close()
	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Error("the connection is still open")
		}
	}
}

// TestHTTPOnTheTLSPort: it is told what is wrong.
func TestHTTPOnTheTLSPort(t *testing.T) {
	h, upstream := fortress(t)
	conn, err := net.Dial("tcp", h.serveTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, get1("/a")); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(got), "HTTP/1.0 400 ") || !strings.Contains(string(got), "HTTPS") {
		t.Errorf("got %q, want a 400 that says HTTPS", got)
	}
	if seen := upstream.take(); len(seen) > 0 {
		t.Errorf("reached the upstream: %v", seen)
	}
}

// TestRequestKnowsTLS: behind the wire net/http still sees that a connection is TLS, over HTTP/1.1
// and HTTP/2.
func TestRequestKnowsTLS(t *testing.T) {
	upstream := &reached{}
	h := start(t, upstream)
	address := h.serveTLS()
	for _, protocol := range []string{"http/1.1", "h2"} {
		conn := dialTLS(t, address, protocol)
		if got := conn.ConnectionState().NegotiatedProtocol; got != protocol {
			t.Fatalf("negotiated %q, want %q", got, protocol)
		}
		if protocol == "h2" {
			speak2(t, conn).do(get2("/a"))
		} else {
			if _, err := io.WriteString(conn, get1("/a", "Connection: close")); err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadAll(conn)
		}
		seen := upstream.take()
		if len(seen) != 1 || seen[0].header.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("%s: arrived %v, want one request with X-Forwarded-Proto: https", protocol, seen)
		}
	}
}

// TestTunnelBehindTheWire: a websocket's bytes, which are no HTTP, pass the wire both ways.
func TestTunnelBehindTheWire(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	})
	h := start(t, echo, onRoute(func(r *Route) { r.WebSocket, r.Public = true, true }))
	for name, conn := range map[string]net.Conn{"plain": h.dial(), "TLS": dialTLS(t, h.serveTLS(), "http/1.1")} {
		t.Run(name, func(t *testing.T) {
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := io.WriteString(conn, get1("/a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")); err != nil {
				t.Fatal(err)
			}
			head := make([]byte, 0, 1024)
			for !strings.HasSuffix(string(head), "\r\n\r\n") {
				one := make([]byte, 1)
				if _, err := io.ReadFull(conn, one); err != nil {
					t.Fatalf("after %q: %v", head, err)
				}
				head = append(head, one...)
			}
			if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
				t.Fatalf("got %q, want 101", head)
			}
			said := "GET / HTTP/1.1\nnot a request\r\n\r\n" + strings.Repeat("\x00\xff\n", 3000)
			go func() { _, _ = io.WriteString(conn, said) }()
			heard := make([]byte, len(said))
			if _, err := io.ReadFull(conn, heard); err != nil || string(heard) != said {
				t.Errorf("heard %d bytes of %d, %v", len(heard), len(said), err)
			}
			_ = conn.Close()
		})
	}
}
