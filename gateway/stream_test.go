package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// events sends what comes in, one server-sent event each, until the client leaves.
func events(send <-chan string, left chan<- time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.(http.Flusher).Flush()
		for {
			select {
			case text := <-send:
				fmt.Fprintf(w, "data: %s\n\n", text)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				left <- time.Now()
				return
			}
		}
	}
}

func TestEventsArriveOneByOne(t *testing.T) {
	send, left := make(chan string), make(chan time.Time, 1)
	h := start(t, events(send, left), onRoute(func(r *Route) { r.Timeout = 50 * time.Millisecond }))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := h.request("GET", "/events", nil).WithContext(ctx)
	r.Header.Set("X-API-Key", goodKey)
	res, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for i := range 3 {
		send <- fmt.Sprint(i)
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("event %d: got %q, %v", i, line, err)
		}
		_, _ = lines.ReadString('\n')
	}
	cancel() // a client that leaves is gone for the upstream too
	<-left
}

func TestRevocationClosesStreams(t *testing.T) {
	send, left := make(chan string), make(chan time.Time, 1)
	h := start(t, events(send, left))
	r := h.request("GET", "/events", nil)
	r.Header.Set("X-API-Key", goodKey)
	res, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	send <- "one"
	begin := time.Now()
	h.directory.set(func(d *fakeDirectory) { d.revoked["key_good00000000"] = true })
	if waited := (<-left).Sub(begin); waited > 2*time.Second {
		t.Errorf("the stream was closed after %s, want at most 2 s", waited)
	}
}

func TestClientLeavesBeforeTheAnswer(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan time.Time)
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		left <- time.Now()
	}))
	shortest := time.Hour // of a few: a busy machine may delay any one of them
	for range 5 {
		conn := h.dial()
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", goodKey)
		<-arrived
		gone := time.Now()
		_ = conn.Close()
		shortest = min(shortest, (<-left).Sub(gone))
	}
	if shortest > 100*time.Millisecond {
		t.Errorf("the upstream was cancelled after %s, want at most 100 ms", shortest)
	}
	eventually(t, "five access lines", func() bool { return strings.Count(h.access.String(), "\n") == 5 })
	if n := strings.Count(h.access.String(), "status=499"); n != 5 {
		t.Errorf("%d of 5 access lines tell of a client that left:\n%s", n, h.access.String())
	}
}
