package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"postern/internal/keys"
)

const explainDoc = "Tells how a call would be decided now, step by step, and where the limits that it would be charged against stand. " +
	"It runs the steps of a real request and spends nothing: no limit, no counter, no failed attempt. " +
	"The call is taken to be HTTP/1.1 with a Host and, where the route accepts it, the credential. " +
	"Within an organisation other organisations' keys are unknown, and what is counted by client address is left out."

type explainInput struct{ Body Question }

// Question is the call to be explained.
type Question struct {
	Key     string `json:"key,omitempty" pattern:"^(key|app)_[0-9A-Za-z]{12}$" patternDescription:"the id of a key" doc:"A key's id: as if its text had been shown. Leave it and secret out for a call without a credential." example:"key_7Qd2mXk0aVbR"`
	Secret  string `json:"secret,omitempty" maxLength:"4096" doc:"Instead of key: the text of an API key or a client's secret."`
	Method  string `json:"method,omitempty" maxLength:"64" doc:"The request's method; GET when left out." example:"GET"`
	Host    string `json:"host,omitempty" maxLength:"512" doc:"The request's Host; localhost when left out." example:"api.example.com"`
	Path    string `json:"path" maxLength:"32768" doc:"The path as it is sent, perhaps with a query." example:"/orders/"`
	Address string `json:"address,omitempty" maxLength:"64" doc:"The caller's address, as the gateway sees it; 127.0.0.1 when left out." example:"192.0.2.1"`
}

// Explanation is how a call would be decided.
type Explanation struct {
	Decision Decision        `json:"decision" doc:"What the caller would get."`
	Route    string          `json:"route" doc:"The route that takes the call; empty when there is none." example:"orders"`
	Key      string          `json:"key" doc:"Whose call it would be; empty when nobody's." example:"key_7Qd2mXk0aVbR"`
	Steps    []ExplainedStep `json:"steps" doc:"The steps of the decision, in their order. The first refusal ends it."`
	Limits   []KeyLimit      `json:"limits" doc:"The limits that the call would be charged against, as they stand before it."`
}

// Decision is an answer of the gateway, as far as it decides.
type Decision struct {
	Status       int          `json:"status" doc:"The HTTP status; 200 stands for whatever the API behind answers." example:"429"`
	Code         string       `json:"code" doc:"Why it is refused, or admitted." example:"rate_limited"`
	Detail       string       `json:"detail,omitempty" doc:"What is wrong, in one sentence." example:"Too many calls in a short time."`
	Hint         string       `json:"hint,omitempty" doc:"The caller's next step." example:"Wait as long as Retry-After says."`
	RetryAfterMS int64        `json:"retry_after_ms,omitempty" doc:"How long to wait, for what frees by itself." example:"740"`
	WouldRefuse  *WouldRefuse `json:"would_refuse,omitempty" doc:"Only on a route that observes: the refusal that would be, if it enforced. The call passes."`
}

// WouldRefuse is a refusal that is not made.
type WouldRefuse struct {
	Status int    `json:"status" doc:"The HTTP status that it would have." example:"401"`
	Code   string `json:"code" doc:"Why." example:"missing_credentials"`
}

// ExplainedStep is one step of a decision.
type ExplainedStep struct {
	Name    string `json:"name" enum:"guard,route,preflight,body,credential,authenticate,address,scopes,limits" doc:"Which one." example:"scopes"`
	Verdict string `json:"verdict" enum:"passed,refused,skipped,not reached" doc:"What it says: skipped where the route does not ask for it, not reached after a refusal." example:"passed"`
	Detail  string `json:"detail" doc:"What it found; may be empty." example:"GET needs orders.read."`
}

type explainOutput struct{ Body Explanation }

func (s *server) explain(_ context.Context, a keys.Actor, in *explainInput) (*explainOutput, error) {
	q, err := in.Body.question()
	if err != nil {
		return nil, err
	}
	if q, err = s.Registry.MayExplain(a, q); err != nil {
		return nil, err
	}
	e, err := s.DataPath.Explain(q)
	if err != nil {
		return nil, unknownKey(in.Body.Key, err)
	}
	return &explainOutput{Body: makeExplanation(e)}, nil
}

// question checks what can be wrong with a question itself. What is odd about the call is for the
// explanation to tell.
func (b *Question) question() (keys.Question, error) {
	var wrong []keys.FieldError
	add := func(field, message string) { wrong = append(wrong, keys.FieldError{Field: field, Message: message}) }
	address, err := netip.ParseAddr(cmp.Or(b.Address, "127.0.0.1"))
	if err != nil || address.Zone() != "" {
		add("address", "is no IP address, such as 192.0.2.1 or 2001:db8::1")
	}
	if !strings.HasPrefix(b.Path, "/") {
		add("path", "does not start with /; give the path alone, and the host as host")
	}
	if b.Secret != "" && b.Key != "" {
		add("secret", "is given beside key; give one of them")
	}
	if strings.ContainsFunc(b.Secret, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.Trim(b.Secret, " ") != b.Secret {
		add("secret", "has spaces around it or control characters in it, which no header can carry")
	}
	if len(wrong) > 0 {
		return keys.Question{}, &problem{code: keys.ValidationFailed, detail: "The question has wrong fields.", fields: wrong}
	}
	return keys.Question{
		Key: keys.CredentialID(b.Key), Secret: keys.NewSecret(b.Secret), Method: cmp.Or(b.Method, "GET"),
		Host: cmp.Or(b.Host, "localhost"), Path: b.Path, Address: address.Unmap(),
	}, nil
}

// unknownKey says so where the data path knows no key of that id.
func unknownKey(id string, err error) error {
	if errors.Is(err, keys.ErrNotFound) {
		return &problem{code: keys.NotFoundHere, detail: fmt.Sprintf("There is no key %q.", id)}
	}
	return err
}

func makeExplanation(e keys.Explanation) Explanation {
	out := Explanation{
		Decision: Decision{Status: e.Code.Status(), Code: codeText(e.Code), Detail: e.Detail, Hint: e.Hint, RetryAfterMS: milliseconds(e.RetryAfter)},
		Route:    e.Route,
		Key:      string(e.Credential),
		Steps:    make([]ExplainedStep, len(e.Steps)),
		Limits:   makeLimits(e.Limits),
	}
	if e.WouldRefuse != "" {
		out.Decision.WouldRefuse = &WouldRefuse{Status: e.WouldRefuse.Status(), Code: string(e.WouldRefuse)}
	}
	for i, step := range e.Steps {
		out.Steps[i] = ExplainedStep{Name: step.Name, Verdict: string(step.Verdict), Detail: step.Detail}
	}
	return out
}

// codeText names a decision as metrics do.
func codeText(c keys.Code) string { return cmp.Or(string(c), "admitted") }
