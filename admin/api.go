package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/validation"

	"postern/internal/keys"
)

// This file is the only one that knows huma, which decodes inputs, checks them against the schema
// of their Go type, and writes the OpenAPI document from those same types. What it leaves open
// (duplicate keys, trailing data, broken text, sizes) input.go settles before it runs.

// setHumaGlobals sets huma's package variables, once for the process: there is no other way to make
// its own error answers ours, to refuse {"Name": …} where the field is name, and to document lists
// as never null. Nothing else in the program uses huma.
var setHumaGlobals = sync.OnceFunc(func() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return answer(context.Background(), humaProblem(nil, status, message, errs))
	}
	huma.NewErrorWithContext = func(hc huma.Context, status int, message string, errs ...error) huma.StatusError {
		ctx := hc.Context()
		return answer(ctx, humaProblem(callOf(ctx).input, status, message, errs))
	}
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
})

// mount puts the routes on the server's mux and returns the OpenAPI document of exactly these. It
// fails for a row that does not say who may call it.
func mount(s *server, routes []route) ([]byte, error) {
	setHumaGlobals()
	b := &builder{server: s, api: humago.New(s.mux, humaConfig(s.Version))}
	b.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	for _, rt := range routes {
		if err := rt.complete(); err != nil {
			return nil, err
		}
		rt.mount(b, rt)
	}
	publishExpression(b.api.OpenAPI(), s.KeyExpression)
	document, err := json.Marshal(b.api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("write OpenAPI document: %w", err)
	}
	return document, nil
}

func humaConfig(version string) huma.Config {
	c := huma.DefaultConfig("Postern admin API", version)
	c.Info.Description = "Issue, list and end API keys, client credentials and admin tokens. " +
		"Times are RFC 3339 in UTC. Unknown fields and parameters are refused. " +
		"Every answer carries X-Request-Id; every error is an application/problem+json object with a code."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "A person's session, as opened by POST /v1/session."},
		"bearer":  {Type: "http", Scheme: "bearer", Description: "An admin token, as made by POST /v1/tokens or postern tokens create."},
	}
	c.CreateHooks = nil // they would add $schema to every answer
	c.DocsPath = ""     // its page loads scripts from a CDN
	c.OpenAPIPath = ""  // served by a row of our own table
	c.SchemasPath = ""
	return c
}

// publishExpression says in the description of a new key's secret what API keys look like, where
// people who set up a leak scanner find it.
func publishExpression(doc *huma.OpenAPI, expression string) {
	created := doc.Components.Schemas.Map()["CreatedKey"]
	if created == nil || expression == "" {
		return
	}
	secret := created.Properties["secret"]
	secret.Description += " For leak scanners: an API key made here matches " + expression
}

// builder collects what mounting a route needs.
type builder struct {
	server *server
	api    huma.API
}

// operation is the part of a row that huma needs.
func (rt route) operation() huma.Operation {
	op := huma.Operation{
		OperationID: rt.id, Method: rt.method, Path: strings.TrimSuffix(rt.path, "{$}"),
		Summary: rt.summary, Description: rt.doc,
		// The body has been read by then, so huma's own cap and deadline are off.
		MaxBodyBytes: -1, BodyReadTimeout: -1,
	}
	if !rt.access.everyone {
		op.Security = []map[string][]string{{"bearer": {}}, {"session": {}}}
	}
	if len(rt.access.anyOf) > 0 {
		op.Description += "\n\nNeeds `" + strings.Join(texts(rt.access.anyOf), "` or `") + "`."
	}
	return op
}

// act mounts a handler behind sign-in, permission and input checks; it answers 200, or 204 when its
// output has no Body. create is the same for handlers that answer 201.
func act[I, O any](h func(context.Context, keys.Actor, *I) (*O, error)) mounter { return typed(0, h) }

func create[I, O any](h func(context.Context, keys.Actor, *I) (*O, error)) mounter {
	return typed(http.StatusCreated, h)
}

func typed[I, O any](status int, h func(context.Context, keys.Actor, *I) (*O, error)) mounter {
	return func(b *builder, rt route) {
		var shape inputShape // known after Register, used by requests only
		op := rt.operation()
		op.DefaultStatus = status
		op.Middlewares = huma.Middlewares{func(hc huma.Context, next func(huma.Context)) {
			r, w := humago.Unwrap(hc)
			callOf(r.Context()).input = &shape
			if err := b.server.admit(w, r, rt.access, &shape); err != nil {
				writeProblem(w, r, err)
				return
			}
			next(hc)
		}}
		huma.Register(b.api, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := h(ctx, callOf(ctx).actor, in)
			if err != nil {
				return nil, answer(ctx, err)
			}
			return out, nil
		})
		registered := findOperation(b.api.OpenAPI(), op.Method, op.Path)
		shape = shapeOf(registered, b.api.OpenAPI().Components.Schemas)
		documentAnswers(registered)
	}
}

