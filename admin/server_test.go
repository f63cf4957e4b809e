package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
)

// fakeHealth says what it is told.
type fakeHealth struct {
	err      error
	degraded []string
}

func (h *fakeHealth) Ready() error       { return h.err }
func (h *fakeHealth) Degraded() []string { return h.degraded }

// site is an admin listener under test.
type site struct {
	t        *testing.T
	registry *fakeRegistry
	health   *fakeHealth
	clock    time.Time
	log      *bytes.Buffer
	data     *fakeDataPath
	handler  http.Handler
	url      string
}

// newSite serves the API on a loopback port; change may alter the options first.
func newSite(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	s := &site{t: t, registry: newFake(), health: &fakeHealth{}, clock: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), log: &bytes.Buffer{}, data: &fakeDataPath{}}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "postern_probe", Help: "For the test."}, func() float64 { return 7 }))
	o := Options{
		Registry: s.registry, DataPath: s.data, Fleet: &fakeFleet{}, Health: s.health, Metrics: metrics, Version: "1.2.3",
		Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time { return s.clock },
	}
	for _, c := range change {
		c(&o)
	}
	handler, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
	object map[string]any // nil unless the body is a JSON object
}

// do sends a request as an operator; headers come in pairs and may replace what is set by itself.
func (s *site) do(method, path, body string, headers ...string) reply {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, s.url, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, query, _ := strings.Cut(path, "?")
	if r.URL.Path, err = url.PathUnescape(raw); err != nil {
		s.t.Fatal(err)
	}
	r.URL.RawPath, r.URL.RawQuery = raw, query
	r.Header.Set("Authorization", "Bearer "+operatorText)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return read(s.t, response)
}

func read(t *testing.T, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	out := reply{status: response.StatusCode, header: response.Header}
	var err error
	if out.body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(out.body, &out.object) // an answer without an object leaves it nil
	return out
}

// wantProblem checks everything that is true of every problem, and its status and code.
func wantProblem(t *testing.T, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.object["code"] != code {
		t.Fatalf("got %d %s\nwant %d %s", r.status, r.body, status, code)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type: got %q", got)
	}
	id := r.header.Get("X-Request-Id")
	for member, want := range map[string]any{
		"type": "urn:postern:problem:" + code, "status": float64(status), "request_id": id, "instance": "urn:uuid:" + id,
	} {
		if got := r.object[member]; got != want {
			t.Errorf("member %s: got %v, want %v", member, got, want)
		}
	}
	for _, member := range []string{"title", "detail"} {
		if text, _ := r.object[member].(string); text == "" {
			t.Errorf("member %s is missing in %s", member, r.body)
		}
	}
	if status == http.StatusUnauthorized && !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("WWW-Authenticate: got %q", r.header.Get("WWW-Authenticate"))
	}
}

// fields returns the field names of a validation problem.
func (r reply) fields() []string {
	var out []string
	list, _ := r.object["errors"].([]any)
	for _, e := range list {
		field, _ := e.(map[string]any)["field"].(string)
		out = append(out, field)
	}
	return out
}

// message returns what is said of one field.
func (r reply) message(field string) string {
	list, _ := r.object["errors"].([]any)
	for _, e := range list {
		if e := e.(map[string]any); e["field"] == field {
			return e["message"].(string)
		}
	}
	return ""
}

func TestNewRefusesIncompleteOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"nothing":    {},
		"no metrics": {Health: &fakeHealth{}},
		"no health":  {Metrics: prometheus.NewRegistry()},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(o); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestEveryAnswerCarriesTheHeaders(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/", "/livez", "/readyz", "/metrics", "/openapi.json", "/v1/keys", "/v1/keys/key_000000000009", "/nowhere", "/v1//keys"} {
		t.Run(path, func(t *testing.T) {
			r := s.do("GET", path, "")
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			} {
				if got := r.header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if len(r.header.Get("X-Request-Id")) != 36 {
				t.Errorf("X-Request-Id: got %q", r.header.Get("X-Request-Id"))
			}
		})
	}
}

