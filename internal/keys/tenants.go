package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxTenantID is the longest id of a tenant, in characters.
const maxTenantID = 63

// NewTenant is the input of CreateTenant.
type NewTenant struct {
	ID    TenantID // "": made of the name
	Name  string
	Plan  string // tenant plan; "" for none
	Wrong []FieldError
}

// CreateTenant makes an organisation. Refusals: permission_denied, validation_failed (all fields at
// once), and the store's.
func (r *Registry) CreateTenant(ctx context.Context, a Actor, in NewTenant) (Tenant, error) {
	if !a.provider() || !a.Permissions.Has(TenantsManage) {
		return Tenant{}, r.denied(TenantsManage)
	}
	now := r.instant()
	wrong := fieldErrors(slices.Clone(in.Wrong))
	t := Tenant{ID: in.ID, Name: wrong.line("name", in.Name, maxName), Plan: in.Plan, CreatedAt: now, UpdatedAt: now, Version: 1}
	if t.Name == "" {
		wrong.add("name", "is required")
	}
	if t.ID == "" {
		t.ID = tenantIDOf(t.Name)
	}
	if why := badTenantID(t.ID); why != "" && t.Name != "" {
		wrong.add("id", "%s", why)
	}
	r.tenantPlan(&wrong, in.Plan)
	if err := wrong.refusal(); err != nil {
		return Tenant{}, err
	}
	err := r.change(ctx, "create tenant", func(ctx context.Context, tx Tx) error {
		_, err := tx.Tenant(ctx, t.ID)
		if err == nil {
			var taken fieldErrors
			taken.add("id", "there is a tenant %s already", t.ID)
			return taken.refusal()
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := tx.PutTenant(ctx, t); err != nil {
			return err
		}
		return r.record(ctx, tx, a, ProviderChain, "tenant.created", string(t.ID), details("name", t.Name, "plan", t.Plan))
	})
	if err != nil {
		return Tenant{}, err
	}
	return t, nil
}

// tenantIDOf makes an id of a name: what is neither letter nor digit becomes a dash.
func tenantIDOf(name string) TenantID {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9') })
	id := strings.Join(words, "-")
	return TenantID(strings.Trim(id[:min(len(id), maxTenantID)], "-"))
}

// badTenantID says what is wrong with an id, which stands in headers, counters and file names.
func badTenantID(id TenantID) string {
	bad := strings.ContainsFunc(string(id), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
	switch {
	case id == "" || bad || len(id) > maxTenantID || strings.ContainsAny(string(id[:1]), "-_"):
		return fmt.Sprintf("%s is no id: it has 1 to %d of a-z, 0-9, - and _, and starts with a letter or digit", quote(string(id)), maxTenantID)
	case id == ProviderName:
		return "the word provider stands for the provider; choose another"
	}
	return ""
}

func (r *Registry) tenantPlan(wrong *fieldErrors, plan string) {
	cat := r.catalog.Load()
	if _, known := cat.TenantPlans[plan]; plan != "" && !known {
		wrong.add("plan", "%s", unknown("tenant plan", plan, sortedKeys(cat.TenantPlans)))
	}
}

// TenantEdit is the input of EditTenant; nil leaves a field as it is.
type TenantEdit struct {
	Name      *string
	Plan      *string // "" for none
	IfVersion []int64 // the version must be one of these; none: any
	Wrong     []FieldError
}

// EditTenant changes an organisation's name and what it has bought. With a Directory, a plan without
// keys stops its keys when it returns. Refusals: not_found, permission_denied, validation_failed,
// version_conflict, and the store's.
func (r *Registry) EditTenant(ctx context.Context, a Actor, id TenantID, in TenantEdit) (Tenant, error) {
	var edited Tenant
	err := r.change(ctx, "edit tenant", func(ctx context.Context, tx Tx) error {
		t, err := r.knownTenant(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if !a.provider() || !a.Permissions.Has(TenantsManage) {
			return r.denied(TenantsManage)
		}
		if err := matching("tenant "+string(t.ID), in.IfVersion, t.Version); err != nil {
			return err
		}
		wrong, was := append(fieldErrors(nil), in.Wrong...), t
		if in.Name != nil {
			if t.Name = wrong.line("name", *in.Name, maxName); t.Name == "" {
				wrong.add("name", "is required")
			}
		}
		if in.Plan != nil {
			t.Plan = *in.Plan
			r.tenantPlan(&wrong, t.Plan)
		}
		if err := wrong.refusal(); err != nil {
			return err
		}
		edited = t
		changed := differences(map[string]string{"name": was.Name, "plan": was.Plan}, map[string]string{"name": t.Name, "plan": t.Plan})
		if len(changed) == 0 {
			return nil
		}
		if err := r.replaceTenant(ctx, tx, &t); err != nil {
			return err
		}
		edited = t
		return r.record(ctx, tx, a, ProviderChain, "tenant.edited", string(id), changed)
	})
	return edited, err
}

func (r *Registry) replaceTenant(ctx context.Context, tx Tx, t *Tenant) error {
	t.UpdatedAt, t.Version = r.instant(), t.Version+1
	return tx.PutTenant(ctx, *t)
}

// knownTenant reads a tenant for an actor: not_found also when he does not belong there.
func (r *Registry) knownTenant(ctx context.Context, from Reader, a Actor, id TenantID) (Tenant, error) {
	if !a.actsIn(id) {
		return Tenant{}, absent("tenant", string(id))
	}
	t, err := from.Tenant(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Tenant{}, absent("tenant", string(id))
	}
	if err != nil {
		return Tenant{}, r.failure("read tenant", err)
	}
	return t, nil
}

// seesTenants tells whether one of the provider's people may know who the tenants are: whoever reads or
// manages anything in them.
func (a Actor) seesTenants() bool {
	return a.provider() && a.Permissions.HasAny(TenantsManage, KeysReadAny, UsersRead, UsersManage, AuditRead)
}

// TenantNamed shows an organisation, to its own people and to the provider's.
func (r *Registry) TenantNamed(ctx context.Context, a Actor, id TenantID) (Tenant, error) {
	if a.provider() && !a.seesTenants() {
		return Tenant{}, r.denied(TenantsManage)
	}
	return r.knownTenant(ctx, r.store, a, id)
}

// TenantList lists organisations: the provider's people see all, others their own. f.Limit 0 means 100.
func (r *Registry) TenantList(ctx context.Context, a Actor, f TenantFilter) (TenantPage, error) {
	var wrong fieldErrors
	f.Limit = wrong.limit(f.Limit)
	f.Search = wrong.line("search", f.Search, maxName)
	if err := wrong.refusal(); err != nil {
		return TenantPage{}, err
	}
	if !a.provider() {
		t, err := r.knownTenant(ctx, r.store, a, a.Tenant)
		if err != nil {
			return TenantPage{}, err
		}
		return TenantPage{Items: []Tenant{t}}, nil
	}
	if !a.seesTenants() {
		return TenantPage{}, r.denied(TenantsManage)
	}
	page, err := r.store.Tenants(ctx, f)
	if err != nil {
		return TenantPage{}, r.listFailure(err)
	}
	return page, nil
}
