package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestStreamsEndWithTheirKey has a stream and a WebSocket of a key open when something ends the key,
// or the secret that opened them: both are closed within 2 s, as they would be for revoking it.
func TestStreamsEndWithTheirKey(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer conn.CloseNow()
			_, _, _ = conn.Read(r.Context()) // until the other side goes
			return
		}
		_, _ = io.WriteString(w, "open\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer upstream.Close()
	dir := t.TempDir()
	gateway, admin := freeAddress(t), freeAddress(t)
	text := fmt.Sprintf("version: 1\nlisten: { gateway: \"%s\", admin: \"%s\" }\ndrain: { delay: 0s, timeout: 1s }\n", gateway, admin) +
		strings.Replace(mainConfig(upstream.URL, "100/s"), "max_body: unlimited", "max_body: unlimited, websocket: true", 1)
	if err := writeNew(filepath.Join(dir, "gateway.yaml"), []byte(text)); err != nil {
		t.Fatal(err)
	}
	postern := func(args ...string) string {
		t.Helper()
		c := exec.Command("postern", args...)
		c.Dir = dir
		out, err := c.Output()
		if err != nil {
			t.Fatalf("postern %s: %v", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	postern("init")
	run, log := exec.Command("postern", "run"), &logBuffer{}
	run.Dir, run.Stderr = dir, log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Process.Kill(); _ = run.Wait() }()
	waitUntilReady(t, "http://"+admin, log)

	for _, end := range [][]string{{"suspend"}, {"delete"}, {"revoke"}, {"rotate", "--overlap", "0s"}, {"rotate", "--overlap", "500ms"}, {"edit", "--expires-in", "500ms"}} {
		t.Run(strings.Join(end, " "), func(t *testing.T) {
			key := postern("keys", "create", "--name", "k", "--api", "main")
			id := "key_" + strings.Split(key, "_")[2]
			header := http.Header{"X-Api-Key": {key}}
			req, err := http.NewRequest(http.MethodGet, "http://"+gateway+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = header
			stream, err := http.DefaultTransport.RoundTrip(req)
			if err != nil || stream.StatusCode != http.StatusOK {
				t.Fatalf("open the stream: %v", err)
			}
			defer stream.Body.Close()
			socket, _, err := websocket.Dial(t.Context(), "ws://"+gateway+"/", &websocket.DialOptions{HTTPHeader: header})
			if err != nil {
				t.Fatalf("open the WebSocket: %v", err)
			}
			defer socket.CloseNow()

			postern(append([]string{"keys", end[0], id}, end[1:]...)...)
			began := time.Now()
			if _, err := io.Copy(io.Discard, stream.Body); err == nil {
				t.Error("the stream ended as if it were whole")
			}
			if _, _, err := socket.Read(t.Context()); err == nil {
				t.Error("the WebSocket brought a message")
			}
			if waited := time.Since(began); waited > 2500*time.Millisecond { // the later ends come 500 ms after the command
				t.Errorf("they were closed after %v", waited)
			}
		})
	}
}
