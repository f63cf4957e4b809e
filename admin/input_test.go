package admin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"postern/internal/keys"
)

// endpoint is one documented operation with a way to ask it.
type endpoint struct {
	method, path string
	op           operation
	body         map[string]any // a body it takes, nil where it takes none
}

// endpoints returns every operation that needs sign-in.
func endpoints(t *testing.T, doc openAPI) []endpoint {
	var out []endpoint
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if len(op.Security) == 0 && op.RequestBody == nil {
				continue
			}
			e := endpoint{method: strings.ToUpper(method), path: path, op: op}
			for _, p := range op.Parameters { // as documented
				if p.In == "path" && len(p.Schema.Examples) > 0 {
					e.path = strings.Replace(e.path, "{"+p.Name+"}", fmt.Sprint(p.Schema.Examples[0]), 1)
				}
			}
			if op.RequestBody != nil {
				e.body = map[string]any{}
				for name, f := range doc.resolve(op.RequestBody.Content["application/json"].Schema).Properties {
					if slices.Contains([]string{"name", "roles"}, name) {
						e.body[name] = good(f)
					}
				}
			}
			out = append(out, e)
		}
	}
	if len(out) < 7 {
		t.Fatalf("the document lists %d endpoints of the API", len(out))
	}
	return out
}

func good(s schema) any {
	if s.is("array") {
		return []any{"viewer"}
	}
	return "text"
}

// wrong returns values that a schema does not take, by what they are.
func wrong(s schema) map[string]string {
	all := map[string]string{
		"string": `"\u0001 no date, no number"`, "number": `7.5`, "boolean": `true`, "array": `[[7]]`, "object": `{"a":{"b":7}}`,
		"huge number": `1e999`,
	}
	for name := range all {
		if s.is(name) && s.Format == "" && len(s.Enum) == 0 && name != "array" && name != "object" {
			delete(all, name)
		}
	}
	return all
}

// TestEveryFieldRefusesWrongTypes is generated from the document: each field of each body, and what
// is inside, with each wrong type is a problem that names the field.
func TestEveryFieldRefusesWrongTypes(t *testing.T) {
	s := newSite(t)
	doc := readDocument(t, s)
	tried := 0
	for _, e := range endpoints(t, doc) {
		if e.body == nil {
			continue
		}
		top := doc.resolve(e.op.RequestBody.Content["application/json"].Schema)
		for name, field := range top.Properties {
			at := map[string]schema{name: doc.resolve(field)}
			for inner, f := range doc.resolve(field).Properties {
				at[name+"."+inner] = f
			}
			if field.Items != nil {
				at[name+"[0]"] = *field.Items
			}
			if field.is("object") && field.Ref == "" {
				at[name+".x"] = schema{Type: "string"}
			}
			for path, f := range at {
				for what, value := range wrong(f) {
					tried++
					t.Run(e.method+" "+e.path+" "+path+" "+what, func(t *testing.T) {
						r := s.do(e.method, e.path, e.with(path, value))
						wantProblem(t, r, 422, "validation_failed")
						if fields := r.fields(); !slices.ContainsFunc(fields, func(got string) bool { return strings.HasPrefix(got, path) }) {
							t.Errorf("fields: got %v, want %s", fields, path)
						}
					})
				}
			}
		}
	}
	if tried < 80 {
		t.Errorf("only %d cases were generated", tried)
	}
	if len(s.registry.creds)+len(s.registry.tokens) != 0 {
		t.Error("something was made from a wrong input")
	}
}

// with returns the endpoint's body with a raw value at a path of at most two steps.
func (e endpoint) with(path, raw string) string {
	name, inner, nested := strings.Cut(path, ".")
	if element, ok := strings.CutSuffix(path, "[0]"); ok {
		name, raw = element, "["+raw+"]"
	}
	if nested {
		raw = `{"` + inner + `":` + raw + `}`
	}
	var b bytes.Buffer
	b.WriteString(`{"` + name + `":` + raw)
	for other, v := range e.body {
		if other != name {
			text, _ := json.Marshal(v)
			fmt.Fprintf(&b, `,"%s":%s`, other, text)
		}
	}
	return b.String() + "}"
}

