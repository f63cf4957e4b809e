package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDemo runs the demo as the README says and does with it what it prints.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	facts, stop := startDemo(t, "--json")
	signIn, err := http.NewRequest(http.MethodPost, facts.AdminURL+"/v1/session",
		strings.NewReader(`{"username":"`+facts.Username+`","password":"`+facts.Password+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	signIn.Header.Set("Content-Type", "application/json")
	if resp, text := do(t, http.DefaultClient, signIn); resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Set-Cookie"), "__Host-postern=") {
		t.Fatalf("sign in: %s %s", resp.Status, text)
	}
	if want := "curl -i -H 'X-API-Key: " + facts.APIKey + "' " + facts.GatewayURL + "/orders/"; facts.Curl != want {
		t.Errorf("got curl %q, want %q", facts.Curl, want)
	}
	call := func(key string) (*http.Response, string) {
		req, err := http.NewRequest(http.MethodGet, facts.GatewayURL+"/orders/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			req.Header.Set("X-API-Key", key)
		}
		return do(t, http.DefaultClient, req)
	}

	resp, text := call(facts.APIKey)
	wantStatus(t, resp, text, http.StatusOK, "")
	resp, text = call(facts.APIKey)
	wantStatus(t, resp, text, http.StatusOK, "")
	resp, text = call(facts.APIKey)
	wantStatus(t, resp, text, http.StatusTooManyRequests, "rate_limited")
	var refused struct {
		RetryAfterMS int `json:"retry_after_ms"`
	}
	if err := json.Unmarshal([]byte(text), &refused); err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Retry-After"); got != "1" || refused.RetryAfterMS < 1 || refused.RetryAfterMS > 1000 {
		t.Errorf("got Retry-After %s and %d ms, want 1 and at most 1000 ms", got, refused.RetryAfterMS)
	}
	resp, text = call("")
	wantStatus(t, resp, text, http.StatusUnauthorized, "missing_credentials")

	req, err := http.NewRequest(http.MethodPost, facts.AdminURL+"/v1/keys/"+facts.APIKeyID+"/revoke", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+facts.AdminToken)
	if resp, text := do(t, http.DefaultClient, req); resp.StatusCode != http.StatusOK {
		t.Fatalf("revoke: %s %s", resp.Status, text)
	}
	// The revocation is in force here when its answer arrives.
	resp, text = call(facts.APIKey)
	wantStatus(t, resp, text, http.StatusUnauthorized, "credential_revoked")

	stop()
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("the demo left %s behind", f.Name())
	}
}

// TestDemoKeep finds the demo's folder again with everything that run needs.
func TestDemoKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	_, stop := startDemo(t, "--json", "--keep", dir)
	stop()
	for _, name := range []string{"gateway.yaml", "pepper", "keyset.json", "data/postern.db"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Errorf("kept folder: %v", err)
			continue
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode().Perm())
		}
	}
	var messages strings.Builder
	code := realMain(context.Background(), []string{"demo", "--keep", dir}, session{in: strings.NewReader(""), out: io.Discard, err: &messages})
	if code != exitUsage || !strings.Contains(messages.String(), "exists already") {
		t.Errorf("a second demo in the folder: got exit code %d and %q, want %d and that it exists already", code, messages.String(), exitUsage)
	}
}

// startDemo returns what the demo's first line says; stop ends it as Ctrl-C does.
func startDemo(t *testing.T, flags ...string) (demoFacts, func()) {
	t.Helper()
	ctx, interrupt := context.WithCancel(context.Background())
	out, in := io.Pipe()
	log := &logBuffer{}
	done := make(chan int, 1)
	go func() {
		done <- realMain(ctx, append([]string{"demo"}, flags...), session{in: strings.NewReader(""), out: in, err: log})
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		interrupt()
		t.Fatalf("demo printed nothing: %v\n%s", err, log)
	}
	var facts demoFacts
	if err := json.Unmarshal([]byte(line), &facts); err != nil {
		interrupt()
		t.Fatalf("first line %q: %v", line, err)
	}
	return facts, func() {
		t.Helper()
		interrupt()
		select {
		case code := <-done:
			if code != exitOK {
				t.Errorf("demo ended with %s, want 0\n%s", strconv.Itoa(code), log)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("demo did not end\n%s", log)
		}
	}
}
