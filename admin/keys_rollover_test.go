package admin

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func TestKeyRollover(t *testing.T) {
	s := newSite(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const id = "key_00000000000Z"
	s.registry.creds[id] = keys.Credential{ID: id, Tenant: "acme", Version: 1, Secrets: []keys.StoredSecret{
		{ID: "a", Preview: "pst_a", CreatedAt: at, ExpiresAt: at.Add(time.Hour), LastUsedAt: at.Add(time.Minute)},
		{ID: "b", Preview: "pst_b", CreatedAt: at},
	}}
	r := s.do("GET", "/v1/keys/"+id+"/rollover", "")
	want := map[string]any{"id": id, "secrets": []any{
		map[string]any{"id": "a", "preview": "pst_a", "created_at": "2026-01-02T03:04:05Z", "expires_at": "2026-01-02T04:04:05Z",
			"last_used_at": "2026-01-02T03:05:05Z", "current": false},
		map[string]any{"id": "b", "preview": "pst_b", "created_at": "2026-01-02T03:04:05Z", "expires_at": nil, "last_used_at": nil, "current": true},
	}}
	if diff := cmp.Diff(want, r.object); r.status != 200 || diff != "" {
		t.Errorf("got %d (-want +got):\n%s", r.status, diff)
	}
	s.registry.creds[id] = keys.Credential{ID: id, Version: 1}
	if r := s.do("GET", "/v1/keys/"+id+"/rollover", ""); r.status != 200 || string(r.body) != `{"id":"`+id+`","secrets":[]}`+"\n" {
		t.Errorf("without secrets: got %d %q", r.status, r.body)
	}
	wantProblem(t, s.do("GET", "/v1/keys/key_999999999999/rollover", ""), 404, "not_found")
}