func TestEveryParameterRefusesWrongValues(t *testing.T) {
	s := newSite(t)
	tried := 0
	for _, e := range endpoints(t, readDocument(t, s)) {
		for _, p := range e.op.Parameters {
			if p.In != "query" {
				continue
			}
			values := []string{"a%00b", "%ff", "x&" + p.Name + "=y", "%EF%BF%BD"}
			if !p.Schema.is("string") || p.Schema.Format != "" || len(p.Schema.Enum) > 0 {
				values = append(values, "nonsense", "", "-1", "1.5", "99999999999999999999", "true", "null")
			}
			body := ""
			if e.op.RequestBody != nil && e.op.RequestBody.Required {
				body = "{}"
			}
			for _, v := range values {
				tried++
				t.Run(e.method+" "+e.path+"?"+p.Name+"="+v, func(t *testing.T) {
					r := s.do(e.method, e.path+"?"+p.Name+"="+v, body)
					wantProblem(t, r, 422, "validation_failed")
					if got := r.fields(); !slices.Equal(got, []string{p.Name}) {
						t.Errorf("fields: got %v, want %s", got, p.Name)
					}
				})
			}
		}
	}
	if tried < 50 {
		t.Errorf("only %d cases were generated", tried)
	}
	for _, limit := range []string{"0", "1001"} {
		wantProblem(t, s.do("GET", "/v1/keys?limit="+limit, ""), 422, "validation_failed")
	}
}

