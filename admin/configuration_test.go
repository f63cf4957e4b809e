package admin

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// fakeConfiguration tells what it was given.
type fakeConfiguration struct {
	state ConfigurationState
	done  Reloaded
	err   error
	asked int
}

func (f *fakeConfiguration) Configuration() ConfigurationState { return f.state }

func (f *fakeConfiguration) Reload(context.Context, keys.Actor) (Reloaded, error) {
	f.asked++
	return f.done, f.err
}

// configured is a site with a configuration; may adds permissions of the operator.
func configured(t *testing.T, may ...keys.Permission) (*site, *fakeConfiguration) {
	f := &fakeConfiguration{state: ConfigurationState{
		File: "gateway.yaml", LoadedAt: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC), Effective: map[string]any{"version": 1},
		Routes: []GatewayRoute{{Name: "orders", Hosts: []string{}, Path: "/orders/", Enforce: true, Scopes: map[string][]string{"GET": {"orders.read"}},
			Limits: []string{}, Cost: 1, Upstreams: []string{"http://10.0.0.5:9000"}, ManagedBy: "gateway.yaml:9"}},
	}}
	s := newSite(t, func(o *Options) { o.Configuration = f })
	for _, p := range may {
		s.registry.actors[operatorText].Permissions[p] = struct{}{}
	}
	s.registry.catalog = keys.Catalog{
		APIs: map[keys.APIName]keys.API{"orders": {Name: "orders", Title: "Orders", Scopes: map[keys.Scope]string{"orders.read": "See orders"}, Where: "gateway.yaml:3"}},
		Plans: map[keys.PlanName]*keys.Plan{
			"standard": {Name: "standard", Zone: time.UTC, Where: "gateway.yaml:5", Limits: []keys.PlanLimit{
				{Limit: limiter.Limit{N: 2, Unit: limiter.Sliding, Window: time.Second}}, {Limit: limiter.Limit{N: 5, Unit: limiter.Day}, Per: limiter.Owner}}},
			"free": {Name: "free", Zone: time.UTC},
		},
		TenantPlans: map[string]keys.TenantPlan{"business": {Keys: true, DefaultPlan: "standard", Where: "gateway.yaml:7"}},
	}
	return s, f
}

// TestDeclaredLists shows each list that the configuration declares, whole.
func TestDeclaredLists(t *testing.T) {
	s, _ := configured(t)
	for path, want := range map[string]string{
		"/v1/apis":         `{"items":[{"name":"orders","title":"Orders","description":"","scopes":{"orders.read":"See orders"},"managed_by":"gateway.yaml:3"}],"next":null}`,
		"/v1/plans":        `{"items":[{"name":"free","limits":[],"time_zone":"UTC","managed_by":""},{"name":"standard","limits":[{"limit":"2/s","per":"key"},{"limit":"5/day","per":"owner"}],"time_zone":"UTC","managed_by":"gateway.yaml:5"}],"next":null}`,
		"/v1/tenant-plans": `{"items":[{"name":"business","keys":true,"default_plan":"standard","managed_by":"gateway.yaml:7"}],"next":null}`,
		"/v1/routes":       `{"items":[{"name":"orders","hosts":[],"path":"/orders/","public":false,"enforce":true,"api":"","scopes":{"GET":["orders.read"]},"limits":[],"cost":1,"managed_by":"gateway.yaml:9"}],"next":null}`,
	} {
		got := s.do(http.MethodGet, path, "", "Authorization", "Bearer "+viewerText)
		if got.status != http.StatusOK || strings.TrimSpace(string(got.body)) != want {
			t.Errorf("%s: got %d %s\nwant %s", path, got.status, got.body, want)
		}
		if got := s.do(http.MethodGet, path+"?limit=1", ""); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s?limit=1: got %d, want 422: there are no pages", path, got.status)
		}
	}
}

// TestUpstreamsAreForReadersOfTheConfiguration shows where requests go to nobody else.
func TestUpstreamsAreForReadersOfTheConfiguration(t *testing.T) {
	s, f := configured(t, keys.ConfigRead)
	if got := s.do(http.MethodGet, "/v1/routes", ""); !strings.Contains(string(got.body), "10.0.0.5") {
		t.Errorf("the provider sees no upstream: %s", got.body)
	}
	s.registry.actors[developerText].Permissions[keys.ConfigRead] = struct{}{} // as a custom role might
	f.state.Routes[0].Upstreams = []string{"http://10.0.0.5:9000"}
	if got := s.do(http.MethodGet, "/v1/routes", "", "Authorization", "Bearer "+developerText); got.status != http.StatusOK || strings.Contains(string(got.body), "10.0.0.5") {
		t.Errorf("a tenant's developer got %d %s", got.status, got.body)
	}
}

// TestShowConfig is for the provider's people.
func TestShowConfig(t *testing.T) {
	s, f := configured(t, keys.ConfigRead)
	if got := s.do(http.MethodGet, "/v1/config", ""); got.status != http.StatusOK ||
		strings.TrimSpace(string(got.body)) != `{"file":"gateway.yaml","loaded_at":"2026-11-21T09:00:00Z","restart_needed":[],"last_error_at":null,"config":{"version":1}}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	f.state.LastError, f.state.LastErrorAt = "gateway.yaml:2:1: x: unknown setting", f.state.LoadedAt.Add(time.Minute)
	if got := s.do(http.MethodGet, "/v1/config", ""); got.object["last_error"] != f.state.LastError || got.object["last_error_at"] != "2026-11-21T09:01:00Z" {
		t.Errorf("got %s", got.body)
	}
	s.registry.actors[developerText].Permissions[keys.ConfigRead] = struct{}{}
	if got := s.do(http.MethodGet, "/v1/config", "", "Authorization", "Bearer "+developerText); got.status != http.StatusForbidden {
		t.Errorf("somebody of a tenant got %d", got.status)
	}
}

// TestReloadConfig answers what was done, or every problem.
func TestReloadConfig(t *testing.T) {
	s, f := configured(t, keys.ConfigReload)
	f.done = Reloaded{LoadedAt: f.state.LoadedAt, Changed: []string{"plans.standard.limits"}}
	if got := s.do(http.MethodPost, "/v1/config/reload", ""); got.status != http.StatusOK ||
		strings.TrimSpace(string(got.body)) != `{"loaded_at":"2026-11-21T09:00:00Z","changed":["plans.standard.limits"],"restart_needed":[],"warnings":[]}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	f.err = &keys.Refusal{Code: keys.ValidationFailed, Detail: "2 problems.", Fields: []keys.FieldError{{Field: "x", Message: "gateway.yaml:2:1: x: unknown setting"}, {Field: "y", Message: "m"}}}
	if got := s.do(http.MethodPost, "/v1/config/reload", ""); got.status != http.StatusUnprocessableEntity || len(got.object["errors"].([]any)) != 2 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	before := f.asked
	for body, status := range map[string]int{`{"file":"/etc/passwd"}`: http.StatusBadRequest, `[]`: http.StatusBadRequest} {
		if got := s.do(http.MethodPost, "/v1/config/reload", body); got.status != status {
			t.Errorf("body %s: got %d %s, want %d", body, got.status, got.body, status)
		}
	}
	if got := s.do(http.MethodPost, "/v1/config/reload", "", "Authorization", "Bearer "+viewerText); got.status != http.StatusForbidden || f.asked != before {
		t.Errorf("a viewer got %d, and %d reloads were made", got.status, f.asked-before)
	}
}
