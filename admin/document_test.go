package admin

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// openAPI is what the tests read of the document.
type openAPI struct {
	OpenAPI string `json:"openapi"`
	Info    struct{ Title, Version, Description string }
	Paths   map[string]map[string]operation
	Comp    struct {
		Schemas         map[string]schema
		SecuritySchemes map[string]struct{ Type, Scheme string }
	} `json:"components"`
}

type operation struct {
	OperationID string `json:"operationId"`
	Summary     string
	Description string
	Security    []map[string][]string
	Parameters  []struct {
		Name, In, Description string
		Required              bool
		Schema                schema
	}
	RequestBody *struct {
		Required bool
		Content  map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Description string
		Headers     map[string]any
		Content     map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref         string `json:"$ref"`
	Type        any    // a name, or a list with "null"
	Description string
	Format      string
	Pattern     string
	Enum        []any
	Examples    []any
	Properties  map[string]schema
	Required    []string
	Items       *schema
	OneOf       []schema
	Additional  json.RawMessage `json:"additionalProperties"`
}

func readDocument(t *testing.T, s *site) openAPI {
	t.Helper()
	r := s.do("GET", "/openapi.json", "", "Authorization", "")
	if r.status != 200 || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", r.status, r.header.Get("Content-Type"))
	}
	var doc openAPI
	if err := json.Unmarshal(r.body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// resolve follows a reference.
func (d openAPI) resolve(s schema) schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.Comp.Schemas[name]
	}
	return s
}

func (s schema) is(name string) bool {
	if list, ok := s.Type.([]any); ok {
		return slices.Contains(list, any(name))
	}
	return s.Type == name
}

func TestDocumentListsExactlyTheRouteTable(t *testing.T) {
	s := newSite(t)
	doc := readDocument(t, s)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Version != "1.2.3" || doc.Info.Description == "" {
		t.Errorf("got OpenAPI %s, info %+v", doc.OpenAPI, doc.Info)
	}
	if b := doc.Comp.SecuritySchemes["bearer"]; b.Type != "http" || b.Scheme != "bearer" {
		t.Errorf("security schemes: got %+v", doc.Comp.SecuritySchemes)
	}
	var listed []string
	for path, methods := range doc.Paths {
		for method := range methods {
			listed = append(listed, strings.ToUpper(method)+" "+path)
		}
	}
	srv := s.handler.(*server)
	routes := srv.allRoutes()
	var table []string
	for _, rt := range routes {
		path := strings.TrimSuffix(rt.path, "{$}")
		table = append(table, rt.method+" "+path)
		op := doc.Paths[path][strings.ToLower(rt.method)]
		if op.OperationID != rt.id || op.Summary != rt.summary || !strings.HasPrefix(op.Description, rt.doc) {
			t.Errorf("%s %s: got %+v", rt.method, rt.path, op)
		}
		if got := len(op.Security) > 0; got == rt.access.everyone {
			t.Errorf("%s %s: documented as needing sign-in: %t", rt.method, rt.path, got)
		}
		for _, p := range rt.access.anyOf {
			if !strings.Contains(op.Description, "`"+string(p)+"`") {
				t.Errorf("%s %s: does not name %s", rt.method, rt.path, p)
			}
		}
		if strings.Contains(path, "{id}") != slices.ContainsFunc(op.Parameters, func(p struct {
			Name, In, Description string
			Required              bool
			Schema                schema
		}) bool {
			return p.In == "path" && p.Name == "id" && p.Required
		}) {
			t.Errorf("%s %s: path and parameters disagree", rt.method, rt.path)
		}
	}
	slices.Sort(listed)
	slices.Sort(table)
	if !slices.Equal(listed, table) {
		t.Errorf("document: %v\n   table: %v", listed, table)
	}
}

func TestDocumentExplainsEverything(t *testing.T) {
	doc := readDocument(t, newSite(t))
	for name, s := range doc.Comp.Schemas {
		for field, p := range s.Properties {
			if p.Description == "" {
				t.Errorf("schema %s: field %s has no description", name, field)
			}
		}
		if string(s.Additional) != "false" {
			t.Errorf("schema %s: additionalProperties is %s", name, s.Additional)
		}
		if _, has := s.Properties["$schema"]; has {
			t.Errorf("schema %s: has $schema", name)
		}
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s %s: parameter %s has no description", method, path, p.Name)
				}
			}
			if len(op.Security) == 0 {
				continue
			}
			for _, status := range []string{"400", "401", "403", "422", "429", "500", "503"} {
				r, has := op.Responses[status]
				if !has || r.Content["application/problem+json"].Schema.Ref != "#/components/schemas/Problem" {
					t.Errorf("%s %s: answer %s: got %+v", method, path, status, r)
				}
			}
			if _, has := op.Responses["default"]; has {
				t.Errorf("%s %s: a default answer hides what is not documented", method, path)
			}
		}
	}
	if got := doc.Paths["/v1/keys"]["post"].Responses; got["201"].Description == "" || got["200"].Description != "" {
		t.Errorf("POST /v1/keys: answers %v", got)
	}
	for _, nullable := range []string{"expires_at", "last_used_at"} {
		if f := doc.Comp.Schemas["Key"].Properties[nullable]; !f.is("null") || f.Format != "date-time" {
			t.Errorf("Key.%s: got %+v", nullable, f)
		}
	}
	if f := doc.Comp.Schemas["Key"].Properties["apis"]; f.is("null") {
		t.Error("Key.apis is documented as null")
	}
}