func TestRequestIDIsOurs(t *testing.T) {
	s := newSite(t)
	r := s.do("GET", "/v1/keys", "", "X-Request-Id", "forged")
	if got := r.header.Get("X-Request-Id"); got == "forged" || got != s.registry.actor.RequestID {
		t.Errorf("got %q in the answer and %q in the registry", got, s.registry.actor.RequestID)
	}
	if got := s.registry.actor.Address.String(); got != "127.0.0.1" {
		t.Errorf("address: got %s", got)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, method, path string
		status             int
		code, allow        string
	}{
		{"unknown path", "GET", "/nowhere", 404, "not_found", ""},
		{"unknown below v1", "GET", "/v1/nothing", 404, "not_found", ""},
		{"v1 itself", "GET", "/v1", 404, "not_found", ""},
		{"trailing slash", "GET", "/v1/keys/", 404, "not_found", ""},
		{"double slash", "GET", "/v1//keys", 404, "not_found", ""},
		{"dot segments", "GET", "/v1/x/../keys", 404, "not_found", ""},
		{"encoded slash", "GET", "/v1/keys/a%2Frevoke", 404, "not_found", ""},
		{"encoded NUL", "GET", "/v1/keys/key_00000000000%00", 404, "not_found", ""},
		{"broken UTF-8", "GET", "/v1/keys/key_00000000000%ff", 404, "not_found", ""},
		{"upper case", "GET", "/V1/keys", 404, "not_found", ""},
		{"unknown action", "POST", "/v1/keys/key_000000000001/explode", 404, "not_found", ""},
		{"post on unknown", "POST", "/nowhere", 404, "not_found", ""},
		{"wrong method on list", "DELETE", "/v1/keys", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"wrong method on key", "PUT", "/v1/keys/key_000000000001", 405, "method_not_allowed", "GET, HEAD, PATCH, DELETE"},
		{"get on an action", "GET", "/v1/keys/key_000000000001/revoke", 405, "method_not_allowed", "POST"},
		{"get on a token", "GET", "/v1/tokens/tok_000000000001", 405, "method_not_allowed", "DELETE"},
		{"post on a probe", "POST", "/livez", 405, "method_not_allowed", "GET, HEAD"},
		{"preflight", "OPTIONS", "/v1/keys", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"trace", "TRACE", "/v1/keys", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"made-up method", "BREW", "/v1/tokens", 405, "method_not_allowed", "GET, HEAD, POST"},
		{"post on the root", "POST", "/", 405, "method_not_allowed", "GET, HEAD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do(c.method, c.path, "")
			wantProblem(t, r, c.status, c.code)
			if got := r.header.Get("Allow"); got != c.allow {
				t.Errorf("Allow: got %q, want %q", got, c.allow)
			}
		})
	}
}

func TestHeadAnswersAsGetWithoutBody(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/livez", "/v1/keys"} {
		if r := s.do("HEAD", path, ""); r.status != 200 || len(r.body) != 0 {
			t.Errorf("%s: got %d %q", path, r.status, r.body)
		}
	}
}

func TestCrossOriginIsRefused(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, method, header, value string
		refused                     bool
	}{
		{"another site posts", "POST", "Sec-Fetch-Site", "cross-site", true},
		{"a sibling origin posts", "POST", "Origin", "http://evil.example", true},
		{"another site reads", "GET", "Sec-Fetch-Site", "cross-site", false},
		{"own page posts", "POST", "Sec-Fetch-Site", "same-origin", false},
		{"no browser", "POST", "Origin", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := ""
			if c.method == "POST" {
				body = `{"name":"x"}`
			}
			r := s.do(c.method, "/v1/keys", body, c.header, c.value)
			if c.refused {
				wantProblem(t, r, 403, "cross_origin")
			} else if r.status >= 300 {
				t.Errorf("got %d %s", r.status, r.body)
			}
		})
	}
}

