package keys

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outcomes writes what happened to each key as "id state code".
func outcomes(done ManyRevoked) (list []string) {
	for _, o := range done.Outcomes {
		line := string(o.ID) + " " + string(o.Status)
		if o.No != nil {
			line += " " + string(o.No.Code)
		}
		list = append(list, strings.TrimSpace(line))
	}
	return list
}

func TestRevokeManyTellsOfEach(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	admin := member("acme", RoleTenantAdmin)
	make := func(tenant TenantID, edit func(*Credential)) CredentialID {
		id := h.generate(NewCredential{Tenant: tenant}).Credential.ID
		h.change(id, edit)
		return id
	}
	active := make("acme", func(*Credential) {})
	suspended := make("acme", func(c *Credential) { c.Status = Suspended })
	revoked := make("acme", func(c *Credential) { c.Status = Revoked })
	expired := make("acme", func(c *Credential) { c.ExpiresAt = h.clock.Now() })
	foreign := make("default", func(*Credential) {})
	declared := make("acme", func(c *Credential) { c.ManagedBy = "gateway.yaml:3" })
	forged := make("acme", func(*Credential) {})
	h.store.forge(forged, func(c *Credential) { c.Scopes = []Scope{"bills.pay"} })
	ids := []CredentialID{active, suspended, active, revoked, expired, foreign, "key_000000000000", "pst_live_x", declared, forged}
	would := []string{
		string(active) + " active", string(suspended) + " suspended", string(revoked) + " revoked invalid_state", string(expired) + " expired invalid_state",
		string(foreign) + "  not_found", "key_000000000000  not_found", "pst_live_x  not_found", string(declared) + " active", string(forged) + "  invalid_state",
	}
	before := h.store.newest()
	done, err := h.registry.RevokeMany(t.Context(), admin, ManyRevocations{IDs: ids, DryRun: true, Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(would, outcomes(done)); diff != "" {
		t.Errorf("dry run:\n%s", diff)
	}
	if h.store.newest() != before {
		t.Error("a dry run wrote something")
	}
	entries := h.last("acme").Seq
	if done, err = h.registry.RevokeMany(t.Context(), admin, ManyRevocations{IDs: ids, Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	for i, was := range would {
		for _, state := range []string{" active", " suspended"} {
			would[i] = strings.Replace(was, state, " revoked", 1)
			was = would[i]
		}
	}
	if diff := cmp.Diff(would, outcomes(done)); diff != "" {
		t.Errorf("outcomes:\n%s", diff)
	}
	if e := h.last("acme"); e.Seq != entries+3 || e.Action != "key.revoked" || e.Detail["reason"] != "r" || e.Actor != admin.ActorRef {
		t.Errorf("%d new audit entries, the last %+v; want 3", e.Seq-entries, e)
	}
	for _, id := range []CredentialID{active, suspended, declared} {
		if c := h.stored(id); c.Status != Revoked || !h.vault.CredentialIntact(&c) {
			t.Errorf("%s is %s", id, c.Status)
		}
	}
	if c := h.stored(foreign); c.Status != Active {
		t.Errorf("another tenant's is %s", c.Status)
	}
}

func TestRevokeManyByFilter(t *testing.T) {
	h, ids := shelf(t)
	h.change(ids["acme tenant"], func(c *Credential) { c.Status = Suspended })
	for _, c := range []struct {
		name  string
		actor Actor
		f     CredentialFilter
		want  string
	}{
		{"a tenant's, by the operator", operator(), CredentialFilter{Tenant: "acme"}, "acme tenant, acme user"},
		{"one state", operator(), CredentialFilter{Tenant: "acme", Status: Suspended}, "acme tenant"},
		{"a state that cannot be revoked", operator(), CredentialFilter{Tenant: "acme", Status: Denied}, ""},
		{"by owner", operator(), CredentialFilter{OwnerType: OwnerUser}, "acme user, default user"},
		{"by its administrator", member("acme", RoleTenantAdmin), CredentialFilter{Kind: APIKey}, "acme tenant, acme user"},
		{"by a developer: the tenant's own", member("acme", RoleDeveloper), CredentialFilter{Kind: APIKey}, "acme tenant"},
		{"by a person: also her own", h.person("acme", "usr_1", RoleDeveloper), CredentialFilter{Kind: APIKey}, "acme tenant, acme user"},
		{"another tenant's", member("acme", RoleTenantAdmin), CredentialFilter{Tenant: "default"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			done, err := h.registry.RevokeMany(t.Context(), c.actor, ManyRevocations{Filter: &c.f, DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for name, id := range ids {
				if slices.ContainsFunc(done.Outcomes, func(o RevokeOutcome) bool { return o.ID == id && o.No == nil }) {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if list := strings.Join(got, ", "); list != c.want || len(got) != len(done.Outcomes) {
				t.Errorf("got %q, want %q", list, c.want)
			}
		})
	}
}

func TestRevokeManyRefusals(t *testing.T) {
	h := newHouse(t)
	many := make([]CredentialID, MostRevoked+1)
	for name, c := range map[string]struct {
		actor Actor
		in    ManyRevocations
		want  RefusalCode
		field string
	}{
		"nothing":         {operator(), ManyRevocations{}, ValidationFailed, "ids"},
		"both":            {operator(), ManyRevocations{IDs: many[:1], Filter: &CredentialFilter{Tenant: "a"}}, ValidationFailed, "filter"},
		"too many":        {operator(), ManyRevocations{IDs: many}, ValidationFailed, "ids"},
		"everything":      {operator(), ManyRevocations{Filter: &CredentialFilter{}}, ValidationFailed, "filter"},
		"spaces":          {operator(), ManyRevocations{Filter: &CredentialFilter{Search: "  "}}, ValidationFailed, "filter"},
		"a wrong filter":  {operator(), ManyRevocations{Filter: &CredentialFilter{Status: "gone"}}, ValidationFailed, "filter.status"},
		"reading's wrong": {operator(), ManyRevocations{IDs: many[:1], Wrong: []FieldError{{"x", "y"}}}, ValidationFailed, "x"},
		"viewer":          {member("default", RoleViewer), ManyRevocations{IDs: many[:1]}, PermissionDenied, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.registry.RevokeMany(t.Context(), c.actor, c.in)
			if r := refused(t, err, c.want); c.field != "" && r.Fields[0].Field != c.field {
				t.Errorf("fields: %v", r.Fields)
			}
		})
	}
}

func TestRevokeManyGoesOnWhereItEnded(t *testing.T) {
	h := newHouse(t)
	_, err := h.store.Update(t.Context(), func(ctx context.Context, tx Tx) error {
		fake := tx.(*fakeTx) // as PutCredential compares every digest with every other
		for i := range MostRevoked + 5 {
			c := Credential{ID: CredentialID(fmt.Sprintf("key_%012d", i)), Kind: APIKey, Tenant: "default", Status: Active,
				Owner: Owner{OwnerTenant, "default", "default"}, Plan: "standard", CreatedAt: h.clock.Now(), Version: 1}
			h.vault.SealCredential(&c)
			fake.credentials[c.ID] = c
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f := CredentialFilter{Tenant: "default"}
	done, err := h.registry.RevokeMany(t.Context(), operator(), ManyRevocations{Filter: &f, DryRun: true})
	if err != nil || len(done.Outcomes) != MostRevoked || !done.More {
		t.Errorf("%d outcomes, more %t, %v", len(done.Outcomes), done.More, err)
	}
}

// breaksAfter is a store that is lost after some transactions.
type breaksAfter struct {
	*fakeStore
	left int
}

func (s *breaksAfter) Update(ctx context.Context, fn func(context.Context, Tx) error) (Seq, error) {
	if s.left--; s.left < 0 {
		return 0, ErrStoreUnavailable
	}
	return s.fakeStore.Update(ctx, fn)
}

// A store that is lost half-way: the answer tells which keys are revoked and which are not.
func TestRevokeManyTellsHowFarItCame(t *testing.T) {
	h := newHouse(t)
	var ids []CredentialID
	for range revokeChunk + 3 {
		ids = append(ids, h.generate(NewCredential{}).Credential.ID)
	}
	h.registry.store = &breaksAfter{h.store, 1}
	done, err := h.registry.RevokeMany(t.Context(), operator(), ManyRevocations{IDs: ids})
	if err != nil || len(done.Outcomes) != len(ids) {
		t.Fatalf("%d outcomes, %v", len(done.Outcomes), err)
	}
	for i, o := range done.Outcomes {
		c := h.stored(o.ID)
		if told := o.No == nil; told != (c.Status == Revoked) || told != (i < revokeChunk) {
			t.Errorf("key %d is %s, told %+v", i, c.Status, o.No)
		}
		if o.No != nil && o.No.Code != StoreUnavailableHere {
			t.Errorf("key %d: %v", i, o.No)
		}
	}
	_, err = h.registry.RevokeMany(t.Context(), operator(), ManyRevocations{IDs: ids})
	refused(t, err, StoreUnavailableHere)
}
