package admin

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
)

// fakeDataPath answers as it is told, and remembers what it was asked.
type fakeDataPath struct {
	asked       keys.Question
	explanation keys.Explanation
	limits      []keys.LimitState
	fail        error
}

func (f *fakeDataPath) Explain(q keys.Question) (keys.Explanation, error) {
	f.asked = q
	return f.explanation, f.fail
}

func (f *fakeDataPath) Limits(keys.CredentialID) ([]keys.LimitState, error) { return f.limits, f.fail }

func TestExplain(t *testing.T) {
	s := newSite(t)
	s.data.explanation = keys.Explanation{
		Decision: keys.Decision{Code: keys.RateLimited, Detail: "Too many.", Hint: "Wait."}, RetryAfter: 1500 * time.Microsecond,
		Route: "orders", Credential: "key_000000000001",
		Steps:  []keys.ExplainedStep{{Name: "guard", Verdict: keys.StepPassed}, {Name: "limits", Verdict: keys.StepRefused, Detail: "Too many."}},
		Limits: []keys.LimitState{{Name: "credential-s", Limit: 2, Window: "s", Used: 3, Retry: 1500 * time.Microsecond, Reset: time.Second}},
	}
	r := s.do("POST", "/v1/explain", `{"key":"key_000000000001","method":"POST","host":"api.example.com","path":"/orders/?a=b","address":"::ffff:192.0.2.1"}`)
	if r.status != 200 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	want := map[string]any{
		"decision": map[string]any{"status": 429.0, "code": "rate_limited", "detail": "Too many.", "hint": "Wait.", "retry_after_ms": 2.0},
		"route":    "orders", "key": "key_000000000001",
		"steps": []any{map[string]any{"name": "guard", "verdict": "passed", "detail": ""}, map[string]any{"name": "limits", "verdict": "refused", "detail": "Too many."}},
		"limits": []any{map[string]any{"name": "credential-s", "route": "", "limit": 2.0, "window": "s", "used": 3.0, "remaining": 0.0,
			"retry_after_ms": 2.0, "reset_ms": 1000.0}},
	}
	if !reflect.DeepEqual(r.object, want) {
		t.Errorf("got %v, want %v", r.object, want)
	}
	if q := s.data.asked; q.Key != "key_000000000001" || q.Method != "POST" || q.Host != "api.example.com" || q.Path != "/orders/?a=b" || q.Address.String() != "192.0.2.1" || q.Tenant != "" {
		t.Errorf("asked %+v", q)
	}
}

func TestExplainOnARouteThatObserves(t *testing.T) {
	s := newSite(t)
	s.data.explanation = keys.Explanation{WouldRefuse: keys.MissingCredentials}
	r := s.do("POST", "/v1/explain", `{"path":"/"}`)
	want := map[string]any{"status": 200.0, "code": "admitted", "would_refuse": map[string]any{"status": 401.0, "code": "missing_credentials"}}
	if !reflect.DeepEqual(r.object["decision"], want) {
		t.Errorf("got %v, want %v", r.object["decision"], want)
	}
	if q := s.data.asked; q.Method != "GET" || q.Host != "localhost" || q.Address.String() != "127.0.0.1" || q.Secret.Reveal() != "" {
		t.Errorf("what is left out: asked %+v", q)
	}
}

func TestExplainWrongQuestions(t *testing.T) {
	const canary = "c4n4ry-secret"
	s := newSite(t)
	for _, tt := range []struct {
		name, body string
		fields     []string
	}{
		{"everything", `{"path":"orders","address":"here","key":"key_000000000001","secret":" ` + canary + `"}`, []string{"address", "path", "secret", "secret"}},
		{"no path", `{}`, []string{"path"}},
		{"key of another form", `{"path":"/","key":"7"}`, []string{"key"}},
		{"secret with a line break", `{"path":"/","secret":"` + canary + `\n"}`, []string{"secret"}},
		{"address with a zone", `{"path":"/","address":"fe80::1%eth0"}`, []string{"address"}},
		{"unknown field", `{"path":"/","metod":"GET"}`, []string{"metod"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := s.do("POST", "/v1/explain", tt.body)
			if r.status != 422 {
				t.Fatalf("got %d %s", r.status, r.body)
			}
			var fields []string
			for _, e := range r.object["errors"].([]any) {
				fields = append(fields, e.(map[string]any)["field"].(string))
			}
			if !reflect.DeepEqual(fields, tt.fields) {
				t.Errorf("got %v, want %v", fields, tt.fields)
			}
			if strings.Contains(string(r.body), canary) {
				t.Errorf("the answer repeats the secret: %s", r.body)
			}
		})
	}
	if strings.Contains(s.log.String(), canary) {
		t.Error("the secret is in the log")
	}
}

// TestExplainAccess: who may ask, and with whose eyes.
func TestExplainAccess(t *testing.T) {
	s := newSite(t)
	if r := s.do("POST", "/v1/explain", `{"path":"/"}`, "Authorization", "Bearer "+developerText); r.status != 403 {
		t.Errorf("without the permission: got %d", r.status)
	}
	s.registry.actors["explainer"] = keys.Actor{ActorRef: keys.ActorRef{Type: keys.ActorToken, ID: "tok_explainer000"}, Tenant: "acme",
		Permissions: keys.PermissionSet{keys.ExplainDecision: {}}}
	if r := s.do("POST", "/v1/explain", `{"path":"/","secret":"s"}`, "Authorization", "Bearer explainer"); r.status != 200 || s.data.asked.Tenant != "acme" {
		t.Errorf("within an organisation: got %d, asked with the eyes of %q", r.status, s.data.asked.Tenant)
	}
	s.data.fail = fmt.Errorf("explain: %w", keys.ErrNotFound)
	if r := s.do("POST", "/v1/explain", `{"path":"/","key":"key_000000000009"}`); r.status != 404 || r.object["code"] != "not_found" {
		t.Errorf("an unknown key: got %d %s", r.status, r.body)
	}
}

func TestKeyLimits(t *testing.T) {
	s := newSite(t)
	s.data.limits = []keys.LimitState{{Name: "route-s", Route: "orders", Limit: 5, Window: "s", Used: 2, Reset: 300 * time.Millisecond}}
	s.do("POST", "/v1/keys", `{"name":"k"}`)
	r := s.do("GET", "/v1/keys/key_000000000001/limits", "")
	want := map[string]any{"limits": []any{map[string]any{"name": "route-s", "route": "orders", "limit": 5.0, "window": "s", "used": 2.0, "remaining": 3.0,
		"retry_after_ms": 0.0, "reset_ms": 300.0}}}
	if r.status != 200 || !reflect.DeepEqual(r.object, want) {
		t.Errorf("got %d %v, want %v", r.status, r.object, want)
	}
	if r := s.do("GET", "/v1/keys/key_000000000001/limits", "", "Authorization", "Bearer "+viewerText); r.status != 404 {
		t.Errorf("another organisation's key: got %d", r.status)
	}
}
