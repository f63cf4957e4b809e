package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/keys"
)

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestBigBodies sends and receives at once much more than the process may hold.
func TestBigBodies(t *testing.T) {
	size := int64(64 << 20)
	if long() {
		size = 1 << 30
	}
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Received", fmt.Sprint(n))
		_, _ = io.CopyN(w, zeros{}, size)
	}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, announced := range []bool{true, false} {
		r := h.request("POST", "/", io.LimitReader(zeros{}, size))
		if announced {
			r.ContentLength = size
		}
		r.Header.Set("X-API-Key", goodKey)
		res, err := h.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil || n != size || res.Header.Get("X-Received") != fmt.Sprint(size) {
			t.Fatalf("announced %v: upstream got %s, client %d, %v; want %d", announced, res.Header.Get("X-Received"), n, err, size)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 24<<20 {
		t.Errorf("the heap grew by %d MiB while bodies passed", grown>>20)
	}
}

func TestMaxBody(t *testing.T) {
	var reached atomic.Int32
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}), onRoute(func(r *Route) { r.MaxBody = 1000 }))
	post := func(size int, chunked bool) answer {
		r := h.request("POST", "/", strings.NewReader(strings.Repeat("x", size)))
		if chunked {
			r.ContentLength = -1
		}
		r.Header.Set("X-API-Key", quotaKey)
		return h.do(r)
	}
	for _, chunked := range []bool{false, true} {
		if a := post(1000, chunked); a.StatusCode != 200 || a.body != "1000" {
			t.Errorf("chunked %v: a body that just fits got %d %q", chunked, a.StatusCode, a.body)
		}
	}
	before, used := reached.Load(), h.limiterUsed(quotaKey)
	wantCode(t, post(1001, false), keys.BodyTooLarge)
	if reached.Load() != before || h.limiterUsed(quotaKey) != used {
		t.Error("a body announced too large reached the upstream or was charged")
	}
	wantCode(t, post(1001, true), keys.BodyTooLarge)
	wantCode(t, post(1<<20, true), keys.BodyTooLarge)
}

func TestBodyTooSlow(t *testing.T) {
	synthetic := &requestBody{body: io.NopCloser(slowReader{}), limit: -1, share: 1200,
		control: http.NewResponseController(deadlines{}), waited: 4 * time.Second}
	if _, err := synthetic.Read(make([]byte, 10)); err != errBodyTooSlow {
		t.Errorf("got %v, want errBodyTooSlow", err)
	}
	h := start(t, nil)
	h.gateway.limits.MinBodyRate = 1 << 30
	c := h.gateway.begin(deadlines{}, h.request("POST", "/", slowReader{}))
	defer h.gateway.release(c)
	c.route, c.body = h.gateway.snapshot.Load().routes[0], synthetic
	if x := c.blame(t.Context(), io.ErrUnexpectedEOF); x == nil || x.decision.Code != keys.BadRequest || !x.closeConn {
		t.Errorf("got %+v, want bad_request that closes the connection", x)
	}
}

// slowReader is a client of which nothing comes.
type slowReader struct{}

func (slowReader) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// deadlines is a response writer that takes deadlines.
type deadlines struct{ http.ResponseWriter }

func (deadlines) SetReadDeadline(time.Time) error { return nil }

func TestBodyEndsEarly(t *testing.T) {
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	conn := h.dial()
	_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n", goodKey)
	a := readAnswer(t, bufio.NewReader(conn))
	wantCode(t, a, keys.BadRequest)
}

func TestUpstreamAnswersBeforeTheBodyIsThere(t *testing.T) {
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	r := h.request("POST", "/", io.LimitReader(zeros{}, 32<<20))
	r.Header.Set("X-API-Key", goodKey)
	res, err := h.client.Do(r)
	if err != nil {
		return // the client saw its own writing fail first, which it may
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("got %d, want the upstream's 403", res.StatusCode)
	}
}