// TestAnswersFollowTheDocument checks real answers against their documented schemas.
func TestAnswersFollowTheDocument(t *testing.T) {
	s := newSite(t)
	doc := readDocument(t, s)
	check := func(method, path, operation string, r reply) {
		t.Helper()
		var status string
		for status = range doc.Paths[operation][method].Responses {
			if status[0] == '2' && status != "202" { // which is as 200

				break
			}
		}
		want := doc.resolve(doc.Paths[operation][method].Responses[status].Content["application/json"].Schema)
		if r.status >= 300 {
			want = doc.Comp.Schemas["Problem"]
		}
		follow(t, doc, method+" "+path, want, r.object)
	}
	check("post", "/v1/keys", "/v1/keys", s.do("POST", "/v1/keys", `{"name":"k","expires_in":"90d","metadata":{"a":"b"}}`))
	check("post", "/v1/keys client", "/v1/keys", s.do("POST", "/v1/keys", `{"name":"k","kind":"client"}`))
	check("post", "/v1/keys wrong", "/v1/keys", s.do("POST", "/v1/keys", `{"nam":"k"}`))
	check("get", "/v1/keys", "/v1/keys", s.do("GET", "/v1/keys", ""))
	check("get", "/v1/keys/{id}", "/v1/keys/{id}", s.do("GET", "/v1/keys/key_000000000001", ""))
	check("get", "/v1/keys/{id}/rollover", "/v1/keys/{id}/rollover", s.do("GET", "/v1/keys/key_000000000001/rollover", ""))
	check("patch", "/v1/keys/{id}", "/v1/keys/{id}", s.do("PATCH", "/v1/keys/key_000000000001", `{"name":"l"}`))
	check("post", "/v1/keys/{id}/suspend", "/v1/keys/{id}/suspend", s.do("POST", "/v1/keys/key_000000000001/suspend", ""))
	check("post", "/v1/keys/{id}/resume", "/v1/keys/{id}/resume", s.do("POST", "/v1/keys/key_000000000001/resume", ""))
	check("post", "/v1/keys/{id}/rotate", "/v1/keys/{id}/rotate", s.do("POST", "/v1/keys/key_000000000001/rotate", ""))
	check("post", "/v1/keys/{id}/reveal", "/v1/keys/{id}/reveal", s.do("POST", "/v1/keys/key_000000000001/reveal", ""))
	check("post", "/v1/keys/revoke", "/v1/keys/revoke", s.do("POST", "/v1/keys/revoke", `{"ids":["key_000000000001","key_x"]}`))
	check("post", "/v1/keys/{id}/revoke", "/v1/keys/{id}/revoke", s.do("POST", "/v1/keys/key_000000000001/revoke", ""))
	check("post", "/v1/tokens", "/v1/tokens", s.do("POST", "/v1/tokens", `{"name":"a","roles":["viewer"]}`))
	check("get", "/v1/tokens", "/v1/tokens", s.do("GET", "/v1/tokens", ""))
	check("post", "/v1/explain", "/v1/explain", s.do("POST", "/v1/explain", `{"path":"/orders/"}`))
	check("post", "/v1/explain wrong", "/v1/explain", s.do("POST", "/v1/explain", `{"path":"orders"}`))
	check("get", "/v1/keys/{id}/limits", "/v1/keys/{id}/limits", s.do("GET", "/v1/keys/key_000000000001/limits", ""))
	check("get", "/readyz", "/readyz", s.do("GET", "/readyz", ""))
	check("get", "/livez", "/livez", s.do("GET", "/livez", ""))
	check("get", "/", "/", s.do("GET", "/", ""))
}

// known counts the fields of an object that the schema knows.
func known(s schema, got any) (n int) {
	object, _ := got.(map[string]any)
	for name := range object {
		if _, is := s.Properties[name]; is {
			n++
		}
	}
	return n
}

// follow reports where a value is not as its schema says.
func follow(t *testing.T, doc openAPI, at string, want schema, got any) {
	t.Helper()
	want = doc.resolve(want)
	for _, one := range want.OneOf {
		// The one that knows most of what there is.
		if one = doc.resolve(one); known(one, got) >= known(want, got) {
			want = one
		}
	}
	kind := map[bool]string{true: "null"}[got == nil]
	switch v := got.(type) {
	case string:
		kind = "string"
		if len(want.Enum) > 0 && !slices.Contains(want.Enum, got) {
			t.Errorf("%s: %q is not one of %v", at, v, want.Enum)
		}
	case float64:
		kind = map[bool]string{true: "integer", false: "number"}[want.is("integer")]
	case bool:
		kind = "boolean"
	case []any:
		kind = "array"
		for _, item := range v {
			follow(t, doc, at+"[]", *want.Items, item)
		}
	case map[string]any:
		kind = "object"
		for _, name := range want.Required {
			if _, has := v[name]; !has {
				t.Errorf("%s: %s is required and missing", at, name)
			}
		}
		for name, value := range v {
			property, known := want.Properties[name]
			if !known && string(want.Additional) == "false" {
				t.Errorf("%s: %s is not documented", at, name)
			} else if known {
				follow(t, doc, at+"."+name, property, value)
			}
		}
	}
	if !want.is(kind) {
		t.Errorf("%s: got %s, documented as %v", at, kind, want.Type)
	}
}

// TestOnlyOneFileKnowsHuma keeps the library replaceable.
func TestOnlyOneFileKnowsHuma(t *testing.T) {
	all, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, file := range all {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") && bytes.Contains(source, []byte("danielgtaylor/huma")) {
			files = append(files, file)
		}
	}
	if !slices.Equal(files, []string{"api.go"}) {
		t.Errorf("got %v", files)
	}
}
