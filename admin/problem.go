package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"postern/internal/keys"
)

// This file is the one place where an ending becomes HTTP. People see a code, a sentence and a next
// step; the cause of what we could not find out goes to the log alone.

// Codes of this listener beside those of the domain.
const (
	malformedJSON    keys.RefusalCode = "malformed_json"
	badRequest       keys.RefusalCode = "bad_request"
	crossOrigin      keys.RefusalCode = "cross_origin"
	notFound                          = keys.NotFoundHere
	methodNotAllowed keys.RefusalCode = "method_not_allowed"
	requestTimeout   keys.RefusalCode = "request_timeout"
	tooLarge         keys.RefusalCode = "body_too_large"
	unsupportedMedia keys.RefusalCode = "unsupported_media_type"
	tooManyFailures                   = keys.TooManyFailuresHere
	internalError    keys.RefusalCode = "internal_error"
)

// kind is what is fixed about a code.
type kind struct {
	code   keys.RefusalCode
	status int
	title  string
	hint   string // where the refusal brings none
}

// kindOf returns a code's status and title; those of internal_error for a code it does not know,
// so that a new refusal is never answered 200.
func kindOf(code keys.RefusalCode) kind {
	all := kinds()
	for _, k := range all {
		if k.code == code {
			return k
		}
	}
	return all[len(all)-1]
}

// kinds lists every code, internal_error last.
func kinds() []kind {
	return []kind{
		{malformedJSON, http.StatusBadRequest, "Not JSON", "Send one JSON object in UTF-8."},
		{badRequest, http.StatusBadRequest, "Bad request", ""},
		{keys.SignInRequired, http.StatusUnauthorized, "Sign-in required", "Send Authorization: Bearer <admin token>; postern tokens create makes one."},
		{keys.PermissionDenied, http.StatusForbidden, "Permission denied", "Ask an administrator for a role that has the permission."},
		{keys.KeysDisabledHere, http.StatusForbidden, "Keys are switched off", ""},
		{keys.PlanNotEligibleHere, http.StatusForbidden, "Plan without keys", ""},
		{keys.RoleRequired, http.StatusForbidden, "Role required", ""},
		{keys.SelfOnly, http.StatusForbidden, "For its owner alone", ""},
		{keys.ReauthRequired, http.StatusForbidden, "Prove who you are", "Send POST /v1/session/confirm with your password, then ask again."},
		{crossOrigin, http.StatusForbidden, "Cross-origin request", ""},
		{notFound, http.StatusNotFound, "Not found", ""},
		{methodNotAllowed, http.StatusMethodNotAllowed, "Method not allowed", ""},
		{requestTimeout, http.StatusRequestTimeout, "Request too slow", ""},
		{keys.MaxKeysReached, http.StatusConflict, "Maximum number of keys reached", ""},
		{keys.InvalidState, http.StatusConflict, "Not possible in this state", ""},
		{keys.ManagedElsewhere, http.StatusConflict, "Managed elsewhere", ""},
		{keys.IdempotencyMismatch, http.StatusConflict, "Another request had this key", ""},
		{keys.VersionConflict, http.StatusPreconditionFailed, "Changed meanwhile", "Read it again and repeat the change."},
		{tooLarge, http.StatusRequestEntityTooLarge, "Body too large", ""},
		{unsupportedMedia, http.StatusUnsupportedMediaType, "Unsupported media type", "Send Content-Type: application/json."},
		{keys.ValidationFailed, http.StatusUnprocessableEntity, "Validation failed", ""},
		{tooManyFailures, http.StatusTooManyRequests, "Too many failures", "Correct the token; a correct one is never held up."},
		{keys.StoreUnavailableHere, http.StatusServiceUnavailable, "Store unavailable", "Try again shortly; keys keep working meanwhile."},
		{keys.StorageFullHere, http.StatusInsufficientStorage, "Storage full", "Nothing was changed. Free space where the database lives."},
		{internalError, http.StatusInternalServerError, "Internal error", "Give the request_id to whoever runs this gateway; the cause is in its log."},
	}
}

// problem is an answer other than the one asked for, before it meets a request.
type problem struct {
	code       keys.RefusalCode
	detail     string
	hint       string
	fields     []keys.FieldError
	scope      string
	limit      int // for max_keys_reached
	where      string
	retryAfter int // seconds, 0 for none
}

func (p *problem) Error() string { return string(p.code) + ": " + p.detail }

// invalid is a validation_failed about one field.
func invalid(field, message string) *problem {
	return &problem{code: keys.ValidationFailed, detail: "The request has a wrong field.",
		fields: []keys.FieldError{{Field: field, Message: message}}}
}

