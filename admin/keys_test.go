package admin

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

// keyFields are the members of a key, as clients rely on them.
var keyFields = []string{"allowed_ips", "apis", "application_type", "created_at", "description", "effective_scopes", "expires_at",
	"external_id", "id", "kind", "last_used_at", "managed_by", "metadata", "name", "owner", "plan", "preview", "redirect_uris",
	"scopes", "secrets", "status", "tenant", "updated_at", "version"}

func sorted(object map[string]any) []string {
	var out []string
	for name := range object {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestGenerateKey(t *testing.T) {
	s := newSite(t)
	r := s.do("POST", "/v1/keys", `{"kind":"api_key","name":"ci","description":"Build","tenant":"acme","owner":{"type":"user","id":"u1"},
		"plan":"partner","apis":["orders"],"scopes":["billing.read"],"expires_in":"90d","test":true,"application_type":"internal",
		"redirect_uris":["https://a.example/cb"],"allowed_ips":["192.0.2.0/24"],"metadata":{"team":"pay"},"external_id":"x-1","reason":"because"}`)
	if r.status != 201 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	want := map[string]any{
		"id": "key_000000000001", "kind": "api_key", "name": "ci", "description": "Build", "tenant": "acme",
		"owner": map[string]any{"type": "user", "id": "u1", "name": "Name of u1"}, "plan": "partner",
		"apis": []any{"orders"}, "scopes": []any{"billing.read"}, "effective_scopes": []any{"billing.read", "orders.read"},
		"status": "active", "preview": "pst_live_000", "created_at": "2026-11-21T10:00:00Z", "updated_at": "2026-11-21T10:00:00Z",
		"expires_at": "2027-02-19T10:00:00Z", "last_used_at": nil, "application_type": "internal",
		"redirect_uris": []any{"https://a.example/cb"}, "allowed_ips": []any{"192.0.2.0/24"}, "metadata": map[string]any{"team": "pay"},
		"external_id": "x-1", "managed_by": "", "version": 1.0,
		"secrets": []any{map[string]any{"id": "000000000001", "preview": "pst_live_000", "created_at": "2026-11-21T10:00:00Z",
			"expires_at": nil, "last_used_at": nil}},
		"secret": "pst_live_000000000001_secret",
	}
	if diff := cmp.Diff(want, r.object); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if got := r.header.Get("ETag"); got != `"1"` {
		t.Errorf("ETag: got %s", got)
	}
	if got := r.header.Get("Location"); got != "/v1/keys/key_000000000001" {
		t.Errorf("Location: got %s", got)
	}
	asked := s.registry.asked
	expiry := asked.Expiry
	asked.Expiry = nil
	wantAsked := keys.NewCredential{Kind: keys.APIKey, Name: "ci", Description: "Build", Tenant: "acme",
		Owner: &keys.OwnerInput{Type: keys.OwnerUser, ID: "u1"}, Plan: "partner", APIs: []keys.APIName{"orders"},
		Scopes: []keys.Scope{"billing.read"}, Test: true, ApplicationType: "internal", RedirectURIs: []string{"https://a.example/cb"},
		AllowedIPs: []string{"192.0.2.0/24"}, Metadata: map[string]string{"team": "pay"}, ExternalID: "x-1", Reason: "because"}
	if diff := cmp.Diff(wantAsked, asked); diff != "" {
		t.Errorf("asked of the registry (-want +got):\n%s", diff)
	}
	if expiry == nil || expiry.For != 90*24*time.Hour {
		t.Errorf("expiry: got %+v", expiry)
	}
}

func TestGenerateKeyWithTheLeast(t *testing.T) {
	s := newSite(t)
	r := s.do("POST", "/v1/keys", `{"name":"ci"}`)
	if r.status != 201 {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	if got, want := sorted(r.object), append(slices.Clone(keyFields), "secret"); !slices.Equal(got, sortedList(want)) {
		t.Errorf("members: got %v\nwant %v", got, want)
	}
	for name, want := range map[string]string{"apis": "[]", "scopes": "[]", "redirect_uris": "[]", "allowed_ips": "[]", "metadata": "{}", "expires_at": "null"} {
		if got, _ := json.Marshal(r.object[name]); string(got) != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if s.registry.asked.Kind != keys.APIKey || s.registry.asked.Expiry != nil || s.registry.asked.Owner != nil {
		t.Errorf("asked: %+v", s.registry.asked)
	}
}

func sortedList(list []string) []string {
	slices.Sort(list)
	return list
}

func TestGenerateClientShowsItsID(t *testing.T) {
	s := newSite(t)
	r := s.do("POST", "/v1/keys", `{"kind":"client","name":"app"}`)
	if r.status != 201 || r.object["client_id"] != "app_000000000001" || r.object["id"] != "app_000000000001" || r.object["secret"] == nil {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := s.do("POST", "/v1/keys", `{"name":"key"}`); r.object["client_id"] != nil {
		t.Errorf("a key has a client_id: %s", r.body)
	}
}

func TestGenerateKeyExpiry(t *testing.T) {
	at := func(year int) *keys.Lifetime {
		return &keys.Lifetime{Until: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	for _, c := range []struct {
		name, fields string
		want         *keys.Lifetime
		wrong        string // the field, when refused
	}{
		{"not said", ``, nil, ""},
		{"a time", `,"expires_at":"2030-01-01T00:00:00Z"`, at(2030), ""},
		{"a time in another zone", `,"expires_at":"2030-01-01T02:00:00+02:00"`, at(2030), ""},
		{"null is never", `,"expires_at":null`, &keys.Lifetime{}, ""},
		{"never in words", `,"expires_in":"never"`, &keys.Lifetime{}, ""},
		{"days", `,"expires_in":"90d"`, &keys.Lifetime{For: 90 * 24 * time.Hour}, ""},
		{"months", `,"expires_in":"6mo"`, &keys.Lifetime{Months: 6}, ""},
		{"null is not said", `,"expires_in":null`, nil, ""},
		{"both", `,"expires_at":"2030-01-01T00:00:00Z","expires_in":"90d"`, nil, "expires_in"},
		{"never and a length", `,"expires_at":null,"expires_in":"90d"`, nil, "expires_in"},
		{"no length", `,"expires_in":"soon"`, nil, "expires_in"},
		{"no time", `,"expires_at":"tomorrow"`, nil, "expires_at"},
		{"a date alone", `,"expires_at":"2030-01-01"`, nil, "expires_at"},
		{"the past", `,"expires_at":"2020-01-01T00:00:00Z"`, nil, "expires_at"},
		{"the past as a lifetime", `,"expires_in":"2020-01-01"`, nil, "expires_in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			r := s.do("POST", "/v1/keys", `{"name":"k"`+c.fields+`}`)
			if c.wrong != "" {
				wantProblem(t, r, 422, "validation_failed")
				if got := r.fields(); !slices.Equal(got, []string{c.wrong}) {
					t.Errorf("fields: got %v, want %s", got, c.wrong)
				}
				if len(s.registry.creds) != 0 {
					t.Error("a key was made")
				}
				return
			}
			if r.status != 201 {
				t.Fatalf("got %d %s", r.status, r.body)
			}
			if diff := cmp.Diff(c.want, s.registry.asked.Expiry); diff != "" {
				t.Errorf("lifetime (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusalNamesFieldsByPath(t *testing.T) {
	s := newSite(t)
	r := s.do("POST", "/v1/keys", `{"allowed_ips":["192.0.2.0/24","nonsense"]}`)
	wantProblem(t, r, 422, "validation_failed")
	if got := r.fields(); !slices.Equal(got, []string{"name", "allowed_ips[1]"}) {
		t.Errorf("got %v", got)
	}
}

func TestMaxKeysReachedTellsScopeAndLimit(t *testing.T) {
	s := newSite(t)
	s.registry.cap = 0
	r := s.do("POST", "/v1/keys", `{"name":"k"}`)
	wantProblem(t, r, 409, "max_keys_reached")
	if r.object["scope"] != "tenant" || r.object["limit"] != 0.0 {
		t.Errorf("got %s", r.body)
	}
}

func TestShowKey(t *testing.T) {
	s := newSite(t)
	made := s.do("POST", "/v1/keys", `{"name":"k"}`)
	id := made.object["id"].(string)
	r := s.do("GET", "/v1/keys/"+id, "")
	if r.status != 200 || r.header.Get("ETag") != `"1"` {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	delete(made.object, "secret")
	if diff := cmp.Diff(made.object, r.object); diff != "" {
		t.Errorf("shown differs from made (-made +shown):\n%s", diff)
	}
	for name, path := range map[string]string{"unknown": "key_999999999999", "no id": "nope", "a secret": "pst_live_000000000001_secret", "a client": "app_000000000001"} {
		t.Run(name, func(t *testing.T) { wantProblem(t, s.do("GET", "/v1/keys/"+path, ""), 404, "not_found") })
	}
	t.Run("of another tenant", func(t *testing.T) {
		wantProblem(t, s.do("GET", "/v1/keys/"+id, "", "Authorization", "Bearer "+viewerText), 404, "not_found")
	})
}

func TestKeyAsStored(t *testing.T) {
	s := newSite(t)
	base := time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)
	s.registry.creds["app_00000000000Z"] = keys.Credential{
		ID: "app_00000000000Z", Kind: keys.Client, Status: keys.Active, ExpiresAt: base, CreatedAt: base.In(time.FixedZone("x", 3600)),
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}, ManagedBy: "gateway.yaml:41", Version: 7,
		Secrets: []keys.StoredSecret{{ID: "one", Preview: "old", CreatedAt: base, ExpiresAt: base}, {ID: "two", Preview: "new", CreatedAt: base.Add(1)}},
	}
	r := s.do("GET", "/v1/keys/app_00000000000Z", "")
	for name, want := range map[string]any{
		"status": "expired", "expires_at": "2026-01-02T03:04:05.000678Z", "created_at": "2026-01-02T03:04:05.000678Z",
		"preview": "new", "managed_by": "gateway.yaml:41", "version": 7.0,
	} {
		if r.object[name] != want {
			t.Errorf("%s: got %v, want %v", name, r.object[name], want)
		}
	}
	if secrets := r.object["secrets"].([]any); len(secrets) != 2 || secrets[0].(map[string]any)["expires_at"] != "2026-01-02T03:04:05.000678Z" {
		t.Errorf("secrets: got %v", secrets)
	}
	if r.header.Get("ETag") != `"7"` {
		t.Errorf("ETag: got %s", r.header.Get("ETag"))
	}
}

func TestRevokeKey(t *testing.T) {
	for _, c := range []struct {
		name, body, reason string
		headers            []string
		status             int
		code               string
	}{
		{"without a body", "", "", nil, 200, ""},
		{"with an empty object", "{}", "", nil, 200, ""},
		{"with a reason", `{"reason":"leaked"}`, "leaked", nil, 200, ""},
		{"with the right version", "", "", []string{"If-Match", `"1"`}, 200, ""},
		{"with one of several versions", "", "", []string{"If-Match", `"9", "1"`}, 200, ""},
		{"with any version", "", "", []string{"If-Match", `*`}, 200, ""},
		{"with a wrong version", "", "", []string{"If-Match", `"2"`}, 412, "version_conflict"},
		{"with a weak tag", "", "", []string{"If-Match", `W/"1"`}, 412, "version_conflict"},
		{"with an unquoted version", "", "", []string{"If-Match", `1`}, 412, "version_conflict"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.do("POST", "/v1/keys", `{"name":"k"}`)
			r := s.do("POST", "/v1/keys/key_000000000001/revoke", c.body, c.headers...)
			if c.code != "" {
				wantProblem(t, r, c.status, c.code)
				if got := s.registry.creds["key_000000000001"].Status; got != keys.Active {
					t.Errorf("status: got %s", got)
				}
				return
			}
			if r.status != 200 || r.object["status"] != "revoked" || r.header.Get("ETag") != `"2"` || s.registry.reason != c.reason {
				t.Errorf("got %d %s, reason %q", r.status, r.body, s.registry.reason)
			}
			if got := sorted(r.object); !slices.Equal(got, keyFields) {
				t.Errorf("members: got %v", got)
			}
			wantProblem(t, s.do("POST", "/v1/keys/key_000000000001/revoke", ""), 409, "invalid_state")
		})
	}
	s := newSite(t)
	wantProblem(t, s.do("POST", "/v1/keys/key_999999999999/revoke", ""), 404, "not_found")
	wantProblem(t, s.do("POST", "/v1/keys/key_999999999999/revoke", "", "If-Match", `"1"`), 404, "not_found")
}

func TestListKeysPages(t *testing.T) {
	s := newSite(t)
	if r := s.do("GET", "/v1/keys", ""); string(r.body) != `{"items":[],"next":null}`+"\n" {
		t.Errorf("empty: got %s", r.body)
	}
	for i := range 5 {
		s.do("POST", "/v1/keys", fmt.Sprintf(`{"name":"k%d"}`, i))
	}
	var seen []string
	path := "/v1/keys?limit=2"
	for range 3 {
		r := s.do("GET", path, "")
		for _, item := range r.object["items"].([]any) {
			if got := sorted(item.(map[string]any)); !slices.Equal(got, keyFields) {
				t.Errorf("members: got %v", got)
			}
			seen = append(seen, item.(map[string]any)["name"].(string))
		}
		next, more := r.object["next"].(string)
		if !more {
			break
		}
		path = "/v1/keys?limit=2&cursor=" + next
	}
	if want := []string{"k0", "k1", "k2", "k3", "k4"}; !slices.Equal(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
	r := s.do("GET", "/v1/keys?cursor=forged", "")
	wantProblem(t, r, 422, "validation_failed")
	if !slices.Equal(r.fields(), []string{"cursor"}) {
		t.Errorf("fields: got %v", r.fields())
	}
}

func TestListKeysFilters(t *testing.T) {
	now := newFake().now
	for _, c := range []struct {
		name, query string
		want        keys.CredentialFilter
	}{
		{"none", "", keys.CredentialFilter{Limit: 100, Sort: "created_at"}},
		{"all", "?limit=7&search=a%20b&status=expired&owner=u1&tenant=acme&kind=client&api=orders&sort=-name&expires_before=2027-01-01T01:00:00%2B01:00",
			keys.CredentialFilter{Limit: 7, Search: "a b", Status: keys.Expired, OwnerID: "u1", Tenant: "acme", Kind: keys.Client, API: "orders",
				Sort: "-name", ExpiresBefore: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"unused", "?unused_for=90d", keys.CredentialFilter{Limit: 100, Sort: "created_at", UnusedSince: now.AddDate(0, 0, -90)}},
		{"tenant-owned", "?owner=tenant", keys.CredentialFilter{Limit: 100, Sort: "created_at", OwnerType: keys.OwnerTenant}},
		{"empty search", "?search=&cursor=", keys.CredentialFilter{Limit: 100, Sort: "created_at"}},
		{"plus is a space", "?search=a+b", keys.CredentialFilter{Limit: 100, Sort: "created_at", Search: "a b"}},
		{"encoded name", "?%6cimit=3", keys.CredentialFilter{Limit: 3, Sort: "created_at"}},
		{"text with signs", "?search=%26limit%3D3", keys.CredentialFilter{Limit: 100, Sort: "created_at", Search: "&limit=3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.want.Now = now
			if r := s.do("GET", "/v1/keys"+c.query, ""); r.status != 200 {
				t.Fatalf("got %d %s", r.status, r.body)
			}
			if diff := cmp.Diff(c.want, s.registry.filter); diff != "" {
				t.Errorf("filter (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnusedForIsALengthOfTime(t *testing.T) {
	s := newSite(t)
	for _, text := range []string{"90", "never", "2026-01-01", "-1d", "soon"} {
		r := s.do("GET", "/v1/keys?unused_for="+text, "")
		wantProblem(t, r, 422, "validation_failed")
		if !slices.Equal(r.fields(), []string{"unused_for"}) {
			t.Errorf("%s: fields %v", text, r.fields())
		}
		r = s.do("POST", "/v1/keys/revoke", `{"filter":{"unused_for":"`+text+`"}}`)
		wantProblem(t, r, 422, "validation_failed")
		if !slices.Equal(r.fields(), []string{"filter.unused_for"}) {
			t.Errorf("%s: fields %v", text, r.fields())
		}
	}
}
