package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"postern/config"
)

// TestObserveExample walks through examples/observe as its README does.
func TestObserveExample(t *testing.T) {
	const dir = "../../examples/observe/"
	if _, warnings, err := config.Load(dir+"gateway.yaml", config.LoadOptions{}); err != nil || len(warnings) > 0 {
		t.Errorf("load: %v, warnings %v", err, warnings)
	}
	text, err := os.ReadFile(dir + "gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(dir + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s host=%s id=%s key=%s", r.Method, r.RequestURI, r.Host, r.Header.Get("X-Postern-Key-Id"), r.Header.Get("X-Api-Key"))
	}))
	defer upstream.Close()
	settings := strings.ReplaceAll(string(text), "http://127.0.0.1:9000", upstream.URL)
	settings = strings.Replace(settings, "version: 1\n", "", 1)
	r := startProgram(t, settings)

	for _, path := range []string{"/orders/1", "/orders//1", "/other/../thing"} {
		req, err := http.NewRequest(http.MethodGet, r.gateway, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque, req.Host = path, "api.example.com"
		resp, text := do(t, http.DefaultClient, req)
		if want := "GET " + path + " host=api.example.com id= key="; resp.StatusCode != http.StatusOK || text != want {
			t.Errorf("%s: got %d %q, want %q", path, resp.StatusCode, text, want)
		}
	}
	awaitCount(t, r, `postern_would_refuse_total{code="missing_credentials",route="orders"} 1`)
	awaitCount(t, r, `postern_would_refuse_total{code="bad_request",route="orders"} 1`)
	if !strings.Contains(string(readme), `postern_would_refuse_total{code="missing_credentials",route="orders"} 1`) {
		t.Error("the README shows another metric")
	}

	_, answer := r.api(http.MethodPost, "/v1/explain", `{"path":"/orders/1"}`)
	var e explanation
	if err := json.Unmarshal([]byte(answer), &e); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), e.verdict()) {
		t.Errorf("the README shows another verdict than %q", e.verdict())
	}

	key := r.generate(`{"kind":"api_key","name":"shop","apis":["orders"]}`)
	if resp, text := r.get("/orders/1", "X-API-Key", key.Secret); resp.StatusCode != http.StatusOK || !strings.Contains(text, "id="+key.ID+" key=") || resp.Header.Get("RateLimit") == "" {
		t.Errorf("with a key: %d %q %v", resp.StatusCode, text, resp.Header)
	}

	r.stop() // the last lines are in the log then
	if !strings.Contains(r.log.String(), `"would_refuse":"missing_credentials"`) {
		t.Errorf("the log does not tell: %s", r.log)
	}
	r = startProgram(t, strings.ReplaceAll(settings, "enforce: false", "enforce: true"))
	resp, text2 := r.get("/orders/1")
	wantStatus(t, resp, text2, http.StatusUnauthorized, "missing_credentials")
}

// awaitCount waits until the metrics have a line: a request is counted after its answer was sent.
func awaitCount(t *testing.T, r *running, line string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	text := ""
	for tick := time.NewTicker(10 * time.Millisecond); time.Now().Before(deadline); <-tick.C {
		if _, text = r.api(http.MethodGet, "/metrics", ""); strings.Contains(text, line+"\n") {
			return
		}
	}
	t.Fatalf("the metrics never said %s:\n%s", line, text)
}
