package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/internal/keys"
)

// echo answers with what it received.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "upstream/1.0")
	fmt.Fprintf(w, "%s %s host=%s\n", r.Method, r.RequestURI, r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(w, "%s: %s\n", name, v)
		}
	}
	_, _ = io.Copy(w, r.Body)
}

func TestPassesRequestsOn(t *testing.T) {
	h := start(t, http.HandlerFunc(echo))
	cases := []struct{ name, method, target, want string }{
		{"plain", "GET", "/orders/1", "GET /orders/1 host="},
		{"query kept byte for byte", "GET", "/a?b=%zz;c&&d", "GET /a?b=%zz;c&&d host="},
		{"empty query", "GET", "/a?", "GET /a? host="},
		{"escaped", "GET", "/a%20b", "GET /a%20b host="},
		{"body", "POST", "/a", "POST /a host="},
		{"delete", "DELETE", "/a", "DELETE /a host="},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := h.request(c.method, "/", strings.NewReader("the body"))
			u, err := url.Parse(h.url)
			if err != nil {
				t.Fatal(err)
			}
			path, query, _ := strings.Cut(c.target, "?")
			u.Opaque = "//" + u.Host + path
			u.RawQuery, u.ForceQuery = query, strings.Contains(c.target, "?")
			r.URL = u
			r.URL.Opaque = path
			a := h.do(r)
			wantStatus(t, a, 200)
			if !strings.HasPrefix(a.body, c.want) || !strings.HasSuffix(a.body, "the body") {
				t.Errorf("upstream saw %q, want %q … the body", a.body, c.want)
			}
			if a.Header.Get("Server") != "upstream/1.0" || len(a.Header.Get("X-Request-Id")) != 32 {
				t.Errorf("headers %v", a.Header)
			}
		})
	}
}

func TestHead(t *testing.T) {
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "12345")
	}))
	a := h.do(h.request("HEAD", "/x", nil))
	if a.StatusCode != 200 || a.ContentLength != 12345 || a.body != "" {
		t.Errorf("got %d, length %d, body %q", a.StatusCode, a.ContentLength, a.body)
	}
}

func TestHostStripPrefixAndSetHeaders(t *testing.T) {
	h := start(t, http.HandlerFunc(echo), onRoute(func(r *Route) {
		r.Path, r.StripPrefix, r.KeepHost = "/api/", true, true
		r.SetHeaders = map[string]string{"authorization": "Bearer upstream-token", "X-Env": "test"}
	}))
	r := h.request("GET", "/api/orders%2d1?x=1", nil)
	r.Host = "api.example.com"
	a := h.do(r)
	for _, want := range []string{"GET /orders-1?x=1 host=api.example.com\n", "Authorization: Bearer upstream-token\n", "X-Env: test\n"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("upstream saw %q, without %q", a.body, want)
		}
	}
	a = h.get("/api", goodKey)
	if !strings.HasPrefix(a.body, "GET / ") {
		t.Errorf("the prefix alone became %q, want /", a.body)
	}
}

func TestTargetsInTurn(t *testing.T) {
	h := start(t, http.HandlerFunc(echo), onRoute(func(r *Route) {
		u := *r.Targets[0]
		u.Path = "/b"
		r.Targets = append(r.Targets, &u)
	}))
	var seen []string
	for range 4 {
		line, _, _ := strings.Cut(h.get("/x", goodKey).body, " host")
		seen = append(seen, line)
	}
	if got, want := strings.Join(seen, ","), "GET /x,GET /b/x,GET /x,GET /b/x"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIdentity(t *testing.T) {
	h := start(t, http.HandlerFunc(echo))
	r := h.request("GET", "/", nil)
	r.Header.Set("X-API-Key", goodKey)
	r.Header.Set("Authorization", "Bearer end-users-own-token")
	r.Header.Set("X-Postern-Tenant", "spoofed")
	r.Header.Set("X-Postern-Extra", "spoofed")
	r.Header.Set("X-Forwarded-For", "9.9.9.9")
	r.Header.Set("X-Forwarded-Proto", "gopher")
	r.Header.Set("X-Request-Id", "spoofed-id")
	r.Header["User-Agent"] = []string{""}
	a := h.do(r)
	wantStatus(t, a, 200)
	for _, want := range []string{
		"X-Postern-Key-Id: key_good00000000\n", "X-Postern-Kind: api_key\n", "X-Postern-Tenant: default\n",
		"X-Postern-Owner: usr_1\n", "X-Postern-Plan: free\n", "X-Postern-Scopes: orders.read orders.write\n",
		"Authorization: Bearer end-users-own-token\n", "X-Forwarded-For: 127.0.0.1\n", "X-Forwarded-Proto: http\n",
		"X-Forwarded-Host: " + h.address + "\n", "X-Request-Id: " + a.Header.Get("X-Request-Id") + "\n",
		"Traceparent: 00-" + a.Header.Get("X-Request-Id") + "-",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("upstream lacks %q in\n%s", want, a.body)
		}
	}
	for _, banned := range []string{"spoofed", "9.9.9.9", goodKey, "User-Agent", "Accept-Encoding", "gopher"} {
		if strings.Contains(a.body, banned) {
			t.Errorf("upstream got %q in\n%s", banned, a.body)
		}
	}
}

