package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func TestImportKeys(t *testing.T) {
	s := newSite(t)
	r := s.do("POST", "/v1/keys/import", `{"keys":[
		{"name":"a","description":"d","text":"ud8xkkQ3GUGmWa2qVqiw5vSUnpbG3OgS","tenant":"acme","owner":{"type":"user","id":"u1"},"plan":"partner","apis":["orders"],
		 "scopes":["billing.read"],"status":"suspended","created_at":"2024-03-01T09:30:00+01:00","expires_at":"2028-01-01T00:00:00Z","metadata":{"team":"pay"},"external_id":"x-1"},
		{"name":"known","hash":"sha256:00","created_at":null}]}`)
	want := map[string]any{"items": []any{
		map[string]any{"index": 0.0, "id": "key_000000000000", "status": "created"},
		map[string]any{"index": 1.0, "id": "key_known0000000", "status": "exists"},
	}}
	if diff := cmp.Diff(want, r.object); r.status != 200 || diff != "" {
		t.Errorf("got %d (-want +got):\n%s", r.status, diff)
	}
	got := s.registry.imported
	if len(got) != 2 || s.registry.dryRun || got[0].Text.Reveal() != "ud8xkkQ3GUGmWa2qVqiw5vSUnpbG3OgS" || got[1].Text.Reveal() != "" {
		t.Fatalf("asked: %+v", got)
	}
	got[0].Text, got[1].Text = keys.Secret{}, keys.Secret{}
	asked := []keys.ImportKey{{
		Name: "a", Description: "d", Tenant: "acme", Owner: &keys.OwnerInput{Type: keys.OwnerUser, ID: "u1"}, Plan: "partner",
		APIs: []keys.APIName{"orders"}, Scopes: []keys.Scope{"billing.read"}, Status: keys.Suspended,
		CreatedAt: time.Date(2024, 3, 1, 8, 30, 0, 0, time.UTC), ExpiresAt: time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC),
		Metadata: map[string]string{"team": "pay"}, ExternalID: "x-1",
	}, {Name: "known", Hash: "sha256:00", Status: keys.Active, APIs: []keys.APIName{}, Scopes: []keys.Scope{}}}
	if diff := cmp.Diff(asked, got, cmp.Comparer(func(a, b keys.Secret) bool { return a.Reveal() == b.Reveal() })); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}

	r = s.do("POST", "/v1/keys/import", `{"keys":[{"name":""},{"name":"b"}],"dry_run":true}`)
	want = map[string]any{"items": []any{
		map[string]any{"index": 0.0, "status": "refused", "errors": []any{map[string]any{"field": "name", "message": "is required"}}},
		map[string]any{"index": 1.0, "status": "would_create"},
	}}
	if diff := cmp.Diff(want, r.object); r.status != 200 || diff != "" || !s.registry.dryRun {
		t.Errorf("dry run: got %d (-want +got):\n%s", r.status, diff)
	}
}

func TestImportKeysRefusals(t *testing.T) {
	s := newSite(t)
	const secret = "ud8xkkQ3GUGmWa2qVqiw5vSUnpbG3OgS"
	for _, c := range []struct {
		name, body string
		fields     []string
	}{
		{"nothing", `{}`, []string{"keys"}},
		{"none", `{"keys":[]}`, []string{"keys"}},
		{"null", `{"keys":null}`, []string{"keys"}},
		{"no list", `{"keys":{"name":"a"}}`, []string{"keys"}},
		{"no object", `{"keys":["` + secret + `"]}`, []string{"keys[0]"}},
		{"too many", `{"keys":[` + strings.Repeat(`{"name":"a"},`, 10_000) + `{"name":"a"}]}`, []string{"keys"}},
		{"misspelt field", `{"keys":[{"name":"a"},{"name":"b","txet":"` + secret + `"}]}`, []string{"keys[1].txet"}},
		{"misspelt owner", `{"keys":[{"name":"a","owner":{"type":"user","uid":"` + secret + `"}}]}`, []string{"keys[0].owner.uid"}},
		{"text as a number", `{"keys":[{"name":"a","text":1234567890123456}]}`, []string{"keys[0].text"}},
		{"unknown status", `{"keys":[{"name":"a","status":"revoked"}]}`, []string{"keys[0].status"}},
		{"no name", `{"keys":[{"text":"` + secret + `"}]}`, []string{"keys[0].name"}},
		{"no time", `{"keys":[{"name":"a","created_at":"yesterday"}]}`, nil},
		{"repeated text", `{"keys":[{"name":"a","text":"` + secret + `","text":"` + secret + `"}]}`, []string{"keys[0].text"}},
		{"NUL", `{"keys":[{"name":"a","text":"` + secret + `\u0000"}]}`, []string{"keys[0].text"}},
		{"lone surrogate", `{"keys":[{"name":"a","text":"\ud800` + secret + `"}]}`, []string{"keys[0].text"}},
		{"metadata of another type", `{"keys":[{"name":"a","metadata":{"a":1}}]}`, []string{"keys[0].metadata.a"}},
		{"dry_run as a text", `{"keys":[{"name":"a"}],"dry_run":"yes"}`, []string{"dry_run"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do("POST", "/v1/keys/import", c.body)
			wantProblem(t, r, 422, "validation_failed")
			if got := r.fields(); c.fields != nil && !slices.Equal(got, c.fields) {
				t.Errorf("fields: got %v, want %v", got, c.fields)
			}
			if strings.Contains(string(r.body), secret) || strings.Contains(string(r.body), "1234567890123456") {
				t.Errorf("the answer repeats the key: %s", r.body)
			}
		})
	}
	if s.registry.imported != nil {
		t.Errorf("something was imported: %+v", s.registry.imported)
	}
	if strings.Contains(s.log.String(), secret) {
		t.Error("the log has the key")
	}
	r := s.do("POST", "/v1/keys/import", `{"keys":[{"name":"b","txet":"x"}]}`)
	if !strings.Contains(string(r.body), "did you mean") {
		t.Errorf("no help for a misspelt field: %s", r.body)
	}
}

// TestImportBodyMayBeLarge takes what no other endpoint does, and no more than it says.
func TestImportBodyMayBeLarge(t *testing.T) {
	s := newSite(t)
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, `,{"name":"customer %d","text":"ud8xkkQ3GUGmWa2qVqiw5v%010d","apis":["orders"],"metadata":{"team":"%s"}}`, i, i, strings.Repeat("x", 500))
	}
	body := `{"keys":[` + b.String()[1:] + `]}`
	if len(body) < 4<<20 || len(body) > maxImportBody {
		t.Fatalf("the body has %d bytes", len(body))
	}
	if r := s.do("POST", "/v1/keys/import", body); r.status != 200 || len(r.object["items"].([]any)) != 10_000 {
		t.Errorf("got %d %.200s", r.status, r.body)
	}
	wantProblem(t, s.do("POST", "/v1/keys/import", `{"keys":[{"name":"`+strings.Repeat("a", maxImportBody)+`"}]}`), 413, "body_too_large")
	wantProblem(t, s.do("POST", "/v1/keys/import/", body), 413, "body_too_large")
}