// TestHostileInputOnEveryEndpoint sends what no endpoint may take to all of them.
func TestHostileInputOnEveryEndpoint(t *testing.T) {
	s := newSite(t)
	deep := strings.Repeat(`{"name":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	for _, e := range endpoints(t, readDocument(t, s)) {
		taken := e.body != nil
		big := `{"name":"` + strings.Repeat("a", maxBody) + `"}`
		if e.path == importPath {
			big = `{"name":"` + strings.Repeat("a", maxImportBody) + `"}`
		}
		for _, c := range []struct {
			name, query, body string
			headers           []string
			status            int
			code, field       string
			bodiless          int // status where no body is taken
		}{
			{"unknown parameter", "?nonsense=1", "", nil, 422, "validation_failed", "nonsense", 422},
			{"malformed query", "?a=%zz", "", nil, 400, "bad_request", "", 400},
			{"semicolon in query", "?limit=1;limit=2", "", nil, 400, "bad_request", "", 400},
			{"oversize", "", big, nil, 413, "body_too_large", "", 413},
			{"text", "", "hello", nil, 400, "malformed_json", "", 400},
			{"half an object", "", `{"name":`, nil, 400, "malformed_json", "", 400},
			{"trailing data", "", `{} {}`, nil, 400, "malformed_json", "", 400},
			{"trailing comma", "", `{"name":"a",}`, nil, 400, "malformed_json", "", 400},
			{"comment", "", `{/*a*/}`, nil, 400, "malformed_json", "", 400},
			{"byte order mark", "", "\ufeff{}", nil, 400, "malformed_json", "", 400},
			{"not UTF-8", "", "{\"name\":\"\xff\"}", nil, 400, "malformed_json", "", 400},
			{"raw control character", "", "{\"name\":\"\x00\"}", nil, 400, "malformed_json", "", 400},
			{"too deep", "", deep, nil, 400, "malformed_json", "", 400},
			{"NaN", "", `{"name":NaN}`, nil, 400, "malformed_json", "", 400},
			{"only spaces", "", "  ", nil, 400, "malformed_json", "", 400},
			{"list", "", `[]`, nil, 422, "validation_failed", "body", 400},
			{"string", "", `"name"`, nil, 422, "validation_failed", "body", 400},
			{"null", "", `null`, nil, 422, "validation_failed", "body", 400},
			{"unknown field", "", `{"nonsense":1}`, nil, 422, "validation_failed", "nonsense", 400},
			{"field in other case", "", `{"NAME":"a","Reason":"b"}`, nil, 422, "validation_failed", "NAME", 400},
			{"empty field name", "", `{"":1}`, nil, 422, "validation_failed", "body", 400},
			{"repeated field", "", `{"name":"a","name":"b"}`, nil, 422, "validation_failed", "name", 400},
			{"repeated by escape", "", `{"name":"a","\u006eame":"b"}`, nil, 422, "validation_failed", "name", 400},
			{"NUL in a value", "", `{"name":"a\u0000"}`, nil, 422, "validation_failed", "name", 400},
			{"lone surrogate", "", `{"name":"\ud800"}`, nil, 422, "validation_failed", "name", 400},
			{"NUL in a name", "", `{"a\u0000":"b"}`, nil, 422, "validation_failed", "a\x00", 400},
			{"prototype", "", `{"__proto__":{}}`, nil, 422, "validation_failed", "__proto__", 400},
			{"form", "", "name=a", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", "", 400},
			{"plain text", "", "{}", []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", "", 400},
			{"no type", "", "{}", []string{"Content-Type", ""}, 415, "unsupported_media_type", "", 400},
			{"broken type", "", "{}", []string{"Content-Type", "application/json; charset"}, 415, "unsupported_media_type", "", 400},
			{"other charset", "", "{}", []string{"Content-Type", "application/json; charset=utf-16"}, 415, "unsupported_media_type", "", 400},
			{"like JSON", "", "{}", []string{"Content-Type", "application/vnd.api+json"}, 415, "unsupported_media_type", "", 400},
			{"compressed", "", "{}", []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type", "", 400},
		} {
			t.Run(e.method+" "+e.path+" "+c.name, func(t *testing.T) {
				status, code := c.status, c.code
				if !taken && status != c.bodiless {
					status, code = c.bodiless, "bad_request"
				} else if !taken && c.query == "" && status == 400 {
					code = "bad_request"
				}
				r := s.do(e.method, e.path+c.query, c.body, c.headers...)
				wantProblem(t, r, status, code)
				if status == 422 && !slices.Contains(r.fields(), c.field) {
					t.Errorf("fields: got %q, want %q", r.fields(), c.field)
				}
			})
		}
	}
	if len(s.registry.creds)+len(s.registry.tokens) != 0 {
		t.Error("something was made from a wrong input")
	}
}

func TestBodyIsRequiredWhereDocumented(t *testing.T) {
	s := newSite(t)
	wantProblem(t, s.do("POST", "/v1/keys", ""), 400, "malformed_json")
	wantProblem(t, s.do("POST", "/v1/tokens", ""), 400, "malformed_json")
}

func TestMalformedJSONTellsThePlace(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ name, body, place string }{
		{"first line", `{"name" 1}`, "line 1, column 9"},
		{"third line", "{\n\"name\":\n  x}", "line 3, column 3"},
		{"letters of two bytes", `{"é":é}`, "line 1, column 6"},
		{"the end", `{"a":1`, "line 1, column 6"},
		{"after the end", `{} x`, "line 1, column 4"},
		{"broken byte", "{\n\"a\":\"\xff\"}", "line 2, column 6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do("POST", "/v1/keys", c.body)
			wantProblem(t, r, 400, "malformed_json")
			if detail := r.object["detail"].(string); !strings.Contains(detail, c.place) {
				t.Errorf("got %q, want %s", detail, c.place)
			}
		})
	}
}

func TestUnknownNamesSuggestTheNearest(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ name, path, body, field, want string }{
		{"field", "/v1/keys", `{"name":"a","expires_on":"2030-01-01T00:00:00Z"}`, "expires_on", "unknown field; did you mean expires_in?"},
		{"case", "/v1/keys", `{"Name":"a"}`, "Name", "unknown field; did you mean name?"},
		{"inside", "/v1/keys", `{"name":"a","owner":{"type":"user","ids":"u"}}`, "owner.ids", "unknown field; did you mean id?"},
		{"inside near", "/v1/keys", `{"name":"a","owner":{"tpye":"user"}}`, "owner.tpye", "unknown field; did you mean type?"},
		{"far", "/v1/keys", `{"name":"a","flavour":"b"}`, "flavour", "unknown field"},
		{"long", "/v1/keys", `{"name":"a","` + strings.Repeat("y", 5000) + `":"b"}`, strings.Repeat("y", maxFieldName) + "…", "unknown field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do("POST", c.path, c.body)
			wantProblem(t, r, 422, "validation_failed")
			if got := r.message(c.field); got != c.want {
				t.Errorf("got %q, want %q in %s", got, c.want, r.body)
			}
		})
	}
	r := s.do("GET", "/v1/keys?ower=u1", "")
	if got := r.message("ower"); got != "unknown parameter; did you mean owner?" {
		t.Errorf("parameter: got %q", got)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	s := newSite(t)
	var b strings.Builder
	b.WriteString(`{"name":"a"`)
	for i := range 10_000 {
		fmt.Fprintf(&b, `,"x%d":1`, i)
	}
	r := s.do("POST", "/v1/keys", b.String()+"}")
	wantProblem(t, r, 422, "validation_failed")
	if len(r.fields()) != maxFieldErrors || len(r.body) > 16<<10 {
		t.Errorf("got %d fields in %d bytes", len(r.fields()), len(r.body))
	}
}

// TestErrorsCostLittle: what is not shown of many unknown fields is not compared with the known ones.
func TestErrorsCostLittle(t *testing.T) {
	shape := &inputShape{fields: map[string][]string{"": {"apis", "description", "expires_at", "name", "owner", "plan", "scopes"}}}
	cost := func(n int) float64 {
		var errs []error
		for i := range n {
			errs = append(errs, &huma.ErrorDetail{Message: validation.MsgUnexpectedProperty, Location: fmt.Sprintf("body.x%d", i)})
		}
		return testing.AllocsPerRun(1, func() { _ = humaProblem(shape, 422, "", errs) })
	}
	if few, many := cost(maxFieldErrors), cost(100*maxFieldErrors); many > 2*few {
		t.Errorf("%d wrong fields take %.0f allocations, %d take %.0f", maxFieldErrors, few, 100*maxFieldErrors, many)
	}
}

func TestAllWrongFieldsAreNamedAtOnce(t *testing.T) {
	s := newSite(t)
	r := s.do("POST", "/v1/keys", `{"kind":"token","name":7,"apis":["a",2],"metadata":{"k":null},"owner":{"id":"x"},"test":"yes"}`)
	wantProblem(t, r, 422, "validation_failed")
	want := []string{"apis[1]", "kind", "metadata.k", "name", "owner.type", "test"}
	if got := r.fields(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestJSONWithCharsetIsTaken(t *testing.T) {
	s := newSite(t)
	for _, media := range []string{"application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"} {
		if r := s.do("POST", "/v1/keys", `{"name":"ünï \ud83d\ude00"}`, "Content-Type", media); r.status != 201 || r.object["name"] != "ünï 😀" {
			t.Errorf("%s: got %d %s", media, r.status, r.body)
		}
	}
}

// TestBodiesAreReadOnlyForThoseWhoMay sends an endless body without a token: the answer does not
// wait for it.
func TestBodiesAreReadOnlyForThoseWhoMay(t *testing.T) {
	s := newSite(t)
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", address.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/keys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 401 {
		t.Errorf("got %d", response.StatusCode)
	}
}

func TestChunkedOversizeIsRefused(t *testing.T) {
	s := newSite(t)
	r := httptest.NewRequest("POST", "/v1/keys", io.MultiReader(strings.NewReader(`{"name":"`), strings.NewReader(strings.Repeat("a", maxBody))))
	r.ContentLength = -1
	r.Header.Set("Authorization", "Bearer "+operatorText)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	wantProblem(t, read(t, w.Result()), 413, "body_too_large")
}

func TestBodyThatDoesNotArriveIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"connection lost", io.ErrUnexpectedEOF, 400, "bad_request"},
		{"too slow", os.ErrDeadlineExceeded, 408, "request_timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			r := httptest.NewRequest("POST", "/v1/keys", io.MultiReader(strings.NewReader(`{"name":"a"}`), iotest.ErrReader(c.err)))
			r.Header.Set("Authorization", "Bearer "+operatorText)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			wantProblem(t, read(t, w.Result()), c.status, c.code)
			if len(s.registry.creds) != 0 {
				t.Error("a key was made from half a body")
			}
		})
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"name":"a"}`, `{"name":1}`, `{"a":{"b":[1,{"c":null}]}}`, `[]`, "\x00", `{"name":"a","name":"b"}`, `{"owner":{"type":"user"}}`} {
		f.Add(seed)
	}
	registry := newFake()
	handler, err := New(Options{Registry: registry, Fleet: &fakeFleet{}, Health: &fakeHealth{}, Metrics: nilGatherer{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/v1/keys", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+operatorText)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != 201 && (w.Code < 400 || w.Code > 499) {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		if w.Code == 201 && !json.Valid([]byte(body)) {
			t.Errorf("made a key from %q", body)
		}
		clear(registry.creds)
	})
}

var _ Registry = (*keys.Registry)(nil)
