package keys

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shelf has a tenant's key and a person's in each of two tenants.
func shelf(t *testing.T) (h *house, ids map[string]CredentialID) {
	h, ids = newHouse(t), map[string]CredentialID{}
	for _, tenant := range []TenantID{"default", "acme"} {
		h.tenant(tenant, nil)
		a, b := h.generate(NewCredential{Tenant: tenant}), h.generate(NewCredential{Tenant: tenant})
		h.change(b.Credential.ID, func(c *Credential) { c.Owner = Owner{OwnerUser, "usr_1", "Ann"} })
		ids[string(tenant)+" tenant"], ids[string(tenant)+" user"] = a.Credential.ID, b.Credential.ID
	}
	return h, ids
}

func TestWhoSeesWhat(t *testing.T) {
	h, ids := shelf(t)
	all := "acme tenant, acme user, default tenant, default user"
	for _, c := range []struct {
		name  string
		actor Actor
		sees  string // "-": permission_denied
	}{
		{"operator", operator(), all},
		{"local", LocalActor("cli"), all},
		{"support", Actor{Permissions: mustRole(RoleSupport)}, all},
		{"administrator", member("acme", RoleTenantAdmin), "acme tenant, acme user"},
		{"auditor", member("acme", RoleAuditor), "acme tenant, acme user"},
		{"developer", member("acme", RoleDeveloper), "acme tenant"},
		{"viewer", member("default", RoleViewer), "default tenant"},
		{"viewer of a third tenant", member("third", RoleViewer), ""},
		{"no role", member("acme"), "-"},
		{"nobody", Actor{}, "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			page, err := h.registry.Credentials(t.Context(), c.actor, CredentialFilter{})
			if c.sees == "-" {
				refused(t, err, PermissionDenied)
			} else if err != nil {
				t.Fatal(err)
			}
			listed := map[CredentialID]bool{}
			for _, item := range page.Items {
				listed[item.ID] = true
			}
			var got []string
			for _, name := range sortedKeys(ids) {
				one, err := h.registry.Credential(t.Context(), c.actor, ids[name])
				switch {
				case c.sees == "-":
					refused(t, err, PermissionDenied)
				case err != nil:
					refused(t, err, NotFoundHere)
				case one.ID != ids[name]:
					t.Errorf("asked for %s, got %s", ids[name], one.ID)
				}
				if (err == nil) != listed[ids[name]] {
					t.Errorf("%s: shown alone %t, listed %t", name, err == nil, listed[ids[name]])
				}
				if err == nil {
					got = append(got, name)
				}
			}
			if seen := strings.Join(got, ", "); c.sees != "-" && seen != c.sees {
				t.Errorf("sees %q, want %q", seen, c.sees)
			}
		})
	}
}

func TestListNarrowsToWhatTheActorMaySee(t *testing.T) {
	h, ids := shelf(t)
	list := func(a Actor, f CredentialFilter) []CredentialID {
		t.Helper()
		page, err := h.registry.Credentials(t.Context(), a, f)
		if err != nil {
			t.Fatal(err)
		}
		var got []CredentialID
		for _, c := range page.Items {
			got = append(got, c.ID)
		}
		return got
	}
	if got := list(member("acme", RoleTenantAdmin), CredentialFilter{Tenant: "default"}); got != nil {
		t.Errorf("another tenant's: %v", got)
	}
	if got := list(member("acme", RoleDeveloper), CredentialFilter{OwnerType: OwnerUser}); got != nil {
		t.Errorf("persons' keys for a token with keys.read: %v", got)
	}
	if diff := cmp.Diff([]CredentialID{ids["acme user"]}, list(operator(), CredentialFilter{Tenant: "acme", OwnerType: OwnerUser})); diff != "" {
		t.Error(diff)
	}
}

func TestListPages(t *testing.T) {
	h := newHouse(t)
	for i := range 5 {
		h.generate(NewCredential{Name: fmt.Sprint(i)})
	}
	f := CredentialFilter{Limit: 2}
	var sizes []int
	for {
		page, err := h.registry.Credentials(t.Context(), operator(), f)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page.Items))
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if diff := cmp.Diff([]int{2, 2, 1}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestListRefusesWrongFilters(t *testing.T) {
	h := newHouse(t)
	for field, f := range map[string]CredentialFilter{
		"limit": {Limit: 1001}, "sort": {Sort: "owner"}, "status": {Status: "gone"}, "kind": {Kind: "token"}, "owner": {OwnerType: "x"},
		"search": {Search: strings.Repeat("s", 101)}, "cursor": {Cursor: "made up"},
	} {
		_, err := h.registry.Credentials(t.Context(), operator(), f)
		if r := refused(t, err, ValidationFailed); len(r.Fields) != 1 || r.Fields[0].Field != field {
			t.Errorf("%s: got %+v", field, r.Fields)
		}
	}
	_, err := h.registry.Credentials(t.Context(), operator(), CredentialFilter{Limit: -1, Sort: "-"})
	if r := refused(t, err, ValidationFailed); len(r.Fields) != 1 || r.Fields[0].Field != "limit" {
		t.Errorf("got %+v", r.Fields)
	}
}

func TestEffectiveScopesFollowTheCatalog(t *testing.T) {
	h := newHouse(t)
	c := h.generate(NewCredential{APIs: []APIName{"orders"}, Scopes: []Scope{"bills.pay", "orders.read"}}).Credential
	if diff := cmp.Diff([]Scope{"bills.pay", "orders.read", "orders.write"}, h.registry.EffectiveScopes(c)); diff != "" {
		t.Error(diff)
	}
	h.setCatalog(func(cat *Catalog) { cat.APIs["orders"].Scopes["orders.new"] = "" })
	if diff := cmp.Diff([]Scope{"bills.pay", "orders.new", "orders.read", "orders.write"}, h.registry.EffectiveScopes(c)); diff != "" {
		t.Error(diff)
	}
}