// Problem is an error answer, RFC 9457 with members of our own.
type Problem struct {
	Type      string         `json:"type" format:"uri" doc:"Identifies the kind of problem: urn:postern:problem: and the code." example:"urn:postern:problem:not_found"`
	Title     string         `json:"title" doc:"What the code means, in a few words." example:"Not found"`
	Status    int            `json:"status" doc:"The HTTP status, again." example:"404"`
	Detail    string         `json:"detail" doc:"What is wrong with this request, in one sentence." example:"There is no key with this id."`
	Instance  string         `json:"instance" format:"uri" doc:"Identifies this occurrence." example:"urn:uuid:0199c7a2-5f7e-7cc0-8f4e-6b1c2d3e4f50"`
	Code      string         `json:"code" doc:"The machine-readable name of the problem." example:"not_found"`
	RequestID string         `json:"request_id" doc:"As in X-Request-Id and in the log." example:"0199c7a2-5f7e-7cc0-8f4e-6b1c2d3e4f50"`
	Hint      string         `json:"hint,omitempty" doc:"The next step."`
	Errors    []FieldProblem `json:"errors,omitempty" doc:"Every wrong field, for validation_failed; at most 50."`
	Scope     string         `json:"scope,omitempty" doc:"Whose maximum is reached, for max_keys_reached: tenant or user." example:"tenant"`
	Limit     *int           `json:"limit,omitempty" doc:"The maximum, for max_keys_reached." example:"5"`
	Where     string         `json:"where,omitempty" doc:"File and line where it is managed, for managed_elsewhere." example:"gateway.yaml:41"`
	Contact   *Contact       `json:"contact,omitempty" doc:"Who can help, where the configuration names somebody."`

	header http.Header
}

// FieldProblem is one wrong field.
type FieldProblem struct {
	Field   string `json:"field" doc:"JSON path of the field, or name of the parameter." example:"allowed_ips[1]"`
	Message string `json:"message" doc:"What is wrong with it." example:"is no address or prefix"`
}

// Contact is who can help.
type Contact struct {
	Text string `json:"text,omitempty" doc:"Words for people." example:"Ask the platform team"`
	URL  string `json:"url,omitempty" format:"uri" doc:"Where to turn to." example:"https://portal.example.com/"`
}

// Error returns the code and the detail. With GetStatus, GetHeaders and ContentType it lets huma
// send a Problem as an answer.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns what the answer carries besides, such as Retry-After.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType returns the media type of RFC 9457, section 3.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// answer turns an ending into the problem that the caller of this request sees.
func answer(ctx context.Context, err error) *Problem {
	c := callOf(ctx)
	p := classify(err)
	k := kindOf(p.code)
	if k.status >= http.StatusInternalServerError && c.cause == nil {
		c.cause = err
	}
	out := &Problem{
		Type:      "urn:postern:problem:" + string(k.code),
		Title:     k.title,
		Status:    k.status,
		Detail:    p.detail,
		Instance:  "urn:uuid:" + c.id,
		Code:      string(k.code),
		RequestID: c.id,
		Hint:      p.hint,
		Scope:     p.scope,
		Where:     p.where,
		header:    http.Header{},
	}
	if out.Detail == "" {
		out.Detail = k.title + "."
	}
	if out.Hint == "" {
		out.Hint = k.hint
	}
	for i, f := range p.fields {
		if i == maxFieldErrors {
			break
		}
		out.Errors = append(out.Errors, FieldProblem{Field: shorten(f.Field), Message: f.Message})
	}
	if k.code == keys.MaxKeysReached {
		out.Limit = &p.limit
	}
	if c.contact.Text != "" || c.contact.URL != nil {
		out.Contact = &Contact{Text: c.contact.Text}
		if c.contact.URL != nil {
			out.Contact.URL = c.contact.URL.String()
		}
	}
	switch k.status {
	case http.StatusUnauthorized:
		// RFC 6750, section 3: the scheme is followed by at least one parameter.
		out.header.Set("WWW-Authenticate", `Bearer realm="postern"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		out.header.Set("Retry-After", strconv.Itoa(max(p.retryAfter, 1)))
	}
	return out
}

// classify finds what an error means to the caller. What it does not know is internal_error.
func classify(err error) *problem {
	var p *problem
	var r *keys.Refusal
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &r):
		return &problem{code: r.Code, detail: r.Detail, hint: r.Hint, fields: r.Fields, scope: r.Scope, limit: r.Limit, where: r.Where,
			retryAfter: seconds(r.RetryAfter)}
	case errors.Is(err, keys.ErrBadCursor):
		return invalid("cursor", "is not a cursor from a previous page of this list")
	case errors.Is(err, keys.ErrNotFound):
		return &problem{code: notFound}
	case errors.Is(err, keys.ErrConflict):
		return &problem{code: keys.VersionConflict}
	case errors.Is(err, keys.ErrStorageFull):
		return &problem{code: keys.StorageFullHere, detail: "The disk is full."}
	case errors.Is(err, keys.ErrStoreUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{code: keys.StoreUnavailableHere, detail: "The database cannot be reached."}
	default:
		return &problem{code: internalError, detail: "Something went wrong here."}
	}
}

// writeProblem answers a request that no typed handler answers.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := answer(r.Context(), err)
	for name, values := range p.header {
		w.Header()[name] = values
	}
	writeJSON(w, p.Status, p.ContentType(""), p)
}

// writeJSON sends v. An error means that the client is gone, which nobody can be told.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
