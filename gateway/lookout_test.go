package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// watchedPair is a wire between two requests, watched by a lookout, and its client.
func watchedPair(t *testing.T) (w *wire, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	w = watchConn(conn).(*wire)
	w.hangUp.watchedBy(new(lookout))
	return w, client
}

// past is how net/http ends a read.
var past = time.Unix(1, 0)

func TestWaitingReadIsEnded(t *testing.T) {
	for _, first := range []string{"the read", "the deadline"} {
		t.Run(first+" first", func(t *testing.T) {
			w, client := watchedPair(t)
			for range 100 {
				ended := make(chan error, 1)
				read := func() {
					_, err := w.Read(make([]byte, 1))
					ended <- err
				}
				if first == "the read" {
					go read()
					_ = w.SetReadDeadline(past)
				} else {
					_ = w.SetReadDeadline(past)
					go read()
				}
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("got %v, want a passed deadline", err)
				}
				_ = w.SetReadDeadline(time.Time{})
			}
			_, _ = client.Write([]byte("GET"))
			if n, err := w.Read(make([]byte, 10)); n != 3 || err != nil {
				t.Errorf("afterwards: got %d, %v, want the three bytes that came", n, err)
			}
		})
	}
}

// TestWaitingReadLooks: what the client does reaches a read that has waited for a while, whether it
// waits still or looks at the connection already.
func TestWaitingReadLooks(t *testing.T) {
	for _, after := range []time.Duration{0, 3 * lookEvery} {
		w, client := watchedPair(t)
		time.AfterFunc(after, func() { _, _ = client.Write([]byte("G")) })
		b := make([]byte, 1)
		if n, err := w.Read(b); n != 1 || err != nil || b[0] != 'G' {
			t.Errorf("a byte after %s: got %d %q, %v", after, n, b, err)
		}
		w, client = watchedPair(t)
		time.AfterFunc(after, func() { _ = client.Close() })
		if _, err := w.Read(b); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a hang-up after %s: got %v", after, err)
		}
		w, _ = watchedPair(t)
		time.AfterFunc(after, func() { _ = w.SetReadDeadline(past) })
		if _, err := w.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ended after %s: got %v", after, err)
		}
	}
}

// TestLookoutRests: without waiting reads there are no ticks.
func TestLookoutRests(t *testing.T) {
	w, _ := watchedPair(t)
	l := w.hangUp.lookout
	go func() { _, _ = w.Read(make([]byte, 1)) }()
	running := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.running
	}
	eventually(t, "the first tick's announcement", running)
	eventually(t, "the rest", func() bool { return !running() })
}

// TestClientGone: an upstream learns soon that its caller has left.
func TestClientGone(t *testing.T) {
	const promised = 100 * time.Millisecond
	entered, left := make(chan struct{}), make(chan time.Time, 1)
	h := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
		left <- time.Now()
	}))
	best := time.Hour
	for range 5 { // the machine may be busy
		conn := h.dial()
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", goodKey)
		<-entered
		gone := time.Now()
		_ = conn.Close()
		select {
		case at := <-left:
			best = min(best, at.Sub(gone))
		case <-time.After(5 * time.Second):
			t.Fatal("the upstream was not told within 5 s")
		}
		if best <= promised {
			return
		}
	}
	t.Errorf("the upstream was told after %s, want at most %s", best, promised)
}
