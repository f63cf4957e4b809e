package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/socket"
)

// lean makes a lean transport that ends with the test.
func lean(t *testing.T, patience time.Duration) *leanTransport {
	t.Helper()
	tr := newLeanTransport(patience, &lookout{})
	t.Cleanup(tr.idle.close)
	return tr
}

// waiting is how many connections wait.
func (s *idleConns) waiting() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, waiting := range s.byHost {
		n += len(waiting)
	}
	return n
}

func leanRequest(t *testing.T, method, address string) *http.Request {
	t.Helper()
	return (&http.Request{
		Method: method, URL: &url.URL{Scheme: "http", Host: address, Path: "/"}, Header: http.Header{"User-Agent": {""}},
	}).WithContext(t.Context())
}

// outcome is what the caller of a transport sees.
type outcome struct {
	Status  int
	Proto   string
	Header  http.Header
	Length  int64
	Coding  []string
	Close   bool
	Interim []string
	Body    string
	Trailer http.Header
	Failed  bool // without an answer
	Torn    bool // in the middle of its body
}

func sendBy(t *testing.T, by http.RoundTripper, out *http.Request) outcome {
	t.Helper()
	var o outcome
	res, err := by.RoundTrip(out.WithContext(httptrace.WithClientTrace(out.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			o.Interim = append(o.Interim, fmt.Sprint(code, h))
			return nil
		},
	})))
	if err != nil {
		o.Failed = true
		return o
	}
	body, err := io.ReadAll(res.Body)
	if err == nil {
		_, err = res.Body.Read(make([]byte, 1))
		if err != io.EOF {
			t.Errorf("after the end there came %v, want io.EOF", err)
		}
		err = nil
	}
	_ = res.Body.Close()
	o.Status, o.Proto, o.Header, o.Length, o.Coding, o.Close = res.StatusCode, res.Proto, res.Header, res.ContentLength, res.TransferEncoding, res.Close
	o.Body, o.Trailer, o.Torn = string(body), res.Trailer, err != nil
	return o
}

