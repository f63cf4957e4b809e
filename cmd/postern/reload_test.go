package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// variant is one of two configurations in which everything that can have another name has one: a
// request that met half of each would be refused.
func variant(upstream, name, declared string) string {
	return fmt.Sprintf(`
apis: { main: { scopes: { %[2]s.read: Read, main.write: Write } }, only_%[2]s: { scopes: { x.%[2]s: X } } }
plans: { standard: { limits: [1000000/s] }, plan_%[2]s: { limits: [1000000/min, 100000000/day] } }
policy: { default_plan: standard }
log: { level: error }
access: { keys: { ci: { hash: "sha256:%[3]x", plan: plan_%[2]s, apis: [main, only_%[2]s] } } }
routes:
  route_%[2]s: { match: { path: / }, upstream: { targets: ["%[1]s"] }, api: main, scopes: { GET: [%[2]s.read] }, set_headers: { X-Variant: %[2]s } }
`, upstream, name, sha256.Sum256([]byte(declared)))
}

// broken are ways to spoil a configuration: not YAML, an unknown word, a plan that is gone, a route
// without a target, a file that is not there.
var broken = []func(string) string{
	func(s string) string { return s + "\n\t{" },
	func(s string) string { return strings.Replace(s, "policy:", "polizy:", 1) },
	func(s string) string { return strings.Replace(s, "default_plan: standard", "default_plan: gone", 1) },
	func(s string) string { return strings.Replace(s, "targets: [", "targets: [] # [", 1) },
	func(string) string { return "" },
}

// TestConcurrentReload takes good and broken configurations over while clients call. No request
// fails, the broken ones change nothing, and memory stays flat. The long form makes 1,000 good and
// 500 broken reloads.
func TestConcurrentReload(t *testing.T) {
	good := 30
	if os.Getenv("POSTERN_LONG") == "1" {
		good = 1000
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Variant"))
	}))
	t.Cleanup(upstream.Close)
	declared := ourText(t)
	texts := [2]string{variant(upstream.URL, "a", declared), variant(upstream.URL, "b", declared)}
	r := startProgram(t, texts[0])
	stored := r.generate(`{"name":"stored","apis":["main"]}`).Secret
	path := filepath.Join(r.dir, "gateway.yaml")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := strings.TrimSuffix(string(whole), texts[0])

	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var calls atomic.Int64
	for i := range 8 {
		key := []string{stored, declared}[i%2]
		clients.Go(func() {
			for ctx.Err() == nil {
				resp, text := r.get("/orders", "X-API-Key", key)
				if calls.Add(1); resp.StatusCode != http.StatusOK {
					t.Errorf("a request failed under reload: %d %s", resp.StatusCode, text)
					stop()
				}
			}
		})
	}
	defer clients.Wait()
	defer stop()

	var early uint64
	for n := 1; n <= good && ctx.Err() == nil; n++ {
		rewrite(t, path, head+texts[n%2])
		if status, text := r.api(http.MethodPost, "/v1/config/reload", ""); status != http.StatusOK {
			t.Fatalf("reload %d: %d %s", n, status, text)
		}
		if want := "ab"[n%2 : n%2+1]; n%7 == 0 {
			if _, got := r.get("/orders", "X-API-Key", stored); got != want {
				t.Fatalf("after reload %d: got variant %q, want %q", n, got, want)
			}
		}
		if n%2 == 0 {
			spoilt := broken[n/2%len(broken)]
			rewrite(t, path, spoilt(head+texts[1]))
			if status, text := r.api(http.MethodPost, "/v1/config/reload", ""); status != http.StatusUnprocessableEntity || !strings.Contains(text, "gateway.yaml") {
				t.Fatalf("a broken configuration: got %d %s, want 422 and the place", status, text)
			}
		}
		if n == good/4 {
			early = heapInUse()
		}
	}
	stop()
	clients.Wait()
	if grown := int64(heapInUse()) - int64(early); grown > 4<<20 {
		t.Errorf("memory grew by %d bytes from a quarter of the reloads to their end", grown)
	}
	t.Logf("%d good and %d broken reloads under %d calls", good, good/2, calls.Load())
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// rewrite replaces a file so that nobody reads half of it.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := replaceFile(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// ourText is the text of a key in our form that no store knows.
func ourText(t *testing.T) string {
	t.Helper()
	r := startProgram(t, mainConfig("http://127.0.0.1:9", "1/s"))
	defer r.stop()
	return r.generate(`{"name":"elsewhere","apis":["main"]}`).Secret
}

// TestReloadTells shows what a reload says: what changed, what waits for a restart, and in /v1/config
// and the probes why the last one failed.
func TestReloadTells(t *testing.T) {
	r := startProgram(t, mainConfig("http://127.0.0.1:9", "1/s"))
	path := filepath.Join(r.dir, "gateway.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, strings.Replace(string(text), "[1/s]", "[2/s]", 1)+"max_stale: 2h\nlog: { level: debug }\n")
	status, body := r.api(http.MethodPost, "/v1/config/reload", "")
	var done reloaded
	if err := json.Unmarshal([]byte(body), &done); err != nil || status != http.StatusOK {
		t.Fatalf("got %d %s", status, body)
	}
	if got := strings.Join(done.Changed, " "); got != "log.level max_stale plans.standard.limits" {
		t.Errorf("got changed %s", got)
	}
	if got := strings.Join(done.RestartNeeded, " "); got != "max_stale" {
		t.Errorf("got restart needed %s", got)
	}
	if !strings.Contains(r.log.String(), `"level":"DEBUG"`) {
		r.api(http.MethodGet, "/v1/plans", "") // a line at debug
		if !strings.Contains(r.log.String(), `"level":"DEBUG"`) {
			t.Error("the log's level did not follow")
		}
	}
	if _, plans := r.api(http.MethodGet, "/v1/plans", ""); !strings.Contains(plans, `"2/s"`) {
		t.Errorf("got plans %s", plans)
	}
	rewrite(t, path, "version: 2\n")
	if status, body := r.api(http.MethodPost, "/v1/config/reload", ""); status != http.StatusUnprocessableEntity || !strings.Contains(body, "gateway.yaml:1:10") {
		t.Errorf("got %d %s, want 422 and file:line:column", status, body)
	}
	_, state := r.api(http.MethodGet, "/v1/config", "")
	for _, want := range []string{`"last_error":`, "version 2 is not known", `"restart_needed":["max_stale"]`, `"limits":["2/s"]`} {
		if !strings.Contains(state, want) {
			t.Errorf("/v1/config has no %s: %s", want, state)
		}
	}
	if _, ready := r.api(http.MethodGet, "/readyz", ""); !strings.Contains(ready, "could not be taken over") {
		t.Errorf("got %s, want it degraded", ready)
	}
	if _, metrics := r.api(http.MethodGet, "/metrics", ""); !strings.Contains(metrics, "postern_config_last_reload_successful 0") {
		t.Error("the metric does not say that the last reload failed")
	}
	rewrite(t, path, string(text))
	if status, body := r.api(http.MethodPost, "/v1/config/reload", ""); status != http.StatusOK || !strings.Contains(body, `"restart_needed":[]`) {
		t.Errorf("got %d %s, want nothing to wait for a restart any more", status, body)
	}
}
