package gateway

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

// allCodes are the refusals of the data path.
var allCodes = []keys.Code{
	keys.BadRequest, keys.HeadersTooLarge, keys.BodyTooLarge, keys.MissingCredentials, keys.InvalidCredentials,
	keys.CredentialExpired, keys.CredentialRevoked, keys.CredentialSuspended, keys.CredentialPending, keys.CredentialDenied,
	keys.KeysDisabled, keys.PlanNotEligible, keys.PlanUnavailable, keys.InsufficientScope, keys.IPNotAllowed,
	keys.UpgradeNotAllowed, keys.CostExceedsLimit, keys.RouteNotFound, keys.MethodNotAllowed, keys.RateLimited,
	keys.QuotaExceeded, keys.TooManyFailures, keys.UpstreamUnreachable, keys.UpstreamBadResponse, keys.UpstreamTimeout,
	keys.LimiterUnavailable, keys.DirectoryUnavailable, keys.Overloaded, keys.InternalError,
}

// refused writes a refusal and returns the answer with its body as JSON.
func refused(t *testing.T, r *http.Request, rt *route, x *refusal) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	help, err := url.Parse("https://example.com/help")
	if err != nil {
		t.Fatal(err)
	}
	f := &refuser{contact: keys.Contact{Text: "Ask sales", URL: help}}
	w := httptest.NewRecorder()
	f.write(w, r, "req-1", rt, x)
	var p map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatalf("body is no JSON: %v: %s", err, w.Body)
		}
	}
	return w, p
}

