package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// patientServer answers every request and tells how many connections are open.
func patientServer(t *testing.T) (address string, open *atomic.Int32) {
	t.Helper()
	open = new(atomic.Int32)
	return rawServer(t, func(_ int, conn net.Conn) {
		open.Add(1)
		defer open.Add(-1)
		for in := bufio.NewReader(conn); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
		}
	}), open
}

// begun sends a request and leaves the answer's body unread.
func begun(t *testing.T, tr *leanTransport, address string) *http.Response {
	t.Helper()
	res, err := tr.RoundTrip(leanRequest(t, "GET", address))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func finished(t *testing.T, res *http.Response) {
	t.Helper()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "body" {
		t.Fatalf("got %q, %v", body, err)
	}
}

func TestIdleConnsEnd(t *testing.T) {
	address, open := patientServer(t)
	tr := lean(t, 0)
	finished(t, begun(t, tr, address))
	for range idleLooks - 1 {
		tr.idle.look()
	}
	finished(t, begun(t, tr, address)) // it was used, so it may wait again
	for range idleLooks - 1 {
		tr.idle.look()
	}
	if n := open.Load(); n != 1 || tr.idle.waiting() != 1 {
		t.Errorf("%d connections open, want 1 that waits", n)
	}
	tr.idle.look()
	eventually(t, "the connection's end", func() bool { return open.Load() == 0 })
	if tr.idle.waiting() != 0 || len(tr.idle.byHost) != 0 || tr.idle.timer != nil {
		t.Errorf("%d wait, at %d hosts, timer %v; want nothing", tr.idle.waiting(), len(tr.idle.byHost), tr.idle.timer)
	}
	finished(t, begun(t, tr, address))
}

// TestIdleConnsAreLookedAt: an upstream's farewell is not left unanswered until the next request.
func TestIdleConnsAreLookedAt(t *testing.T) {
	answered, closed := make(chan struct{}), make(chan struct{})
	address := rawServer(t, func(_ int, conn net.Conn) {
		in := bufio.NewReader(conn)
		_, _ = http.ReadRequest(in)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
		<-answered
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, in)
		close(closed)
	})
	tr := lean(t, 0)
	tr.idle.every = time.Millisecond
	finished(t, begun(t, tr, address))
	close(answered)
	within(t, 5*time.Second, closed, "our farewell")
}

func TestIdleConnsAreBounded(t *testing.T) {
	address, open := patientServer(t)
	tr := lean(t, 0)
	tr.idle.most = 2
	var all []*http.Response
	for range 4 {
		all = append(all, begun(t, tr, address))
	}
	for _, res := range all {
		finished(t, res)
	}
	if n := tr.idle.waiting(); n != 2 {
		t.Errorf("%d connections wait, want 2", n)
	}
	eventually(t, "the end of the others", func() bool { return open.Load() == 2 })
	last := tr.idle.byHost[address][1]
	if c := tr.idle.take(address); c != last {
		t.Error("the one that waited longest was taken first")
	} else {
		tr.idle.put(c)
	}
}

func TestIdleConnsShut(t *testing.T) {
	address, open := patientServer(t)
	tr := lean(t, 0)
	under := begun(t, tr, address)
	finished(t, begun(t, tr, address))
	tr.idle.close()
	eventually(t, "the end of the one that waited", func() bool { return open.Load() == 1 })
	finished(t, under) // what is under way goes on
	eventually(t, "its connection's end", func() bool { return open.Load() == 0 })
	finished(t, begun(t, tr, address)) // by those who still have an old configuration
	eventually(t, "that connection's end", func() bool { return open.Load() == 0 })
}

// TestIdleConnsUnderLoad takes, puts, looks and closes at once, for the race detector.
func TestIdleConnsUnderLoad(t *testing.T) {
	address, open := patientServer(t)
	tr := lean(t, 0)
	tr.idle.every, tr.idle.most = time.Millisecond, 3
	done := make(chan struct{})
	for i := range 6 {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range 100 {
				res, err := tr.RoundTrip(leanRequest(t, "GET", address))
				if err != nil {
					t.Error(err)
					return
				}
				if (n+i)%7 == 0 {
					_ = res.Body.Close()
					continue
				}
				if body, err := io.ReadAll(res.Body); err != nil || string(body) != "body" {
					t.Errorf("got %q, %v", body, err)
				}
			}
		}()
	}
	for range 6 {
		<-done
	}
	tr.idle.close()
	eventually(t, "the end of all", func() bool { return open.Load() == 0 })
}