// stream mounts a handler like act; its answer is sent as it is made, in one of the given types.
func stream[I any](h func(context.Context, keys.Actor, *I) (*download, error), types ...string) mounter {
	typed := typed(0, func(ctx context.Context, a keys.Actor, in *I) (*huma.StreamResponse, error) {
		d, err := h(ctx, a, in)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			r, w := humago.Unwrap(hc)
			d.send(r.Context(), w)
		}}, nil
	})
	return func(b *builder, rt route) {
		typed(b, rt)
		op := findOperation(b.api.OpenAPI(), rt.method, rt.path)
		content := map[string]*huma.MediaType{}
		for _, t := range types {
			content[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		}
		op.Responses["200"] = &huma.Response{Description: http.StatusText(http.StatusOK), Content: content}
	}
}

// plain mounts a handler that anybody may call and that reads no input, and documents its answers
// by status: a Go value of the type that is sent, or a media type alone.
func plain(h http.HandlerFunc, answers map[int]any) mounter {
	return func(b *builder, rt route) {
		op := rt.operation()
		op.Responses = map[string]*huma.Response{}
		for status, example := range answers {
			media := &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
			contentType, isText := example.(string)
			if !isText {
				contentType = "application/json"
				media.Schema = b.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(example), true, "")
			}
			op.Responses[strconv.Itoa(status)] = &huma.Response{
				Description: http.StatusText(status),
				Content:     map[string]*huma.MediaType{contentType: media},
			}
		}
		b.api.OpenAPI().AddOperation(&op)
		b.server.mux.HandleFunc(rt.method+" "+rt.path, h)
	}
}

// documentAnswers lists the error answers that an operation of this shape can give.
func documentAnswers(op *huma.Operation) {
	delete(op.Responses, "default")
	for _, p := range op.Parameters {
		if p.Name == "wait" {
			op.Responses["202"] = &huma.Response{
				Description: "Accepted: the change is made, and not known to be in effect everywhere", Content: op.Responses["200"].Content,
			}
		}
	}
	statuses := []int{400, 401, 403, 422, 429, 500, 503}
	if op.RequestBody != nil {
		statuses = append(statuses, 408, 413, 415)
	}
	if op.Method != http.MethodGet {
		statuses = append(statuses, 409, 507)
	}
	for _, p := range op.Parameters {
		if p.In == "path" {
			statuses = append(statuses, 404)
		}
		if p.Name == "If-Match" {
			statuses = append(statuses, 412)
		}
	}
	for _, status := range statuses {
		var codes []string
		for _, k := range kinds() {
			if k.status == status {
				codes = append(codes, "`"+string(k.code)+"`")
			}
		}
		headers := map[string]*huma.Param{}
		switch status {
		case http.StatusUnauthorized:
			headers["WWW-Authenticate"] = &huma.Param{Description: "How to sign in.", Schema: &huma.Schema{Type: "string"}}
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			headers["Retry-After"] = &huma.Param{Description: "Whole seconds to wait.", Schema: &huma.Schema{Type: "integer"}}
		}
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status) + ": " + strings.Join(codes, ", "),
			Headers:     headers,
			Content: map[string]*huma.MediaType{"application/problem+json": {
				Schema: &huma.Schema{Ref: "#/components/schemas/Problem"},
			}},
		}
	}
}

func findOperation(doc *huma.OpenAPI, method, path string) *huma.Operation {
	item := doc.Paths[path]
	return map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
		http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}[method]
}

// shapeOf reads an operation's documented input.
func shapeOf(op *huma.Operation, schemas huma.Registry) inputShape {
	shape := inputShape{query: map[string]bool{}, fields: map[string][]string{}}
	for _, p := range op.Parameters {
		if p.In == "query" {
			shape.query[p.Name] = p.Schema.Type == huma.TypeString && p.Schema.Enum == nil && p.Schema.Format == "" && p.Schema.Pattern == ""
		}
	}
	if op.RequestBody != nil {
		shape.body, shape.bodyRequired = true, op.RequestBody.Required
		shape.collect("", op.RequestBody.Content["application/json"].Schema, schemas)
	}
	return shape
}

// collect notes the field names of the object at a path and of objects inside it; those in lists
// under path[]. None of our types holds itself.
func (shape *inputShape) collect(at string, s *huma.Schema, schemas huma.Registry) {
	for s.Ref != "" {
		s = schemas.SchemaFromRef(s.Ref)
	}
	for name, property := range s.Properties {
		shape.fields[at] = append(shape.fields[at], name)
		shape.collect(join(at, name), property, schemas)
		if property.Items != nil {
			shape.collect(join(at, name)+"[]", property.Items, schemas)
		}
	}
	slices.Sort(shape.fields[at])
}