func TestRefusalOfEveryCode(t *testing.T) {
	rt := testTable(t, Route{Name: "r", Path: "/", Accept: []Carrier{{Kind: Bearer}, {Kind: Basic}, {Kind: XAPIKey}},
		Scopes: map[string][]keys.Scope{"GET": nil}}).all()[0]
	for _, code := range allCodes {
		t.Run(string(code), func(t *testing.T) {
			r := httptest.NewRequest("GET", "/orders/1?secret=x", nil)
			w, p := refused(t, r, rt, refuse(code))
			if w.Code != code.Status() || w.Code < 400 || p["status"] != float64(w.Code) {
				t.Errorf("status: got %d, in the body %v, want %d", w.Code, p["status"], code.Status())
			}
			for member, want := range map[string]any{
				"type": "urn:postern:problem:" + string(code), "code": string(code), "request_id": "req-1", "instance": "/orders/1",
			} {
				if p[member] != want {
					t.Errorf("%s: got %v, want %v", member, p[member], want)
				}
			}
			for _, member := range []string{"title", "detail"} {
				if s, _ := p[member].(string); s == "" {
					t.Errorf("%s is missing", member)
				}
			}
			if code != keys.InternalError && p["title"] == wordsOf(keys.InternalError).title {
				t.Error("the code has no words of its own")
			}
			h := w.Header()
			for name, want := range map[string]string{
				"Content-Type": "application/problem+json", "Cache-Control": "no-store",
				"X-Content-Type-Options": "nosniff", "X-Request-Id": "req-1",
			} {
				if got := h.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if got := (h.Get("Www-Authenticate") != ""); got != (w.Code == 401 || code == keys.InsufficientScope) {
				t.Errorf("WWW-Authenticate: got %q", h["Www-Authenticate"])
			}
			if got := (h.Get("Retry-After") != ""); got != (w.Code == 429 || w.Code == 503) {
				t.Errorf("Retry-After: got %q", h.Get("Retry-After"))
			}
			if strings.Contains(w.Body.String(), "secret") && !strings.Contains(string(code), "credential") {
				t.Errorf("the query is repeated: %s", w.Body)
			}
		})
	}
}

func TestChallenges(t *testing.T) {
	rt := testTable(t, Route{Name: "r", Path: "/", Scopes: map[string][]keys.Scope{"GET": nil},
		Accept: []Carrier{{Kind: Bearer}, {Kind: Basic}, {Header, "X-Token"}, {Query, "k"}, {Kind: ClientHeaders}, {Kind: XAPIKey}}}).all()[0]
	r := httptest.NewRequest("GET", "/", nil)
	rest := []string{`Basic realm="postern", charset="UTF-8"`, `ApiKey realm="postern", header="X-Token"`,
		`ApiKey realm="postern", query="k"`, `ApiKey realm="postern", header="X-Client-Id X-Client-Secret"`, `ApiKey realm="postern", header="X-API-Key"`}
	w, p := refused(t, r, rt, refuse(keys.MissingCredentials))
	if d := cmp.Diff(append([]string{`Bearer realm="postern"`}, rest...), w.Header()["Www-Authenticate"]); d != "" {
		t.Errorf("missing (-want +got):\n%s", d)
	}
	if hint, _ := p["hint"].(string); !strings.Contains(hint, "X-Token: <key>") {
		t.Errorf("hint: got %q, want the places where a key may stand", hint)
	}
	w, _ = refused(t, r, rt, refuse(keys.InvalidCredentials))
	if d := cmp.Diff(append([]string{`Bearer realm="postern", error="invalid_token"`}, rest...), w.Header()["Www-Authenticate"]); d != "" {
		t.Errorf("invalid (-want +got):\n%s", d)
	}
	x := refuse(keys.InsufficientScope)
	x.scopes, x.api = []keys.Scope{"a.b", "c"}, "bills"
	w, p = refused(t, r, rt, x)
	if got, want := w.Header().Get("Www-Authenticate"), `Bearer realm="postern", error="insufficient_scope", scope="a.b c"`; got != want {
		t.Errorf("insufficient: got %s, want %s", got, want)
	}
	if d := cmp.Diff([]any{"a.b", "c"}, p["missing_scopes"]); d != "" || p["missing_api"] != "bills" {
		t.Errorf("missing_api %v, missing_scopes (-want +got): %s", p["missing_api"], d)
	}
}

func TestRefusalSaysHowLong(t *testing.T) {
	x := refuse(keys.QuotaExceeded)
	x.retryAfter = 1001*time.Millisecond + time.Microsecond
	x.limits = []limitState{{"credential-s", 2, "s", 2, 400 * time.Millisecond}, {"credential-day", 1000, "day", 1000, 1002 * time.Millisecond}}
	w, p := refused(t, httptest.NewRequest("GET", "/", nil), nil, x)
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After: got %s, want 2", got)
	}
	want := []any{
		map[string]any{"name": "credential-s", "limit": 2.0, "window": "s", "used": 2.0, "retry_after_ms": 400.0},
		map[string]any{"name": "credential-day", "limit": 1000.0, "window": "day", "used": 1000.0, "retry_after_ms": 1002.0},
	}
	if d := cmp.Diff(want, p["limits"]); d != "" || p["retry_after_ms"] != 1002.0 {
		t.Errorf("retry_after_ms %v, limits (-want +got): %s", p["retry_after_ms"], d)
	}
	if d := cmp.Diff(map[string]any{"text": "Ask sales", "url": "https://example.com/help"}, p["contact"]); d != "" {
		t.Errorf("contact (-want +got): %s", d)
	}
	for _, tt := range []struct {
		wait time.Duration
		want string
	}{{0, "1"}, {time.Microsecond, "1"}, {time.Second, "1"}, {time.Second + 1, "2"}, {24 * time.Hour, "86400"}} {
		if got := retrySeconds(tt.wait); got != tt.want {
			t.Errorf("Retry-After of %v: got %s, want %s", tt.wait, got, tt.want)
		}
	}
}

func TestRefusalReplacesTheBody(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Etag", "x")
	w.Header().Set("X-Kept", "y")
	(&refuser{}).write(w, httptest.NewRequest("GET", "/", nil), "id", nil, refuse(keys.UpstreamBadResponse))
	if h := w.Header(); h.Get("Content-Encoding")+h.Get("Etag") != "" || h.Get("X-Kept") != "y" {
		t.Errorf("got %v", h)
	}
}

