package admin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func TestEditKeyTellsAbsentFromNull(t *testing.T) {
	a := "a"
	for _, c := range []struct {
		name, body string
		want       keys.CredentialEdit
	}{
		{"nothing", `{}`, keys.CredentialEdit{}},
		{"values", `{"name":"n","description":"d","plan":"p","apis":["a"],"scopes":["s"],"application_type":"public","redirect_uris":["https://r/"],
			"allowed_ips":["10.0.0.0/8"],"metadata":{"x":"a","y":null},"expires_in":"90d"}`, keys.CredentialEdit{
			Name: keys.Edited[string]{Set: true, Value: "n"}, Description: keys.Edited[string]{Set: true, Value: "d"}, Plan: keys.Edited[keys.PlanName]{Set: true, Value: "p"},
			APIs: keys.Edited[[]keys.APIName]{Set: true, Value: []keys.APIName{"a"}}, Scopes: keys.Edited[[]keys.Scope]{Set: true, Value: []keys.Scope{"s"}},
			ApplicationType: keys.Edited[string]{Set: true, Value: "public"}, RedirectURIs: keys.Edited[[]string]{Set: true, Value: []string{"https://r/"}},
			AllowedIPs: keys.Edited[[]string]{Set: true, Value: []string{"10.0.0.0/8"}},
			Metadata:   keys.Edited[map[string]*string]{Set: true, Value: map[string]*string{"x": &a, "y": nil}},
			Expiry:     keys.Edited[keys.Lifetime]{Set: true, Value: keys.Lifetime{For: 90 * 24 * time.Hour}},
		}},
		{"nulls", `{"name":null,"description":null,"plan":null,"apis":null,"scopes":null,"application_type":null,"redirect_uris":null,"allowed_ips":null,"metadata":null,"expires_at":null}`,
			keys.CredentialEdit{
				Name: keys.Edited[string]{Set: true}, Description: keys.Edited[string]{Set: true}, Plan: keys.Edited[keys.PlanName]{Set: true},
				APIs: keys.Edited[[]keys.APIName]{Set: true}, Scopes: keys.Edited[[]keys.Scope]{Set: true}, ApplicationType: keys.Edited[string]{Set: true},
				RedirectURIs: keys.Edited[[]string]{Set: true}, AllowedIPs: keys.Edited[[]string]{Set: true}, Metadata: keys.Edited[map[string]*string]{Set: true},
				Expiry: keys.Edited[keys.Lifetime]{Set: true},
			}},
		{"a time", `{"expires_at":"2030-01-01T00:00:00Z"}`, keys.CredentialEdit{
			Expiry: keys.Edited[keys.Lifetime]{Set: true, Value: keys.Lifetime{Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.do("POST", "/v1/keys", `{"name":"k"}`)
			r := s.do("PATCH", "/v1/keys/key_000000000001", c.body, "Content-Type", "application/merge-patch+json")
			if r.status != 200 || r.header.Get("ETag") != `"2"` {
				t.Fatalf("got %d %s", r.status, r.body)
			}
			if got := sorted(r.object); !slices.Equal(got, keyFields) {
				t.Errorf("members: got %v", got)
			}
			if diff := cmp.Diff(c.want, s.registry.edit, cmp.Transformer("empty", func(l []keys.APIName) []keys.APIName { return append([]keys.APIName{}, l...) }),
				cmp.Transformer("empty", func(l []keys.Scope) []keys.Scope { return append([]keys.Scope{}, l...) })); diff != "" {
				t.Errorf("edit (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEditKeyRefusals(t *testing.T) {
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		code       string
		fields     string
	}{
		{"unknown field", `{"nme":"n"}`, nil, 422, "validation_failed", "nme"},
		{"what cannot be changed", `{"id":"x","secret":"x","owner":{},"tenant":"t","kind":"client","status":"active","version":1}`, nil, 422, "validation_failed",
			"id kind owner secret status tenant version"},
		{"wrong types", `{"name":7,"apis":"a","metadata":{"a":1},"allowed_ips":[null]}`, nil, 422, "validation_failed", "allowed_ips[0] apis metadata.a name"},
		{"two ends", `{"expires_at":null,"expires_in":"90d"}`, nil, 422, "validation_failed", "expires_in"},
		{"no end", `{"expires_in":"soon"}`, nil, 422, "validation_failed", "expires_in"},
		{"no body", ``, nil, 400, "malformed_json", ""},
		{"repeated", `{"name":"a","name":"b"}`, nil, 422, "validation_failed", "name"},
		{"another version", `{"name":"a"}`, []string{"If-Match", `"7"`}, 412, "version_conflict", ""},
		{"a list of operations", `[{"op":"remove"}]`, []string{"Content-Type", "application/json-patch+json"}, 415, "unsupported_media_type", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.do("POST", "/v1/keys", `{"name":"k"}`)
			r := s.do("PATCH", "/v1/keys/key_000000000001", c.body, c.headers...)
			wantProblem(t, r, c.status, c.code)
			if got := strings.Join(r.fields(), " "); got != c.fields {
				t.Errorf("fields: got %q, want %q", got, c.fields)
			}
			if s.registry.creds["key_000000000001"].Version != 1 {
				t.Error("something was changed")
			}
		})
	}
	s := newSite(t)
	wantProblem(t, s.do("POST", "/v1/keys", `{"name":"a"}`, "Content-Type", "application/merge-patch+json"), 415, "unsupported_media_type")
	s.registry.creds["key_00000000000Z"] = keys.Credential{ID: "key_00000000000Z", ManagedBy: "gateway.yaml:41", Version: 1}
	r := s.do("PATCH", "/v1/keys/key_00000000000Z", `{}`)
	wantProblem(t, r, 409, "managed_elsewhere")
	if r.object["where"] != "gateway.yaml:41" {
		t.Errorf("where: %v", r.object["where"])
	}
}

func TestDeleteKey(t *testing.T) {
	s := newSite(t)
	s.do("POST", "/v1/keys", `{"name":"k"}`)
	wantProblem(t, s.do("DELETE", "/v1/keys/key_000000000001", "", "If-Match", `"2"`), 412, "version_conflict")
	if r := s.do("DELETE", "/v1/keys/key_000000000001", "", "If-Match", `"1"`); r.status != 204 || len(r.body) != 0 {
		t.Errorf("got %d %s", r.status, r.body)
	}
	wantProblem(t, s.do("DELETE", "/v1/keys/key_000000000001", ""), 404, "not_found")
	wantProblem(t, s.do("DELETE", "/v1/keys/key_000000000001", "", "Authorization", "Bearer "+viewerText), 403, "permission_denied")
}

func TestSuspendAndResumeKey(t *testing.T) {
	s := newSite(t)
	s.do("POST", "/v1/keys", `{"name":"k"}`)
	r := s.do("POST", "/v1/keys/key_000000000001/suspend", `{"reason":"odd"}`, "If-Match", `"1"`)
	if r.status != 200 || r.object["status"] != "suspended" || r.header.Get("ETag") != `"2"` || s.registry.reason != "odd" {
		t.Errorf("got %d %s", r.status, r.body)
	}
	wantProblem(t, s.do("POST", "/v1/keys/key_000000000001/suspend", ""), 409, "invalid_state")
	wantProblem(t, s.do("POST", "/v1/keys/key_000000000001/resume", "", "If-Match", `"1"`), 412, "version_conflict")
	if r := s.do("POST", "/v1/keys/key_000000000001/resume", `{}`); r.status != 200 || r.object["status"] != "active" {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestRotateKey(t *testing.T) {
	s := newSite(t)
	s.do("POST", "/v1/keys", `{"name":"k"}`)
	for _, body := range []string{"", "{}", `{"overlap":"0s","drop":true}`} {
		r := s.do("POST", "/v1/keys/key_000000000001/rotate", body)
		if r.status != 200 || r.object["secret"] != "the new secret" || r.object["id"] != "key_000000000001" || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %s", body, r.status, r.body)
		}
	}
	if got := s.registry.rotation; !got.Drop || got.Overlap == nil || *got.Overlap != (keys.Overlap{}) {
		t.Errorf("asked for %+v", got)
	}
	r := s.do("POST", "/v1/keys/key_000000000001/rotate", `{"overlap":"never"}`)
	wantProblem(t, r, 422, "validation_failed")
	if !slices.Equal(r.fields(), []string{"overlap"}) {
		t.Errorf("fields: %v", r.fields())
	}
}

func TestRevealKey(t *testing.T) {
	s := newSite(t)
	s.do("POST", "/v1/keys", `{"name":"k","kind":"client","tenant":"acme"}`)
	path := "/v1/keys/app_000000000001/reveal"
	r := s.do("POST", path, `{"secret_id":"abc"}`, "Authorization", "Bearer "+personText)
	if r.status != 200 || r.object["secret"] != "the kept secret" || r.object["client_id"] != "app_000000000001" || s.registry.which != "abc" {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if got := r.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %q", got)
	}
	wantProblem(t, s.do("POST", path, "", "Authorization", "Bearer "+developerText), 403, "permission_denied")
	for _, code := range []keys.RefusalCode{keys.ReauthRequired, keys.SelfOnly} {
		s.registry.fail = &keys.Refusal{Code: code, Detail: "No."}
		wantProblem(t, s.do("POST", path, "", "Authorization", "Bearer "+personText), 403, string(code))
	}
	if log := s.log.String(); strings.Contains(log, "the kept secret") {
		t.Error("the secret is in the log")
	}
}

func TestRevokeKeys(t *testing.T) {
	s := newSite(t)
	s.do("POST", "/v1/keys", `{"name":"k"}`)
	r := s.do("POST", "/v1/keys/revoke", `{"ids":["key_000000000001","key_999999999999"],"reason":"r","dry_run":true}`)
	want := map[string]any{"dry_run": true, "revoked": 1.0, "refused": 1.0, "more": false, "items": []any{
		map[string]any{"id": "key_000000000001", "status": "revoked"},
		map[string]any{"id": "key_999999999999", "code": "not_found", "detail": "There is no such key."},
	}}
	if diff := cmp.Diff(want, r.object); r.status != 200 || diff != "" {
		t.Errorf("got %d (-want +got):\n%s", r.status, diff)
	}
	r = s.do("POST", "/v1/keys/revoke", `{"filter":{"search":"a","status":"active","owner":"tenant","tenant":"acme","kind":"client","api":"orders","expires_before":"2027-01-01T01:00:00+01:00"}}`)
	asked := &keys.CredentialFilter{Search: "a", Status: keys.Active, OwnerType: keys.OwnerTenant, Tenant: "acme", Kind: keys.Client, API: "orders",
		ExpiresBefore: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	if diff := cmp.Diff(asked, s.registry.many.Filter); r.status != 200 || diff != "" {
		t.Errorf("got %d %s, filter (-want +got):\n%s", r.status, r.body, diff)
	}
	ids := make([]string, keys.MostRevoked)
	for i := range ids {
		ids[i] = fmt.Sprintf("%q", fmt.Sprintf("key_%012d", i))
	}
	if r := s.do("POST", "/v1/keys/revoke", `{"ids":[`+strings.Join(ids, ",")+`]}`); r.status != 200 || len(s.registry.many.IDs) != keys.MostRevoked {
		t.Errorf("as many as one call takes: got %d, %d ids", r.status, len(s.registry.many.IDs))
	}
	for _, body := range []string{`{"filter":{"status":"revoked"}}`, `{"filter":{"limit":1}}`, `{"ids":[7]}`, `{"ids":"key_000000000001"}`} {
		wantProblem(t, s.do("POST", "/v1/keys/revoke", body), 422, "validation_failed")
	}
}

func TestIdempotencyKeyReachesCreations(t *testing.T) {
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/v1/keys", `{"name":"k"}`, 201}, {"/v1/tokens", `{"name":"t","roles":["viewer"]}`, 201}, {"/v1/keys/key_000000000001/rotate", ``, 200},
	} {
		t.Run(c.path, func(t *testing.T) {
			s := newSite(t)
			s.do("POST", "/v1/keys", `{"name":"k"}`)
			if s.registry.once.Key != "" {
				t.Error("a name that nobody sent")
			}
			first := s.do("POST", c.path, c.body, "Idempotency-Key", "abc")
			asked := s.registry.once
			if first.status != c.status || first.object["secret"] == nil || asked.Key != "abc" || asked.Request == [32]byte{} || first.header.Get("Idempotency-Replayed") != "" {
				t.Errorf("got %d %s, asked %+v", first.status, first.body, asked)
			}
			s.registry.replay = true
			again := s.do("POST", c.path, c.body, "Idempotency-Key", "abc")
			if _, has := again.object["secret"]; again.status != c.status || has || again.header.Get("Idempotency-Replayed") != "true" || s.registry.once != asked {
				t.Errorf("sent again: got %d %s", again.status, again.body)
			}
			if c.body != "" {
				s.do("POST", c.path, c.body+" ", "Idempotency-Key", "abc")
			} else {
				s.do("POST", c.path, "{}", "Idempotency-Key", "abc")
			}
			if s.registry.once.Request == asked.Request {
				t.Error("another body is the same request")
			}
		})
	}
	s := newSite(t)
	s.registry.fail = &keys.Refusal{Code: keys.IdempotencyMismatch, Detail: "No."}
	wantProblem(t, s.do("POST", "/v1/keys", `{"name":"k"}`, "Idempotency-Key", "abc"), 409, "idempotency_mismatch")
}

// Two requests without a body are told apart by what they are about.
func TestRequestsAreToldApartByPath(t *testing.T) {
	s := newSite(t)
	s.do("POST", "/v1/keys", `{"name":"k"}`)
	s.do("POST", "/v1/keys", `{"name":"l"}`)
	s.do("POST", "/v1/keys/key_000000000001/rotate", "", "Idempotency-Key", "abc")
	first := s.registry.once.Request
	s.do("POST", "/v1/keys/key_000000000002/rotate", "", "Idempotency-Key", "abc")
	if s.registry.once.Request == first {
		t.Error("the rotations of two keys are one request")
	}
}

func TestNewestSecretIsTheLast(t *testing.T) {
	s := newSite(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.registry.creds["key_00000000000Z"] = keys.Credential{ID: "key_00000000000Z", Version: 1, AllowedIPs: []netip.Prefix{},
		Secrets: []keys.StoredSecret{{Preview: "old", CreatedAt: at}, {Preview: "new", CreatedAt: at}}}
	if r := s.do("GET", "/v1/keys/key_00000000000Z", ""); r.object["preview"] != "new" {
		t.Errorf("preview: %v", r.object["preview"])
	}
}
