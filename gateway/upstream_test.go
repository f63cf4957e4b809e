package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/keys"
)

// rawUpstream is an upstream that misbehaves: serve gets each connection and its number.
func rawUpstream(t *testing.T, serve func(n int, conn net.Conn)) change {
	t.Helper()
	address := rawServer(t, serve)
	return onRoute(func(r *Route) { r.Targets = []*url.URL{{Scheme: "http", Host: address}} })
}

// rawServer serves each connection so and returns its address.
func rawServer(t *testing.T, serve func(n int, conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-ended })
	go func() {
		defer close(ended)
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(n, conn)
			}()
		}
	}()
	return l.Addr().String()
}

// reply reads a request's head and answers with text.
func reply(text string) func(int, net.Conn) {
	return func(_ int, conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.WriteString(conn, text)
		}
	}
}

func TestUpstreamFaults(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	until := make(chan struct{})
	defer close(until)
	cases := []struct {
		name     string
		upstream change
		want     keys.Code
	}{
		{"down", onRoute(func(r *Route) { r.Targets = []*url.URL{{Scheme: "http", Host: dead.Addr().String()}} }), keys.UpstreamUnreachable},
		{"garbage", rawUpstream(t, reply("\x16\x03\x01 this is no HTTP\r\n\r\n")), keys.UpstreamBadResponse},
		{"hangs up", rawUpstream(t, reply("")), keys.UpstreamBadResponse},
		{"half an answer", rawUpstream(t, reply("HTTP/1.1 200 OK\r\nContent-Le")), keys.UpstreamBadResponse},
		{"huge headers", rawUpstream(t, reply("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")), keys.UpstreamBadResponse},
		{"slow", rawUpstream(t, func(_ int, conn net.Conn) { <-until }), keys.UpstreamTimeout},
		{"never reads", rawUpstream(t, func(_ int, conn net.Conn) { <-until }), keys.UpstreamTimeout},
		{"plain HTTP behind https", func(o *Options) {
			o.Policy.Routes[0].Targets[0].Scheme = "https"
		}, keys.UpstreamBadResponse},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			timeout := 10 * time.Second // what fails, fails before it, however busy the machine is
			if c.want == keys.UpstreamTimeout {
				timeout = 300 * time.Millisecond
			}
			h := start(t, nil, c.upstream, onRoute(func(r *Route) { r.Timeout = timeout }))
			r := h.request("GET", "/", nil)
			if c.name == "never reads" {
				r = h.request("PUT", "/", io.LimitReader(zeros{}, 64<<20))
			}
			r.Header.Set("X-API-Key", quotaKey)
			wantCode(t, h.do(r), c.want)
			if used := h.limiterUsed(quotaKey); used != 1 {
				t.Errorf("charged %d times, want once: there are no refunds", used)
			}
		})
	}
}

// limiterUsed tells how much of its day a key has used, by the headers of a further request: one
// more than before it.
func (h *harness) limiterUsed(key string) int64 {
	h.t.Helper()
	c := h.gateway.newCall()
	c.snapshot = h.gateway.snapshot.Load()
	c.route, c.principal, c.now = c.snapshot.routes[0], h.directory.by[key], h.gateway.now()
	c.peekLimits(h.t.Context())
	if c.set == nil {
		h.t.Fatal("limits are not known")
	}
	return c.answer.States[len(c.answer.States)-1].Used
}

func TestAnswerBreaksOff(t *testing.T) {
	h := start(t, nil, rawUpstream(t, reply("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")))
	r := h.request("GET", "/", nil)
	r.Header.Set("X-API-Key", goodKey)
	res, err := h.client.Do(r)
	if err != nil {
		return // nothing of it was sent yet
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("got %q without an error; a torn answer must not look whole", body)
	}
}

func TestInterimAnswersPass(t *testing.T) {
	h := start(t, nil, rawUpstream(t, reply("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"+
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")))
	conn := h.dial()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: "+goodKey+"\r\n\r\n")
	in := bufio.NewReader(conn)
	if a := readAnswer(t, in); a.StatusCode != 103 || a.Header.Get("Link") == "" {
		t.Errorf("first got %d %v, want 103 with Link", a.StatusCode, a.Header)
	}
	if a := readAnswer(t, in); a.StatusCode != 200 || a.Header.Get("X-Request-Id") == "" || a.Header.Get("Link") != "" {
		t.Errorf("then got %d %v, want 200 with X-Request-Id", a.StatusCode, a.Header)
	}
}

func TestRetries(t *testing.T) {
	cases := []struct {
		name, method, body string
		want               int
		requests           int32
	}{
		{"a GET that was sent", "GET", "", 502, 2},
		{"a POST that was sent", "POST", "", 502, 2},
		{"a POST with a body", "POST", "x", 502, 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var requests atomic.Int32
			h := start(t, nil, rawUpstream(t, func(_ int, conn net.Conn) {
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					if requests.Add(1) > 1 { // the second one on a warm connection is read, and never answered
						return
					}
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			}))
			wantStatus(t, h.get("/first", goodKey), 200)
			r := h.request(c.method, "/", strings.NewReader(c.body))
			r.Header.Set("Idempotency-Key", "makes net/http repeat it")
			wantStatus(t, h.do(r), c.want)
			if n := requests.Load(); n != c.requests {
				t.Errorf("the upstream saw %d requests, want %d", n, c.requests)
			}
		})
	}
}

func TestAttempts(t *testing.T) {
	conn := &upstreamConn{}
	cases := []struct {
		name    string
		method  string
		written int64
		begun   int
		want    error
	}{
		{"first", "POST", 0, 0, nil},
		{"second, nothing written", "GET", 0, 1, nil},
		{"second, only an alert", "DELETE", 31, 1, nil},
		{"second, written", "GET", 64, 1, errNoReplay},
		{"second, not idempotent", "POST", 0, 1, errNoReplay},
		{"third", "GET", 0, 2, errNoReplay},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			conn.written.Store(100 + c.written)
			a := attempts{begun: c.begun, conn: conn, start: 100}
			if err := a.next(c.method); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