// TestAnswersAreThoseOfTransport sends the same answers to http.Transport and to the lean transport:
// what their callers see must not differ. A connection may be used again only when the answer's end
// is beyond doubt.
func TestAnswersAreThoseOfTransport(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	many := strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", 20)
	cases := []struct {
		name, method, answer string
		hangsUp, reused      bool
	}{
		{"length", "GET", ok + "Content-Length: 4\r\nA: b\r\na: c\r\n\r\nbody", false, true},
		{"no body", "GET", ok + "Content-Length: 0\r\n\r\n", false, true},
		{"chunked", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n", false, true},
		{"no chunks", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, true},
		{"announced trailer", "GET", ok + "Transfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2\r\nbo\r\n0\r\nT: v\r\n\r\n", false, true},
		{"other trailer", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n0\r\nT: v\r\n\r\n", false, true},
		{"large", "GET", ok + "Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1_000_000), false, true},
		{"large header", "GET", ok + "A: " + strings.Repeat("x", 100<<10) + "\r\nContent-Length: 4\r\n\r\nbody", false, true},
		{"until the end", "GET", ok + "\r\nbody", true, false},
		{"announced close", "GET", ok + "Connection: close\r\nContent-Length: 4\r\n\r\nbody", false, false},
		{"close among others", "GET", ok + "Connection: x, Close\r\nContent-Length: 4\r\n\r\nbody", false, false},
		{"hangs up behind", "GET", ok + "Content-Length: 4\r\n\r\nbody", true, false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", false, false},
		{"HTTP/1.0 until the end", "GET", "HTTP/1.0 200 OK\r\n\r\nbody", true, false},
		{"HTTP/1.0 chunked", "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n0\r\n\r\n", true, false},
		{"HTTP/1.0 that stays", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody", false, true},
		{"HEAD", "HEAD", ok + "Content-Length: 4\r\n\r\n", false, true},
		{"HEAD chunked", "HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", false, true},
		{"HEAD with a body", "HEAD", ok + "Content-Length: 4\r\n\r\nbody", false, false},
		{"HEAD with an answer behind", "HEAD", ok + "Content-Length: 60\r\n\r\n" + ok + "Content-Length: 4\r\n\r\nevil", false, false},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, true},
		{"204 with a body", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody", false, false},
		{"204 chunked", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n0\r\n\r\n", false, false},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", false, true},
		{"304 with a body", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody", false, false},
		{"longer than it says", "GET", ok + "Content-Length: 2\r\n\r\nbody", false, false},
		{"two answers", "GET", ok + "Content-Length: 2\r\n\r\nbo" + ok + "Content-Length: 4\r\n\r\nevil", false, false},
		{"an answer behind the chunks", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n0\r\n\r\n" + ok + "Content-Length: 4\r\n\r\nevil", false, false},
		{"length and coding", "GET", ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n0\r\n\r\n", false, true},
		{"equal lengths", "GET", ok + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", false, true},
		{"two lengths", "GET", ok + "Content-Length: 4\r\nContent-Length: 2\r\n\r\nbody", false, false},
		{"listed lengths", "GET", ok + "Content-Length: 4, 4\r\n\r\nbody", false, false},
		{"negative length", "GET", ok + "Content-Length: -1\r\n\r\nbody", false, false},
		{"signed length", "GET", ok + "Content-Length: +4\r\n\r\nbody", false, false},
		{"endless length", "GET", ok + "Content-Length: 99999999999999999999\r\n\r\nbody", false, false},
		{"unknown coding", "GET", ok + "Transfer-Encoding: gzip\r\n\r\nbody", true, false},
		{"two codings", "GET", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nbo\r\n0\r\n\r\n", true, false},
		{"bad chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nbo\r\n0\r\n\r\n", false, false},
		{"long chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nbody\r\n0\r\n\r\n", false, false},
		{"endless chunk", "GET", ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nbo", false, false},
		{"torn", "GET", ok + "Content-Length: 40\r\n\r\nbody", true, false},
		{"torn chunks", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n", true, false},
		{"torn trailer", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n0\r\nT: v", true, false},
		{"torn head", "GET", ok + "Content-Le", true, false},
		{"nothing", "GET", "", true, false},
		{"garbage", "GET", "\x16\x03\x01 this is no HTTP\r\n\r\n", false, false},
		{"other protocol", "GET", "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", false, true},
		{"bad status", "GET", "HTTP/1.1 2000 OK\r\n\r\n", false, false},
		{"no colon", "GET", ok + "Header\r\n\r\n", false, false},
		{"blank before the colon", "GET", ok + "Content-Length : 4\r\n\r\nbody", true, false},
		{"folded", "GET", ok + "A: b\r\n c\r\nContent-Length: 4\r\n\r\nbody", false, true},
		{"bare line feeds", "GET", "HTTP/1.1 200 OK\nContent-Length: 4\n\nbody", false, true},
		{"huge header", "GET", ok + "A: " + strings.Repeat("x", 200<<10) + "\r\nContent-Length: 4\r\n\r\nbody", false, false},
		{"many headers", "GET", ok + strings.Repeat("A: b\r\n", 40<<10) + "Content-Length: 4\r\n\r\nbody", false, false},
		{"huge status line", "GET", "HTTP/1.1 200 " + strings.Repeat("x", 200<<10) + "\r\nContent-Length: 4\r\n\r\nbody", false, false},
		{"interim", "GET", "HTTP/1.1 102 Processing\r\n\r\n" + many + ok + "Content-Length: 4\r\n\r\nbody", false, true},
		{"huge interim", "GET", "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", 200<<10) + "\r\n\r\n" + ok + "Content-Length: 4\r\n\r\nbody", false, false},
		{"interim alone", "GET", "HTTP/1.1 103 Early Hints\r\n\r\n", true, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			serve := func(conns *atomic.Int32) func(int, net.Conn) {
				return func(_ int, conn net.Conn) {
					conns.Add(1)
					in := bufio.NewReader(conn)
					for first := conns.Load() == 1; ; first = false {
						if _, err := http.ReadRequest(in); err != nil {
							return
						}
						text := "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"
						if first {
							text = c.answer
						}
						_, _ = io.WriteString(conn, text)
						if first && c.hangsUp {
							return
						}
					}
				}
			}
			var conns, theirs atomic.Int32
			full := newTransport(transportKind{timeout: 20 * time.Second})
			defer full.CloseIdleConnections()
			want := sendBy(t, full, leanRequest(t, c.method, rawServer(t, serve(&theirs))))
			address := rawServer(t, serve(&conns))
			tr := lean(t, 20*time.Second)
			if got := sendBy(t, tr, leanRequest(t, c.method, address)); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v, from http.Transport\n%+v", got, want)
			}
			if c.hangsUp && tr.idle.waiting() > 0 {
				eventually(t, "the upstream's hanging up", func() bool { return !tr.idle.byHost[address][0].quiet() })
			}
			if got := sendBy(t, tr, leanRequest(t, "GET", address)); got.Body != "second" || got.Failed || got.Torn {
				t.Errorf("the next request got %+v", got)
			}
			if reused := conns.Load() == 1; reused != c.reused {
				t.Errorf("the connection was used again: %v, want %v", reused, c.reused)
			}
		})
	}
}

// TestUnaskedSwitch: who switches protocols without being asked has no connection of ours to talk on.
func TestUnaskedSwitch(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
	} {
		tr := lean(t, 20*time.Second)
		address := rawServer(t, reply(text))
		if _, err := tr.RoundTrip(leanRequest(t, "GET", address)); !errors.Is(err, errUnaskedSwitch) {
			t.Errorf("got %v, want %v", err, errUnaskedSwitch)
		}
		h := start(t, nil, rawUpstream(t, reply(text)))
		wantStatus(t, h.get("/", goodKey), 502)
	}
}

// TestEndlessInterimAnswers: interim answers count against the bound of the headers.
func TestEndlessInterimAnswers(t *testing.T) {
	tr := lean(t, 0)
	address := rawServer(t, func(_ int, conn net.Conn) {
		for err := error(nil); err == nil; {
			_, err = io.WriteString(conn, "HTTP/1.1 102 Processing\r\n\r\n")
		}
	})
	if _, err := tr.RoundTrip(leanRequest(t, "GET", address)); !errors.Is(err, errHeadersTooLarge) {
		t.Errorf("got %v, want %v", err, errHeadersTooLarge)
	}
}

// TestInterimPanics passes an interim answer to somebody who cannot take it.
func TestInterimPanics(t *testing.T) {
	closed := make(chan struct{})
	tr := lean(t, 0)
	address := rawServer(t, func(_ int, conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		close(closed)
	})
	out := leanRequest(t, "GET", address)
	out = out.WithContext(httptrace.WithClientTrace(out.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { panic("no") },
	}))
	func() {
		defer func() { _ = recover() }()
		_, _ = tr.RoundTrip(out)
		t.Error("did not panic")
	}()
	within(t, 5*time.Second, closed, "the connection's end")
}

// within waits for an event.
func within(t *testing.T, d time.Duration, event <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(d):
		t.Fatalf("%s did not come within %v", what, d)
	}
}

func TestSimple(t *testing.T) {
	change := func(f func(*http.Request)) *http.Request {
		r := leanRequest(t, "GET", "up")
		f(r)
		return r
	}
	header := func(name string) *http.Request {
		return change(func(r *http.Request) { r.Header[name] = []string{"x"} })
	}
	cases := []struct {
		name string
		out  *http.Request
		want bool
	}{
		{"plain", change(func(*http.Request) {}), true},
		{"POST without a body", change(func(r *http.Request) { r.Method = "POST" }), true},
		{"body", change(func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1 }), false},
		{"body of unknown length", change(func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), -1 }), false},
		{"body that is empty", change(func(r *http.Request) { r.Body = http.NoBody }), false},
		{"https", change(func(r *http.Request) { r.URL.Scheme = "https" }), false},
		{"close", change(func(r *http.Request) { r.Close = true }), false},
		{"coding", change(func(r *http.Request) { r.TransferEncoding = []string{"identity"} }), false},
		{"trailers", change(func(r *http.Request) { r.Trailer = http.Header{"A": nil} }), false},
		{"Upgrade", header("Upgrade"), false},
		{"Connection", header("Connection"), false},
		{"Expect", header("Expect"), false},
		{"TE", header("Te"), false},
		{"Range", header("Range"), true},
	}
	for _, c := range cases {
		if got := simple(c.out); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestUnsolicitedAnswer writes an answer on a waiting connection; the next request must not get it.
func TestUnsolicitedAnswer(t *testing.T) {
	got, written := make(chan struct{}), make(chan struct{})
	tr := lean(t, 20*time.Second)
	address := rawServer(t, func(n int, conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
		if n == 1 {
			<-got
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			close(written)
		}
		_, _ = io.Copy(io.Discard, conn)
	})
	if o := sendBy(t, tr, leanRequest(t, "GET", address)); o.Body != "1" {
		t.Fatalf("got %+v", o)
	}
	close(got)
	<-written
	if o := sendBy(t, tr, leanRequest(t, "GET", address)); o.Body != "2" {
		t.Errorf("got %+v, want the second connection's answer", o)
	}
	if n := tr.idle.waiting(); n != 1 {
		t.Errorf("%d connections wait, want the second alone", n)
	}
}

// TestRetriesWhatWasNotWritten breaks a waiting connection so that no look finds it and every write
// fails.
func TestRetriesWhatWasNotWritten(t *testing.T) {
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "OPTIONS": 200, "DELETE": 200, "PUT": 200, "POST": 502, "PATCH": 502} {
		t.Run(method, func(t *testing.T) {
			var requests, conns atomic.Int32
			until := make(chan struct{})
			h := start(t, nil, rawUpstream(t, func(_ int, conn net.Conn) {
				conns.Add(1)
				for in := bufio.NewReader(conn); ; {
					if _, err := http.ReadRequest(in); err != nil {
						<-until // so that it does not look closed
						return
					}
					requests.Add(1)
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}))
			defer close(until)
			wantStatus(t, h.get("/", quotaKey), 200)
			before := h.limiterUsed(quotaKey)
			for _, waiting := range h.lean().idle.byHost {
				for _, c := range waiting {
					if err := c.Conn.(*socket.Conn).CloseWrite(); err != nil {
						t.Fatal(err)
					}
				}
			}
			r := h.request(method, "/", nil)
			r.Header.Set("X-API-Key", quotaKey)
			r.Header.Set("Idempotency-Key", "changes nothing")
			wantStatus(t, h.do(r), want)
			if sent, dialed := requests.Load()-1, conns.Load()-1; sent != dialed || (sent == 1) != (want == 200) {
				t.Errorf("the upstream saw %d requests on %d new connections", sent, dialed)
			}
			if used := h.limiterUsed(quotaKey); used != before+1 {
				t.Errorf("charged %d times, want once", used-before)
			}
		})
	}
}

// failingWrites is a socket that takes so many bytes of a write and then fails.
type failingWrites struct {
	*socket.Conn
	takes int
}

func (c failingWrites) Write([]byte) (int, error) { return c.takes, io.ErrClosedPipe }

// TestNoRetryOfWhatWasWritten: one byte is enough.
func TestNoRetryOfWhatWasWritten(t *testing.T) {
	for takes, retried := range []bool{true, false} {
		address, _ := patientServer(t)
		tr := lean(t, 0)
		finished(t, begun(t, tr, address))
		u := tr.idle.byHost[address][0].upstreamConn
		u.Conn = failingWrites{u.Conn.(*socket.Conn), takes}
		o := sendBy(t, tr, leanRequest(t, "GET", address))
		if o.Failed == retried {
			t.Errorf("after %d bytes were written: got %+v, want another attempt: %v", takes, o, retried)
		}
	}
	address, _ := patientServer(t)
	tr := lean(t, 0)
	finished(t, begun(t, tr, address))
	finished(t, begun(t, tr, address))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.RoundTrip(leanRequest(t, "GET", address).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("of a client that was gone before: got %v", err)
	}
	if n := tr.idle.waiting(); n != 1 {
		t.Errorf("%d connections wait, want one", n)
	}
}

// lean is the harness's lean transport.
func (h *harness) lean() *leanTransport { return h.gateway.snapshot.Load().routes[0].plain.lean }

// TestClientTakesItsRequestAlong: who leaves takes his request to the upstream with him, within 100 ms as promised.
func TestClientTakesItsRequestAlong(t *testing.T) {
	for name, head := range map[string]string{
		"before the answer": "",
		"in an interim one": "HTTP/1.1 103 Early Hints\r\n\r\n",
		"in the body":       "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"in a stream":       "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n",
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				sent, gone := make(chan struct{}), make(chan struct{})
				h := start(t, nil, rawUpstream(t, func(_ int, conn net.Conn) {
					_, _ = http.ReadRequest(bufio.NewReader(conn))
					_, _ = io.WriteString(conn, head)
					close(sent)
					_, _ = io.Copy(io.Discard, conn)
					close(gone)
				}))
				if protocol == "HTTP/2" {
					h.switchToHTTP2()
				}
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				r := h.request("GET", "/", nil).WithContext(ctx)
				r.Header.Set("X-API-Key", goodKey)
				go func() {
					if res, err := h.client.Do(r); err == nil {
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
				}()
				<-sent
				leave()
				within(t, 500*time.Millisecond, gone, "the end of the upstream's connection")
				eventually(t, "the access line", func() bool { return strings.Contains(h.access.String(), "status=499") })
				if n := h.lean().idle.waiting(); n != 0 {
					t.Errorf("%d connections wait, want none", n)
				}
			})
		}
	}
}

// TestSlowBodyOnTheLeanWay: the wait for the headers does not bound the body, and a deadline that is
// left over from one request does not end the next.
func TestSlowBodyOnTheLeanWay(t *testing.T) {
	const patience = 400 * time.Millisecond
	pause := func() { time.Sleep(patience + patience/2) } // what is tested is that this time may pass
	tr := lean(t, patience)
	var conns atomic.Int32
	address := rawServer(t, func(_ int, conn net.Conn) {
		conns.Add(1)
		in := bufio.NewReader(conn)
		for n := 1; ; n++ {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo")
			if n == 2 {
				pause()
			}
			_, _ = io.WriteString(conn, "dy")
		}
	})
	for n := range 3 {
		if o := sendBy(t, tr, leanRequest(t, "GET", address)); o.Body != "body" || o.Torn {
			t.Fatalf("request %d got %+v, want the whole body", n, o)
		}
		if n == 0 {
			pause()
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want one", n)
	}
}

func TestLateAnswerOnTheLeanWay(t *testing.T) {
	tr := lean(t, 50*time.Millisecond)
	closed := make(chan struct{})
	address := rawServer(t, func(n int, conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn)
		if n == 1 {
			close(closed)
		}
	})
	_, err := tr.RoundTrip(leanRequest(t, "GET", address))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a deadline", err)
	}
	within(t, 5*time.Second, closed, "the connection's end")
}

// TestCloseWhileReading closes an answer's body from elsewhere, as the cut of a stream does.
func TestCloseWhileReading(t *testing.T) {
	tr := lean(t, 0)
	closed := make(chan struct{})
	address := rawServer(t, func(_ int, conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		_, _ = io.Copy(io.Discard, conn)
		close(closed)
	})
	res, err := tr.RoundTrip(leanRequest(t, "GET", address))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	go func() { _ = res.Body.Close() }()
	if n, err := res.Body.Read(make([]byte, 4)); err == nil || err == io.EOF {
		t.Errorf("got %d, %v, want an error", n, err)
	}
	within(t, 5*time.Second, closed, "the connection's end")
	if n := tr.idle.waiting(); n != 0 {
		t.Errorf("%d connections wait, want none", n)
	}
}

func TestUnreachableOnTheLeanWay(t *testing.T) {
	tr := lean(t, 0)
	for _, host := range []string{"127.0.0.1:1", "[::1]:1"} {
		_, err := tr.RoundTrip(leanRequest(t, "GET", host))
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" || !strings.Contains(err.Error(), host) {
			t.Errorf("%s: got %v, want a failed dial", host, err)
		}
	}
}

func TestDialAddress(t *testing.T) {
	for host, want := range map[string]string{
		"up": "up:80", "up:": "up:80", "up:81": "up:81", "[::1]": "[::1]:80", "[::1]:81": "[::1]:81", "bücher.example:1": "xn--bcher-kva.example:1",
	} {
		if got, err := dialAddress(host); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", host, got, err, want)
		}
	}
}
