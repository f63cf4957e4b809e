package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestAdminBehindAProxy: everybody comes from the proxy's address, and still one who tries an account's
// password keeps nobody else from it.
func TestAdminBehindAProxy(t *testing.T) {
	s := newSite(t, "trusted_proxies: [127.0.0.1]\n"+mainConfig("http://127.0.0.1:9", "1000/s"))
	s.start()
	from := func(address string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.admin+"/v1/session",
			strings.NewReader(`{"email":"ada@example.com","password":"not hers"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Forwarded-For", address)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	for range 5 {
		if got := from("198.51.100.1"); got != http.StatusUnauthorized {
			t.Fatalf("a wrong password gets %d", got)
		}
	}
	if got := from("203.0.113.9, 198.51.100.1"); got != http.StatusTooManyRequests {
		t.Errorf("the sixth from one address gets %d, want 429", got)
	}
	if got := from("198.51.100.2"); got != http.StatusUnauthorized {
		t.Errorf("the first from another address gets %d, want 401", got)
	}
}
