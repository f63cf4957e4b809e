//go:build realservers

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// answerOrStream is an upstream: a WebSocket where one is asked for, a stream without end under /open, an
// answer that takes a while under /slow, and else a short one.
func answerOrStream(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") != "":
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		_, _, _ = conn.Read(r.Context()) // until the other side goes
	case r.URL.Path == "/open":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: open\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case r.URL.Path == "/slow":
		select {
		case <-r.Context().Done():
		case <-time.After(500 * time.Millisecond):
		}
		fallthrough
	default:
		fmt.Fprintln(w, "here")
	}
}

// openStreams opens a stream and a WebSocket of a key on each gateway. Of each, how it ended is sent: nil
// when it was cut.
func (f *fleetSite) openStreams(ctx context.Context, key string) <-chan error {
	f.t.Helper()
	ended := make(chan error, 2*len(f.nodes))
	for _, n := range f.nodes {
		header := http.Header{"X-Api-Key": {key}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.gateway+"/open", nil)
		if err != nil {
			f.t.Fatal(err)
		}
		req.Header = header
		stream, err := f.client.Transport.RoundTrip(req)
		if err != nil || stream.StatusCode != http.StatusOK {
			f.t.Fatalf("open a stream on %s: %v, %v", n.name, stream, err)
		}
		f.t.Cleanup(func() { _ = stream.Body.Close() })
		socket, _, err := websocket.Dial(ctx, "ws://"+n.gateway+"/", &websocket.DialOptions{HTTPHeader: header})
		if err != nil {
			f.t.Fatalf("open a WebSocket on %s: %v", n.name, err)
		}
		f.t.Cleanup(func() { _ = socket.CloseNow() })
		go func() {
			_, err := io.Copy(io.Discard, stream.Body)
			switch {
			case err == nil:
				err = fmt.Errorf("%s: the stream ended as if it were whole", n.name)
			case ctx.Err() == nil:
				err = nil
			}
			ended <- err
		}()
		go func() {
			_, _, err := socket.Read(ctx)
			switch {
			case err == nil:
				err = fmt.Errorf("%s: the WebSocket brought a message", n.name)
			case ctx.Err() == nil:
				err = nil
			}
			ended <- err
		}()
	}
	return ended
}

// TestFleetStreamsEnd ends a key on one gateway while streams and WebSockets of it are open on all of
// them: each is closed within 2 s.
func TestFleetStreamsEnd(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := newFleetSite(t, "100000/s")
	for i, act := range []string{"revoke", "suspend", "expire"} {
		t.Run(act, func(t *testing.T) {
			f := f.in(t)
			key := f.makeKeys(1)[0]
			const deadline = 10 * time.Second
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := f.openStreams(ctx, key.Secret)
			select {
			case err := <-ended:
				t.Fatalf("one ended while the key was good: %v", err)
			case <-time.After(time.Second): // two looks at what lasts
			}
			at := f.nodes[i]
			if act == "expire" {
				end := time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)
				f.mustAsk(at, http.StatusOK, http.MethodPatch, "/v1/keys/"+key.ID, fmt.Sprintf(`{"expires_at":%q}`, end), nil)
				time.Sleep(time.Second)
			} else {
				f.mustAsk(at, http.StatusOK, http.MethodPost, "/v1/keys/"+key.ID+"/"+act, "", nil)
			}
			begun := time.Now()
			for range 2 * len(f.nodes) {
				select {
				case err := <-ended:
					if err != nil {
						t.Error(err)
					}
				case <-time.After(deadline - time.Since(begun)):
					cancel()
					t.Fatalf("some are open %v later", deadline)
				}
			}
			t.Logf("%s on %s: all six were closed after %v", act, at.name, time.Since(begun))
		})
	}
}
