package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestRetryAfterIsExact waits as long as each refusal says and is admitted every time: a lone client
// is never told too little, and no more than until its oldest call that counts is a second old.
func TestRetryAfterIsExact(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	const window = time.Second
	r := startProgram(t, mainConfig(upstream.URL, "2/s"))
	key := r.generate(`{"kind":"api_key","name":"k","apis":["main"]}`)
	var admitted []time.Time // when each was answered, a little after it was counted
	for refusals := 0; refusals < 3; {
		sent := time.Now()
		resp, text := r.get("/", "X-API-Key", key.Secret)
		if resp.StatusCode == http.StatusOK {
			admitted = append(admitted, time.Now())
			continue
		}
		wantStatus(t, resp, text, http.StatusTooManyRequests, "rate_limited")
		var p struct {
			RetryAfterMS int64 `json:"retry_after_ms"`
		}
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		wait := time.Duration(p.RetryAfterMS) * time.Millisecond
		longest := admitted[len(admitted)-2].Add(window).Sub(sent) + time.Millisecond // rounded up
		if wait < time.Millisecond || wait > longest || wait > window || resp.Header.Get("Retry-After") != "1" {
			t.Fatalf("got retry_after_ms %d and Retry-After %s, want 1 to %d and 1", p.RetryAfterMS, resp.Header.Get("Retry-After"), longest.Milliseconds())
		}
		refusals++
		<-time.After(wait)
		resp, text = r.get("/", "X-API-Key", key.Secret)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("waited %s as told and got %s: %s", wait, resp.Status, text)
		}
		admitted = append(admitted, time.Now())
	}
}