// TestRefusalInstance: the caller's path comes back as a URI reference whatever he sent.
func TestRefusalInstance(t *testing.T) {
	for _, tt := range []struct{ target, want string }{
		{"/a?b", "/a"},
		{"/a\"<script>\\\xff#", "/a%22%3Cscript%3E%5C%FF%23"},
		{"*", ""},
		{"http://h/a", ""},
		{"/" + strings.Repeat("a", 1000), "/" + strings.Repeat("a", 511)},
	} {
		if got := instance(&http.Request{RequestURI: tt.target}); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.target, got, tt.want)
		}
	}
}

// TestInvalidCredentialsAreOneAnswer: nothing but the id tells malformed, unknown and wrong apart.
func TestInvalidCredentialsAreOneAnswer(t *testing.T) {
	_, key, _ := someTexts(t)
	h := start(t, nil, func(o *Options) {
		o.Policy.Accept = append(o.Policy.Accept, Carrier{Kind: Basic})
		o.FailuresPerMinute = 1000
	})
	want := ""
	for _, line := range []string{
		"X-API-Key: " + key, "X-API-Key: x", "Authorization: Bearer " + key[:len(key)-1] + "!", "Authorization: Bearer",
		"Authorization: Basic ???", "Authorization: " + basic("app_0123456789ab", "psts_x"), "Authorization: " + basic("", key),
	} {
		a := h.raw("GET /a HTTP/1.1\r\nHost: gw\r\n" + line + "\r\n\r\n")
		wantCode(t, a, keys.InvalidCredentials)
		id := a.Header.Get("X-Request-Id")
		a.Header.Del("Date")
		a.Header.Set("X-Request-Id", "id")
		head := new(strings.Builder)
		_ = a.Header.Write(head)
		got := head.String() + strings.ReplaceAll(a.body, id, "id")
		if want == "" {
			want = got
		} else if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", line, got, want)
		}
	}
}

// TestRefusalOverHTTP: a HEAD gets the same head without a body, on a connection that stays open.
func TestRefusalOverHTTP(t *testing.T) {
	h := start(t, nil)
	conn := h.dial()
	r := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "HEAD /a HTTP/1.1\r\nHost: gw\r\n\r\nGET /a HTTP/1.1\r\nHost: gw\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	head, err := http.ReadResponse(r, &http.Request{Method: "HEAD"})
	if err != nil {
		t.Fatal(err)
	}
	get := readAnswer(t, r)
	wantCode(t, get, keys.MissingCredentials)
	if head.StatusCode != 401 || head.ContentLength != int64(len(get.body)) || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
		t.Errorf("HEAD: got %d, length %d, type %q, want those of GET: %d, %q",
			head.StatusCode, head.ContentLength, head.Header.Get("Content-Type"), len(get.body), get.Header.Get("Content-Type"))
	}
}

// TestRefusalDoesNotWaitForTheBody: a caller who announces a body and keeps it gets his answer, and
// the connection ends unless the body was small and came at once.
func TestRefusalDoesNotWaitForTheBody(t *testing.T) {
	for _, tt := range []struct {
		name, framing string
	}{
		{"large", "Content-Length: 10000000"},
		{"small but kept back", "Content-Length: 10"},
		{"of unknown length", "Transfer-Encoding: chunked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, nil)
			conn := h.dial()
			begun := time.Now()
			if _, err := io.WriteString(conn, "POST /a HTTP/1.1\r\nHost: gw\r\n"+tt.framing+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			wantCode(t, readAnswer(t, r), keys.MissingCredentials)
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("after the answer: %q, %v, want the end", rest, err)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("took %v, want about a second at most", took)
			}
		})
	}
}
