//go:build realservers

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// toxics is a toxiproxy-server: it stands between gateways and what they share, and does to it what
// networks do.
type toxics struct {
	t   *testing.T
	api string
}

func startToxics(t *testing.T) *toxics {
	t.Helper()
	x := &toxics{t: t, api: freeAddress(t)}
	host, port := "127.0.0.1", x.api[len("127.0.0.1:"):]
	cmd := exec.Command("toxiproxy-server", "-host", host, "-port", port)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start toxiproxy-server: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	deadline := time.Now().Add(20 * time.Second)
	for {
		resp, err := http.Get("http://" + x.api + "/version")
		if err == nil {
			resp.Body.Close()
			return x
		}
		if time.Now().After(deadline) {
			t.Fatalf("toxiproxy-server does not answer: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// do makes a call of toxiproxy's API.
func (x *toxics) do(method, path string, body any) {
	x.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		x.t.Fatal(err)
	}
	req, err := http.NewRequest(method, "http://"+x.api+path, bytes.NewReader(text))
	if err != nil {
		x.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		x.t.Fatalf("toxiproxy: %s %s: %d %s", method, path, resp.StatusCode, answer)
	}
}

// link makes a proxy of that name to an address, and returns its own.
func (x *toxics) link(name, to string) string {
	x.t.Helper()
	listen := freeAddress(x.t)
	x.do(http.MethodPost, "/proxies", map[string]any{"name": name, "listen": listen, "upstream": to, "enabled": true})
	return listen
}

// cut ends a link's connections and refuses new ones; mend takes that back.
func (x *toxics) cut(name string)  { x.enable(name, false) }
func (x *toxics) mend(name string) { x.enable(name, true) }

func (x *toxics) enable(name string, on bool) {
	x.t.Helper()
	x.do(http.MethodPost, "/proxies/"+name, map[string]any{"enabled": on})
}

// blackHole lets connections stand and nothing of either direction through; slow delays what comes back.
// heal takes both away.
func (x *toxics) blackHole(name string) {
	x.t.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		x.add(name, "hole-"+stream, "timeout", stream, map[string]any{"timeout": 0})
	}
}

func (x *toxics) slow(name string, by time.Duration) {
	x.t.Helper()
	x.add(name, "slow", "latency", "downstream", map[string]any{"latency": by.Milliseconds()})
}

// mute lets what is sent through, and nothing back: the reply is lost, what it answers is done.
func (x *toxics) mute(name string) {
	x.t.Helper()
	x.add(name, "mute", "timeout", "downstream", map[string]any{"timeout": 0})
}

func (x *toxics) add(name, toxic, kind, stream string, attributes map[string]any) {
	x.t.Helper()
	x.do(http.MethodPost, fmt.Sprintf("/proxies/%s/toxics", name),
		map[string]any{"name": toxic, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes})
}

func (x *toxics) heal() {
	x.t.Helper()
	x.do(http.MethodPost, "/reset", nil)
}
