package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func compiledCORS(t *testing.T, c *CORS) *cors {
	t.Helper()
	table, err := newTable(&Policy{LegacyRateLimit: true, Routes: []Route{{
		Name: "r", Path: "/", CORS: c, Accept: []Carrier{{Kind: Bearer}, {Kind: XAPIKey}},
		Scopes: map[string][]keys.Scope{"GET": nil, "POST": nil},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return table.all()[0].cors
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

const preflightVary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

func TestPreflight(t *testing.T) {
	named := &CORS{Origins: []string{"https://app.example.com"}, Credentials: true, MaxAge: 10 * time.Minute}
	anyone := &CORS{Origins: []string{"*"}, Methods: []string{"GET"}, Headers: []string{"X-Mine"}}
	for _, tt := range []struct {
		name   string
		cors   *CORS
		method string
		asks   http.Header
		want   http.Header // nil: not a preflight
	}{
		{"allowed", named, "OPTIONS", headers("Origin", "https://app.example.com", "Access-Control-Request-Method", "POST"),
			headers("Vary", preflightVary, "X-Request-Id", "id",
				"Access-Control-Allow-Origin", "https://app.example.com", "Access-Control-Allow-Credentials", "true",
				"Access-Control-Allow-Methods", "GET, HEAD, POST", "Access-Control-Max-Age", "600",
				"Access-Control-Allow-Headers", "Authorization, X-Api-Key, Content-Type")},
		{"any origin", anyone, "OPTIONS", headers("Origin", "https://x", "Access-Control-Request-Method", "PUT"),
			headers("Vary", preflightVary, "X-Request-Id", "id", "Access-Control-Allow-Origin", "*",
				"Access-Control-Allow-Methods", "GET", "Access-Control-Allow-Headers", "X-Mine")},
		{"other origin", named, "OPTIONS", headers("Origin", "https://evil.example.com", "Access-Control-Request-Method", "POST"),
			headers("Vary", preflightVary, "X-Request-Id", "id")},
		{"origin that only begins alike", named, "OPTIONS", headers("Origin", "https://app.example.com.evil", "Access-Control-Request-Method", "POST"),
			headers("Vary", preflightVary, "X-Request-Id", "id")},
		{"null origin", named, "OPTIONS", headers("Origin", "null", "Access-Control-Request-Method", "POST"),
			headers("Vary", preflightVary, "X-Request-Id", "id")},
		{"no origin", named, "OPTIONS", headers("Access-Control-Request-Method", "POST"), nil},
		{"no requested method", named, "OPTIONS", headers("Origin", "https://app.example.com"), nil},
		{"another method", named, "GET", headers("Origin", "https://app.example.com", "Access-Control-Request-Method", "POST"), nil},
		{"route without cors", nil, "OPTIONS", headers("Origin", "https://app.example.com", "Access-Control-Request-Method", "POST"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := &http.Request{Method: tt.method, Header: tt.asks}
			if got := compiledCORS(t, tt.cors).preflight(w, r, "id"); got != (tt.want != nil) {
				t.Fatalf("preflight: got %v, want %v", got, tt.want != nil)
			}
			if tt.want == nil {
				return
			}
			if d := cmp.Diff(tt.want, w.Result().Header); d != "" || w.Code != http.StatusNoContent {
				t.Errorf("status %d, headers (-want +got):\n%s", w.Code, d)
			}
		})
	}
}

func TestDecorate(t *testing.T) {
	const expose = "X-Total, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
	named := &CORS{Origins: []string{"https://app.example.com"}, Credentials: true, Expose: []string{"X-Total"}}
	anyone := &CORS{Origins: []string{"*"}, Expose: []string{"X-Total"}}
	upstreams := []string{"Access-Control-Allow-Origin", "https://theirs", "Access-Control-Allow-Credentials", "true", "X-Total", "5"}
	for _, tt := range []struct {
		name, origin string
		cors         *CORS
		before, want http.Header
	}{
		{"allowed", "https://app.example.com", named, headers("X-Total", "5"), headers("X-Total", "5", "Vary", "Origin",
			"Access-Control-Allow-Origin", "https://app.example.com", "Access-Control-Allow-Credentials", "true", "Access-Control-Expose-Headers", expose)},
		{"any", "https://x", anyone, headers("X-Total", "5"), headers("X-Total", "5",
			"Access-Control-Allow-Origin", "*", "Access-Control-Expose-Headers", expose)},
		{"not allowed", "https://evil", named, headers(upstreams...), headers("X-Total", "5", "Vary", "Origin")},
		{"no origin", "", named, headers(upstreams...), headers("X-Total", "5", "Vary", "Origin")},
		{"vary is there", "", named, headers("Vary", "Accept, origin"), headers("Vary", "Accept, origin")},
		{"route without cors", "https://x", nil, headers(upstreams...), headers(upstreams...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Header: headers()}
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			h := tt.before.Clone()
			compiledCORS(t, tt.cors).decorate(h, r)
			if d := cmp.Diff(tt.want, h); d != "" {
				t.Errorf("headers (-want +got):\n%s", d)
			}
			again := h.Clone()
			compiledCORS(t, tt.cors).decorate(again, r)
			if d := cmp.Diff(h, again); d != "" {
				t.Errorf("decorating twice differs: %s", d)
			}
		})
	}
}

// TestCORSOverHTTP: preflights need no credential and reach nobody; refusals can be read by the
// browser's script; without cors OPTIONS is a method like others.
func TestCORSOverHTTP(t *testing.T) {
	upstream := &reached{}
	h := start(t, upstream, onRoute(func(r *Route) { r.CORS = &CORS{Origins: []string{"https://app"}} }))
	preflight := h.raw("OPTIONS /a HTTP/1.1\r\nHost: gw\r\nOrigin: https://app\r\nAccess-Control-Request-Method: GET\r\n\r\n")
	if preflight.StatusCode != http.StatusNoContent || preflight.Header.Get("Access-Control-Allow-Origin") != "https://app" {
		t.Errorf("preflight: got %d %v", preflight.StatusCode, preflight.Header)
	}
	if seen := upstream.take(); len(seen) > 0 {
		t.Errorf("the preflight reached the upstream: %v", seen)
	}
	refused := h.raw("GET /a HTTP/1.1\r\nHost: gw\r\nOrigin: https://app\r\n\r\n")
	wantCode(t, refused, keys.MissingCredentials)
	if refused.Header.Get("Access-Control-Allow-Origin") != "https://app" ||
		!strings.Contains(refused.Header.Get("Access-Control-Expose-Headers"), "Retry-After") {
		t.Errorf("refusal: got %v, want the origin to be allowed to read it", refused.Header)
	}
	passed := h.raw("GET /a HTTP/1.1\r\nHost: gw\r\nOrigin: https://app\r\nX-API-Key: " + goodKey + "\r\n\r\n")
	if got := passed.Header["Access-Control-Allow-Origin"]; passed.StatusCode != 200 || len(got) != 1 || got[0] != "https://app" {
		t.Errorf("answer: got %d %v", passed.StatusCode, passed.Header)
	}
	upstream.take()

	plain := start(t, upstream)
	a := plain.raw("OPTIONS /a HTTP/1.1\r\nHost: gw\r\nOrigin: https://app\r\nAccess-Control-Request-Method: GET\r\n\r\n")
	wantCode(t, a, keys.MissingCredentials)
	a = plain.raw("OPTIONS /a HTTP/1.1\r\nHost: gw\r\nX-API-Key: " + goodKey + "\r\n\r\n")
	wantStatus(t, a, http.StatusOK)
	if seen := upstream.take(); len(seen) != 1 || seen[0].method != "OPTIONS" {
		t.Errorf("arrived: %v, want OPTIONS", seen)
	}
}
