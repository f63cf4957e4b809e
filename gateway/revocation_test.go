package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"postern/internal/keys"
)

// slowly is n bytes that come a little at a time, so that they outlast every test, until stop.
type slowly struct {
	n    int64
	stop <-chan struct{}
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.n <= 0 {
		return 0, io.EOF
	}
	tick := time.NewTimer(5 * time.Millisecond)
	defer tick.Stop()
	select {
	case <-tick.C:
	case <-s.stop:
		return 0, io.ErrClosedPipe
	}
	n := min(int64(len(p)), 16<<10, s.n)
	s.n -= n
	return int(n), nil
}

// TestConcurrentRevocationCutsBodies revokes in the middle of what lasts: the client is hung up on and the
// upstream's half is ended, within 2 s.
func TestConcurrentRevocationCutsBodies(t *testing.T) {
	const gigabyte = 1 << 30
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	stop := make(chan struct{})
	defer close(stop)
	upstream := http.NewServeMux()
	upstream.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(gigabyte))
		began <- struct{}{}
		_, err := io.Copy(w, &slowly{gigabyte, r.Context().Done()})
		ended <- err
	})
	upstream.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(60_000))
		began <- struct{}{}
		for range 60_000 {
			if _, err := io.CopyN(w, &slowly{1, r.Context().Done()}, 1); err != nil {
				break
			}
			w.(http.Flusher).Flush()
		}
		ended <- nil
	})
	upstream.HandleFunc("/upload", func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	look := make(chan struct{}, 1)
	upstream.HandleFunc("/deaf", func(_ http.ResponseWriter, r *http.Request) { // takes no body until it is over
		began <- struct{}{}
		<-look
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	revoke := func(d *fakeDirectory) { d.revoked["key_good00000000"] = true }
	replace := func(d *fakeDirectory) { delete(d.by, goodKey) }
	cases := []struct {
		name, method, path string
		size               int64
		end                func(*fakeDirectory)
		code               keys.Code
	}{
		{"download", "GET", "/download", 0, revoke, keys.CredentialRevoked},
		{"short answer that lasts", "GET", "/short", 0, revoke, keys.CredentialRevoked},
		{"upload without end", "POST", "/upload", -1, revoke, keys.CredentialRevoked},
		{"announced upload", "POST", "/upload", gigabyte, revoke, keys.CredentialRevoked},
		{"upload that is not read", "POST", "/deaf", -1, revoke, keys.CredentialRevoked},
		{"secret replaced", "GET", "/download", 0, replace, keys.InvalidCredentials},
	}
	for _, protocol := range []int{1, 2} {
		for _, c := range cases {
			t.Run(fmt.Sprintf("HTTP/%d %s", protocol, c.name), func(t *testing.T) {
				h := start(t, upstream)
				h.gateway.streams.mu.Lock()
				h.gateway.streams.every = recheckEvery / 5 // the tests of streams and tunnels leave it as it is
				h.gateway.streams.mu.Unlock()
				if protocol == 2 {
					h.switchToHTTP2()
				}
				var body io.Reader
				if c.size != 0 {
					body = &slowly{gigabyte, stop}
				}
				r := h.request(c.method, c.path, body)
				r.ContentLength = c.size
				r.Header.Set("X-API-Key", goodKey)
				result := make(chan error, 1)
				go func() {
					res, err := h.client.Do(r)
					if err == nil {
						_, err = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
					result <- err
				}()
				<-began
				begin := time.Now()
				h.directory.set(c.end)
				if err := <-result; err == nil {
					t.Error("the client got a whole answer")
				}
				if c.path == "/deaf" {
					look <- struct{}{}
				}
				<-ended
				if waited := time.Since(begin); waited > 2*time.Second {
					t.Errorf("it was closed after %s, want at most 2 s", waited)
				}
				eventually(t, "the access line", func() bool { return strings.Contains(h.access.String(), "status=499") })
				if line := h.access.String(); !strings.Contains(line, string(c.code)) {
					t.Errorf("the access line does not tell %s: %s", c.code, line)
				}
			})
		}
	}
}

// TestUnknownEndsWhatLasts: a directory that cannot answer ends what lasts where others count on that,
// and nothing elsewhere.
func TestUnknownEndsWhatLasts(t *testing.T) {
	for _, ends := range []bool{true, false} {
		t.Run(fmt.Sprint(ends), func(t *testing.T) {
			send, left := make(chan string), make(chan time.Time, 1)
			h := start(t, events(send, left), func(o *Options) { o.EndUnknown = ends })
			h.gateway.streams.mu.Lock()
			h.gateway.streams.every = recheckEvery / 10
			h.gateway.streams.mu.Unlock()
			r := h.request("GET", "/events", nil)
			r.Header.Set("X-API-Key", goodKey)
			res, err := h.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			send <- "before"
			began := time.Now()
			h.directory.set(func(d *fakeDirectory) { d.down = true })
			if !ends {
				for time.Since(began) < recheckEvery {
					send <- "still there"
				}
				return
			}
			for {
				select {
				case send <- "still there":
					continue
				case <-left:
				}
				break
			}
			if waited := time.Since(began); waited > 2*time.Second {
				t.Errorf("it was closed after %s, want at most 2 s", waited)
			}
		})
	}
}

// TestRevocationClosesDeafTunnels has a TLS client that reads nothing, so that no farewell can be
// said to it.
func TestRevocationClosesDeafTunnels(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for conn.Write(r.Context(), websocket.MessageBinary, make([]byte, 64<<10)) == nil {
		}
	})
	h := start(t, upstream, onRoute(allowWebSocket))
	conn, err := tls.Dial("tcp", h.serveTLS(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", goodKey)
	eventually(t, "the tunnel", func() bool { return h.gateway.held.Load() == 1 })
	begin := time.Now()
	h.directory.set(func(d *fakeDirectory) { d.revoked["key_good00000000"] = true })
	eventually(t, "the tunnel's end", func() bool { return h.gateway.held.Load() == 0 })
	if waited := time.Since(begin); waited > 2*time.Second {
		t.Errorf("the tunnel was closed after %s, want at most 2 s", waited)
	}
}