// wrongTime is how huma begins to say that a parameter is no time; it goes on with Go's own way of
// writing the form down.
const wrongTime = "invalid date/time for format "

// humaProblem says in our words what huma found wrong. shape may be nil.
func humaProblem(shape *inputShape, status int, message string, errs []error) error {
	var fields []keys.FieldError
	inPath := false
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	for _, err := range errs {
		detailer, ok := err.(huma.ErrorDetailer)
		if !ok {
			continue
		}
		d := detailer.ErrorDetail()
		place, field, _ := strings.Cut(d.Location, ".")
		inPath = inPath || place == "path"
		text := d.Message
		if name, ok := strings.CutPrefix(text, before); ok {
			name, _ = strings.CutSuffix(name, after)
			field, text = join(field, name), "is required"
		}
		if text == validation.MsgExpectedMatchExactlyOneSchema {
			text = capForm
		}
		if strings.HasPrefix(text, wrongTime) {
			text = "is no RFC 3339 time, such as 2027-01-31T12:00:00Z"
		}
		if field == "" {
			field = place
		}
		fields = append(fields, keys.FieldError{Field: field, Message: text})
	}
	// huma walks maps, in whatever order.
	slices.SortStableFunc(fields, func(a, b keys.FieldError) int { return strings.Compare(a.Field, b.Field) })
	for i := range fields[:min(len(fields), maxFieldErrors)] { // no more are shown, and each is compared with all there are
		if f := &fields[i]; f.Message == validation.MsgUnexpectedProperty {
			f.Message = shape.unknownField(f.Field)
		}
	}
	switch {
	case inPath:
		return &problem{code: notFound, detail: "Nothing has this id.", fields: fields}
	case len(fields) > 0 && status < http.StatusInternalServerError:
		return &problem{code: keys.ValidationFailed, detail: "The request has wrong fields.", fields: fields}
	case status == http.StatusBadRequest:
		return &problem{code: badRequest, detail: message}
	default:
		return fmt.Errorf("huma: %s: %w", message, errors.Join(errs...))
	}
}

// Maybe is an optional field that tells an absent one from null, as a merge needs it (RFC 7396).
type Maybe[T any] struct {
	Set   bool // the field was there
	Null  bool // and was null
	Value T
}

// UnmarshalJSON reads null, or a value.
func (m *Maybe[T]) UnmarshalJSON(b []byte) error {
	m.Set = true
	if m.Null = string(b) == "null"; m.Null {
		return nil
	}
	return json.Unmarshal(b, &m.Value)
}

// Schema documents it.
func (m Maybe[T]) Schema(r huma.Registry) *huma.Schema {
	s := *huma.SchemaFromType(r, reflect.TypeFor[T]())
	s.Nullable = true
	return &s
}

// pointer is the value, where null stands for the zero one; nil when the field was not there.
func (m Maybe[T]) pointer() *T {
	if !m.Set {
		return nil
	}
	return &m.Value
}

// Cap is a number of keys, 1 to 1000, or the word unlimited.
type Cap int

// capForm is what to say of anything else. It is the only schema of ours with alternatives.
const capForm = "must be a number from 1 to 1000, or unlimited"

// MarshalJSON writes the number, or unlimited.
func (c Cap) MarshalJSON() ([]byte, error) {
	if c == keys.Unlimited {
		return []byte(`"unlimited"`), nil
	}
	return json.Marshal(int(c))
}

// UnmarshalJSON reads the number, or unlimited.
func (c *Cap) UnmarshalJSON(b []byte) error {
	if string(b) == `"unlimited"` {
		*c = keys.Unlimited
		return nil
	}
	return json.Unmarshal(b, (*int)(c))
}

// Schema documents it.
func (Cap) Schema(huma.Registry) *huma.Schema {
	least, most := 1.0, 1000.0
	s := &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeInteger, Minimum: &least, Maximum: &most}, {Type: huma.TypeString, Enum: []any{"unlimited"}},
	}}
	for _, one := range s.OneOf {
		one.PrecomputeMessages()
	}
	return s
}

// Either is an answer that is one of two objects. Exactly one pointer is set.
type Either[T, U any] struct {
	One   *T
	Other *U
}

// MarshalJSON writes the one that is set.
func (e Either[T, U]) MarshalJSON() ([]byte, error) {
	if e.One != nil {
		return json.Marshal(e.One)
	}
	return json.Marshal(e.Other)
}

// Schema documents both.
func (Either[T, U]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{r.Schema(reflect.TypeFor[T](), true, ""), r.Schema(reflect.TypeFor[U](), true, "")}}
}