func TestForwardsCredentialWhereTold(t *testing.T) {
	h := start(t, http.HandlerFunc(echo), onRoute(func(r *Route) { r.ForwardCredential = true }))
	if a := h.get("/", goodKey); !strings.Contains(a.body, "X-Api-Key: "+goodKey) {
		t.Errorf("the credential is missing in %q", a.body)
	}
}

func TestTraceparent(t *testing.T) {
	h := start(t, http.HandlerFunc(echo))
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for name, c := range map[string]struct {
		sent string
		kept bool
	}{
		"valid":     {good, true},
		"all zeros": {"00-00000000000000000000000000000000-b7ad6b7169203331-00", false},
		"garbage":   {"hello", false},
		"capitals":  {strings.ToUpper(good), false},
		"later":     {"01" + good[2:] + "-more", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.request("GET", "/", nil)
			r.Header.Set("Traceparent", c.sent)
			r.Header.Set("Tracestate", "a=b")
			a := h.do(r)
			if strings.Contains(a.body, "Traceparent: "+c.sent+"\n") != c.kept || strings.Contains(a.body, "Tracestate: a=b") != c.kept {
				t.Errorf("kept is not %v in\n%s", c.kept, a.body)
			}
		})
	}
}

func TestPublicRoute(t *testing.T) {
	h := start(t, http.HandlerFunc(echo), onRoute(func(r *Route) { r.Public, r.Scopes = true, nil }))
	r := h.request("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer theirs")
	r.Header.Set("X-Postern-Key-Id", "spoofed")
	a := h.do(r)
	wantStatus(t, a, 200)
	if !strings.Contains(a.body, "Authorization: Bearer theirs\n") || strings.Contains(a.body, "X-Postern") {
		t.Errorf("upstream saw\n%s", a.body)
	}
}

func TestRefusals(t *testing.T) {
	h := start(t, nil, onRoute(func(r *Route) {
		r.Path = "/orders/"
		r.API = "orders"
		r.Scopes = map[string][]keys.Scope{"GET": {"orders.read"}, "PUT": {"orders.admin"}}
	}))
	cases := []struct {
		name, method, path, key string
		want                    keys.Code
	}{
		{"admitted", "GET", "/orders/1", goodKey, keys.Admitted},
		{"no route", "GET", "/other", goodKey, keys.RouteNotFound},
		{"no key", "GET", "/orders/1", "", keys.MissingCredentials},
		{"wrong key", "GET", "/orders/1", "nobody's", keys.InvalidCredentials},
		{"expired", "GET", "/orders/1", expiredKey, keys.CredentialExpired},
		{"test key", "GET", "/orders/1", testKey, keys.InvalidCredentials},
		{"method", "POST", "/orders/1", goodKey, keys.MethodNotAllowed},
		{"scope", "PUT", "/orders/1", goodKey, keys.InsufficientScope},
		{"plan gone", "GET", "/orders/1", lonelyKey, keys.PlanUnavailable},
		{"dot segment", "GET", "/orders/%2e%2e/x", goodKey, keys.BadRequest},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := h.request(c.method, c.path, nil)
			if c.key == "" {
				r.Header.Set("Authorization", "None of ours")
			} else {
				r.Header.Set("X-API-Key", c.key)
			}
			a := h.do(r)
			if c.want == keys.Admitted {
				wantStatus(t, a, 200)
			} else {
				wantCode(t, a, c.want)
			}
			if a.Header.Get("X-Request-Id") == "" {
				t.Error("no X-Request-Id")
			}
		})
	}
}