func TestPanicIsAProblem(t *testing.T) {
	s := newSite(t)
	s.registry.panicky = true
	r := s.do("GET", "/v1/keys", "")
	wantProblem(t, r, 500, "internal_error")
	if strings.Contains(string(r.body), "told to") {
		t.Errorf("the cause is in the answer: %s", r.body)
	}
	if log := s.log.String(); !strings.Contains(log, "the fake was told to") || !strings.Contains(log, r.header.Get("X-Request-Id")) {
		t.Errorf("the log does not tell the cause: %s", log)
	}
	s.registry.panicky = false
	if r := s.do("GET", "/v1/keys", ""); r.status != 200 {
		t.Errorf("after a panic: got %d", r.status)
	}
}

func TestLogHoldsRouteAndNoSecret(t *testing.T) {
	s := newSite(t)
	canary := "pst_live_canary"
	s.do("GET", "/v1/keys/"+canary+"?search="+canary, "", "Authorization", "Bearer "+canary)
	s.do("GET", "/"+canary, "")
	made := s.do("POST", "/v1/keys", `{"name":"a"}`)
	s.do("POST", "/v1/keys", `{"name":"`+canary+`","x`+canary+`":1}`)
	log := s.log.String()
	for _, secret := range []string{canary, operatorText, made.object["secret"].(string)} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log:\n%s", secret, log)
		}
	}
	for _, want := range []string{`"route":"GET /v1/keys/{id}"`, `"status":401`, `"status":201`, `"actor":"tok_operator0000"`} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in the log:\n%s", want, log)
		}
	}
}

func TestWithoutAStoreThereIsNoAPI(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Registry = nil })
	for _, path := range []string{"/v1", "/v1/keys", "/v1/tokens/tok_000000000001"} {
		r := s.do("GET", path, "", "Authorization", "")
		wantProblem(t, r, 404, "not_found")
		if detail := r.object["detail"].(string); !strings.Contains(detail, "no admin API with store: none") {
			t.Errorf("%s: got detail %q", path, detail)
		}
	}
	for _, path := range []string{"/", "/livez", "/readyz", "/metrics", "/openapi.json"} {
		if r := s.do("GET", path, "", "Authorization", ""); r.status != 200 {
			t.Errorf("%s: got %d", path, r.status)
		}
	}
	if r := s.do("GET", "/openapi.json", ""); strings.Contains(string(r.body), `"/v1/keys"`) {
		t.Error("the document describes what is not there")
	}
}

func TestIndexPointsToTheDocument(t *testing.T) {
	s := newSite(t)
	r := s.do("GET", "/", "", "Authorization", "")
	if r.status != 200 || r.object["document"] != "/openapi.json" || r.object["version"] != "1.2.3" {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestExpressionIsPublished(t *testing.T) {
	const expression = "^pst_(live|test)_[0-9A-Za-z]{12}$"
	s := newSite(t, func(o *Options) { o.KeyExpression = expression })
	if r := s.do("GET", "/", "", "Authorization", ""); r.object["key_expression"] != expression {
		t.Errorf("index: got %s", r.body)
	}
	if got := readDocument(t, s).Comp.Schemas["CreatedKey"].Properties["secret"].Description; !strings.Contains(got, expression) {
		t.Errorf("document: got %q", got)
	}
	s = newSite(t)
	if r := s.do("GET", "/", "", "Authorization", ""); r.object["key_expression"] != nil {
		t.Errorf("without one: got %s", r.body)
	}
}

func TestContactIsNamed(t *testing.T) {
	s := newSite(t, func(o *Options) {
		o.Contact = func() keys.Contact {
			return keys.Contact{Text: "Ask Ann", URL: &url.URL{Scheme: "https", Host: "portal.example"}}
		}
	})
	r := s.do("GET", "/v1/keys", "", "Authorization", "")
	wantProblem(t, r, 401, "sign_in_required")
	contact, _ := r.object["contact"].(map[string]any)
	if contact["text"] != "Ask Ann" || contact["url"] != "https://portal.example" {
		t.Errorf("got %v", contact)
	}
}

func TestHalfAnAnswerIsTorn(t *testing.T) {
	s := newSite(t)
	srv := s.handler.(*server)
	srv.mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic(errors.New("in the middle"))
	})
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("got %v", v)
		}
	}()
	s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/half", nil))
}
