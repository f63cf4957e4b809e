package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestEcho sends bodies to an upstream that answers while they still come: both must arrive whole.
func TestEcho(t *testing.T) {
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 4096)
		n, err := io.ReadFull(r.Body, buf)
		_, _ = w.Write(buf[:n])
		_ = http.NewResponseController(w).Flush()
		if err == nil {
			_, _ = io.Copy(w, r.Body)
		}
	}), onRoute(func(r *Route) { r.MaxBody = -1 }))
	for _, size := range []int{100, 200_000, 300_000, 2_000_000} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, chunked %v", size, chunked), func(t *testing.T) {
				body := make([]byte, size)
				random := rand.NewChaCha8([32]byte{byte(size)})
				_, _ = random.Read(body)
				r := h.request("POST", "/", bytes.NewReader(body))
				if chunked {
					r.ContentLength = -1
				}
				r.Header.Set("X-API-Key", goodKey)
				res, err := h.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				back, err := io.ReadAll(res.Body)
				if err != nil || !bytes.Equal(back, body) {
					t.Errorf("%d bytes came back, %v; want the %d that were sent", len(back), err, size)
				}
			})
		}
	}
}

// TestRestOfABodyIsNoRequest lets the upstream answer at once; what is left of the body must not be
// read as the next request of the connection.
func TestRestOfABodyIsNoRequest(t *testing.T) {
	upstream := &reached{}
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/first" {
			upstream.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusForbidden)
		_ = http.NewResponseController(w).Flush()
	}))
	conn := h.dial()
	_, _ = fmt.Fprintf(conn, "POST /first HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Length: 1000000\r\n\r\n", goodKey)
	reader := bufio.NewReader(conn)
	a := readAnswer(t, reader)
	wantStatus(t, a, http.StatusForbidden)
	_, _ = fmt.Fprintf(conn, "GET /smuggled HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", goodKey)
	if rest, err := io.ReadAll(reader); len(rest) > 0 {
		t.Errorf("the connection went on with %q, %v", rest, err)
	}
	if seen := upstream.take(); len(seen) > 0 {
		t.Errorf("the rest of a body reached the upstream as %v", seen)
	}
}

// TestHalfClosedClient leaves half way, before the upstream has answered: whatever he is sent, it must
// not look like an answer.
func TestHalfClosedClient(t *testing.T) {
	entered, until := make(chan struct{}), make(chan struct{})
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		select {
		case <-until:
		case <-r.Context().Done():
		}
	}))
	defer close(until)
	conn := h.dial()
	_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", goodKey)
	<-entered
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("got %q, want nothing", got)
	}
	eventually(t, "the access line", func() bool { return strings.Contains(h.access.String(), "status=499") })
}

// TestNoInventedContentType holds the gateway to what the upstream said of its answer's type.
func TestNoInventedContentType(t *testing.T) {
	h := start(t, rawAnswer("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"))
	r := h.request("GET", "/", nil)
	r.Header.Set("X-API-Key", goodKey)
	a := h.do(r)
	if _, there := a.Header["Content-Type"]; there || a.body != "<html>" {
		t.Errorf("got %q with Content-Type %q, want none", a.body, a.Header.Get("Content-Type"))
	}
}

// TestTornAnswer tells the log of an answer that the upstream did not finish.
func TestTornAnswer(t *testing.T) {
	h := start(t, rawAnswer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
	r := h.request("GET", "/", nil)
	r.Header.Set("X-API-Key", goodKey)
	res, err := h.client.Do(r)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("a torn answer looks whole")
	}
	eventually(t, "the access line", func() bool { return strings.Contains(h.access.String(), "code=upstream_bad_response") })
}

// rawAnswer is an upstream that says exactly that.
func rawAnswer(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	})
}
