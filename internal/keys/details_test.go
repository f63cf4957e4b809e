package keys

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newestDetail is the detail of the last entry of a chain.
func (h *house) newestDetail(chain string) map[string]string {
	h.t.Helper()
	list := h.store.audit[chain]
	if len(list) == 0 {
		h.t.Fatalf("the chain %s is empty", chain)
	}
	return list[len(list)-1].Detail
}

func TestAuditTellsWhatWasMade(t *testing.T) {
	h := newHouse(t)
	if diff := cmp.Diff(map[string]string{"name": "default"}, h.newestDetail(ProviderChain)); diff != "" {
		t.Errorf("tenant.created: %s", diff)
	}

	full := h.generate(NewCredential{
		Kind: Client, Name: "shop", APIs: []APIName{"orders", "bills"}, Scopes: []Scope{"bills.pay"}, Plan: "partner", Test: true,
		Expiry: &Lifetime{For: time.Hour}, AllowedIPs: []string{"10.0.0.0/8", "2001:db8::1"}, ApplicationType: "public",
		RedirectURIs: []string{"https://a.example/", "https://b.example/"}, ExternalID: "crm-7",
		Metadata: map[string]string{"team": "blue", "cost": "private figure"},
	})
	want := map[string]string{
		"kind": "client", "name": "shop", "owner": "tenant:default", "plan": "partner", "apis": "bills, orders", "scopes": "bills.pay",
		"status": "active", "test": "true", "expires_at": "2026-11-02T11:30:00Z", "allowed_ips": "10.0.0.0/8, 2001:db8::1/128",
		"application_type": "public", "redirect_uris": "https://a.example/, https://b.example/", "external_id": "crm-7",
		"metadata": "cost, team",
	}
	if diff := cmp.Diff(want, h.newestDetail("default")); diff != "" {
		t.Errorf("key.generated: %s", diff)
	}
	for name, value := range h.newestDetail("default") {
		if strings.Contains(value, full.Secret.Reveal()) || strings.Contains(value, "private figure") {
			t.Errorf("%s holds what must not be there: %q", name, value)
		}
	}
	h.generate(NewCredential{Name: "plain"})
	want = map[string]string{
		"kind": "api_key", "name": "plain", "owner": "tenant:default", "plan": "standard", "status": "active", "test": "false",
		"expires_at": "never",
	}
	if diff := cmp.Diff(want, h.newestDetail("default")); diff != "" {
		t.Errorf("key.generated with nothing chosen: %s", diff)
	}

	for _, c := range []struct {
		chain string
		in    NewToken
		want  map[string]string
	}{
		{"default", NewToken{Name: "bot", Tenant: "default", Roles: []RoleName{RoleViewer, RoleAuditor}, Expiry: &Lifetime{For: time.Hour}},
			map[string]string{"name": "bot", "roles": "auditor, viewer", "tenant": "default", "expires_at": "2026-11-02T11:30:00Z"}},
		{ProviderChain, NewToken{Name: "ops", Roles: []RoleName{RoleOperator}},
			map[string]string{"name": "ops", "roles": "operator", "expires_at": "never"}},
	} {
		if _, err := h.registry.CreateToken(t.Context(), operator(), c.in); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, h.newestDetail(c.chain)); diff != "" {
			t.Errorf("token.created in %s: %s", c.chain, diff)
		}
	}
}
