package admin

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func TestCreateToken(t *testing.T) {
	s := newSite(t)
	r := s.do("POST", "/v1/tokens", `{"name":"terraform","roles":["developer","viewer"],"tenant":"acme","expires_in":"1y"}`)
	want := map[string]any{
		"id": "tok_000000000001", "name": "terraform", "tenant": "acme", "roles": []any{"developer", "viewer"}, "acts_as": nil, "preview": "pstt_0",
		"created_by": "tok_operator0000", "created_at": "2026-11-21T10:00:00Z", "expires_at": "2027-11-21T10:00:00Z", "revoked_at": nil,
		"secret": "secret-of-tok_000000000001",
	}
	if diff := cmp.Diff(want, r.object); r.status != 201 || diff != "" {
		t.Errorf("got %d (-want +got):\n%s", r.status, diff)
	}
	asked := keys.NewToken{Name: "terraform", Roles: []keys.RoleName{"developer", "viewer"}, Tenant: "acme", Expiry: &keys.Lifetime{Months: 12}}
	if diff := cmp.Diff(asked, s.registry.askedTok); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	r = s.do("POST", "/v1/tokens", `{"name":"all","roles":["operator"]}`)
	if r.status != 201 || r.object["tenant"] != nil || r.object["expires_at"] != nil || s.registry.askedTok.Expiry != nil {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestCreateTokenRefusals(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, body string
		fields     []string
	}{
		{"nothing", `{}`, []string{"name", "roles"}},
		{"no roles", `{"name":"a"}`, []string{"roles"}},
		{"empty roles", `{"name":"a","roles":[]}`, []string{"roles"}},
		{"null roles", `{"name":"a","roles":null}`, []string{"roles"}},
		{"no lifetime", `{"name":"a","roles":["viewer"],"expires_in":"-1d"}`, []string{"expires_in"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.do("POST", "/v1/tokens", c.body)
			wantProblem(t, r, 422, "validation_failed")
			if got := r.fields(); !slices.Equal(got, c.fields) {
				t.Errorf("fields: got %v, want %v", got, c.fields)
			}
		})
	}
	if len(s.registry.tokens) != 0 {
		t.Errorf("tokens were made: %v", s.registry.tokens)
	}
}

func TestListAndRevokeTokens(t *testing.T) {
	s := newSite(t)
	s.do("POST", "/v1/tokens", `{"name":"a","roles":["viewer"],"tenant":"acme"}`)
	s.do("POST", "/v1/tokens", `{"name":"b","roles":["viewer"]}`)
	r := s.do("DELETE", "/v1/tokens/tok_000000000001", "")
	if r.status != 204 || len(r.body) != 0 {
		t.Errorf("revoke: got %d %q", r.status, r.body)
	}
	r = s.do("GET", "/v1/tokens", "")
	items := r.object["items"].([]any)
	if r.status != 200 || len(items) != 2 || r.object["next"] != nil {
		t.Fatalf("list: got %d %s", r.status, r.body)
	}
	first, second := items[0].(map[string]any), items[1].(map[string]any)
	if first["name"] != "b" || first["revoked_at"] != nil || second["revoked_at"] != "2026-11-21T10:00:00Z" || second["secret"] != nil {
		t.Errorf("list: got %s", r.body)
	}
	if r := s.do("GET", "/v1/tokens?limit=1", ""); r.object["next"] != "more" {
		t.Errorf("page: got %s", r.body)
	}
	if r := s.do("GET", "/v1/tokens?tenant=acme", ""); len(r.object["items"].([]any)) != 1 {
		t.Errorf("tenant: got %s", r.body)
	}
	for _, id := range []string{"tok_999999999999", "nope", "key_000000000001"} {
		wantProblem(t, s.do("DELETE", "/v1/tokens/"+id, ""), 404, "not_found")
	}
}
