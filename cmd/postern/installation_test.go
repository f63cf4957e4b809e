package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/config"
	"postern/internal/keys"
)

// running is a whole gateway in the test's own process: the production wiring on free ports.
type running struct {
	t       *testing.T
	dir     string
	gateway string // base URL
	admin   string
	token   string // an operator's
	log     *logBuffer
	stop    func() // drains and waits
}

// logBuffer keeps what the program logs. Safe for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startProgram runs a configuration, given without version and listen, in a folder of its own.
func startProgram(t *testing.T, yaml string) *running {
	t.Helper()
	return startProgramIn(t, t.TempDir(), yaml, "")
}

// startProgramIn uses a folder that holds files already; redirect is the address of listen.http, or "".
func startProgramIn(t *testing.T, dir, yaml, redirect string) *running {
	t.Helper()
	text := fmt.Sprintf("version: 1\nlisten: { gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\", http: %q }\ndrain: { delay: 0s, timeout: 2s }\n", redirect) + yaml
	path := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startProgramOf(t, path, nil, nil)
}

// startProgramOf runs a whole configuration in an environment; now is what it takes for the time, nil the
// right one.
func startProgramOf(t *testing.T, path string, env []string, now func() time.Time) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cfg, _, err := config.Load(path, config.LoadOptions{Env: env})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	r := &running{t: t, dir: filepath.Dir(path), log: &logBuffer{}}
	s := session{in: strings.NewReader(""), out: io.Discard, err: r.log, env: env, now: now}
	if err := makeSecrets(cfg); err != nil {
		t.Fatalf("make secrets: %v", err)
	}
	if !cfg.Store.None() {
		r.token = makeToken(t, cfg, env)
	}
	p, err := build(ctx, cfg, s, r.log)
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- p.serve(ctx, context.Background()) }()
	select {
	case <-p.serving:
	case err := <-done:
		t.Fatalf("serve: %v\n%s", err, r.log)
	case <-time.After(30 * time.Second):
		t.Fatalf("not serving after 30 s\n%s", r.log)
	}
	r.gateway = "http://" + p.gatewayListener.Addr().String()
	if p.gatewayTLS != nil {
		r.gateway = "https://" + p.gatewayListener.Addr().String()
	}
	r.admin = "http://" + p.adminListener.Addr().String()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve ended with: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func makeToken(t *testing.T, cfg *config.Config, env []string) string {
	t.Helper()
	ctx := context.Background()
	i, err := openInstallation(ctx, cfg, env, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("open installation: %v", err)
	}
	defer i.Close()
	registry, err := i.registry(ctx, cfg, nil)
	if err != nil {
		t.Fatalf("open registry: %v", err)
	}
	made, err := registry.CreateToken(ctx, keys.LocalActor("test"), keys.NewToken{Name: "test", Roles: []keys.RoleName{"operator"}})
	if err != nil {
		t.Fatalf("make token: %v", err)
	}
	return made.Secret.Reveal()
}

// generated is the answer of POST /v1/keys, as far as tests ask.
type generated struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	Secret   string `json:"secret"`
}

// generate makes a key through the admin API.
func (r *running) generate(body string) generated {
	r.t.Helper()
	status, text := r.api(http.MethodPost, "/v1/keys", body)
	if status != http.StatusCreated {
		r.t.Fatalf("generate %s: %d %s", body, status, text)
	}
	var g generated
	if err := json.Unmarshal([]byte(text), &g); err != nil {
		r.t.Fatalf("generate: %v", err)
	}
	return g
}

// api calls the admin API as the operator.
func (r *running) api(method, path, body string) (status int, text string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.admin+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, text := do(r.t, http.DefaultClient, req)
	return resp.StatusCode, text
}

// get calls the gateway with headers given as name, value, name, value …
func (r *running) get(path string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	return r.send(http.MethodGet, path, headers...)
}

func (r *running) send(method, path string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.gateway+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(r.t, http.DefaultClient, req)
}

func do(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read body: %v", req.Method, req.URL, err)
	}
	return resp, string(text)
}

// wantStatus fails unless the answer has the status and, for refusals, the code.
func wantStatus(t *testing.T, resp *http.Response, text string, status int, code string) {
	t.Helper()
	var p struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal([]byte(text), &p) // what is no problem document has no code
	if resp.StatusCode != status || p.Code != code {
		t.Fatalf("%s %s: got %d %q, want %d %q\n%s", resp.Request.Method, resp.Request.URL.Path,
			resp.StatusCode, p.Code, status, code, text)
	}
}

// mainConfig is an API of two scopes behind one route, with the plan's limits to be filled in.
func mainConfig(upstream, limits string) string {
	return fmt.Sprintf(`
apis: { main: { scopes: { main.read: Read, main.write: Write } } }
plans: { standard: { limits: [%s] } }
policy: { default_plan: standard }
routes:
  main: { match: { path: / }, upstream: { targets: ["%s"] }, api: main, scopes: { GET: [main.read], "*": [main.write] }, max_body: unlimited }
`, limits, upstream)
}
