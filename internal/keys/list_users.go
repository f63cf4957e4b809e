package keys

import (
	"context"
	"slices"
)

// UserNamed shows one person: oneself, or with users.read somebody else. not_found also when the actor
// may not see him, or his record was altered behind our back.
func (r *Registry) UserNamed(ctx context.Context, a Actor, id UserID) (User, error) {
	u, err := r.knownUser(ctx, r.store, a, id)
	if err != nil {
		return User{}, err
	}
	if a.User != id && !a.Permissions.HasAny(UsersRead, UsersManage) {
		return User{}, r.denied(UsersRead)
	}
	if !r.vault.UserIntact(&u) {
		r.forged.tell(r.log, "user", string(id))
		return User{}, absent("user", string(id))
	}
	return u, nil
}

// Users lists people: the provider's see all, others their tenant's. tenant is as in NewUser; "" for
// all that one may see. f.Limit 0 means 100. Altered records are left out, as Credentials does.
func (r *Registry) Users(ctx context.Context, a Actor, tenant string, f UserFilter) (UserPage, error) {
	if !a.Permissions.HasAny(UsersRead, UsersManage) {
		return UserPage{}, r.denied(UsersRead)
	}
	var wrong fieldErrors
	f.Limit = wrong.limit(f.Limit)
	f.Search = wrong.line("search", f.Search, maxName)
	if err := wrong.refusal(); err != nil {
		return UserPage{}, err
	}
	f.Everywhere, f.Tenant = false, TenantID(tenant)
	switch {
	case tenant == ProviderName:
		f.Tenant = ""
	case tenant == "" && a.provider():
		f.Everywhere = true
	case tenant == "":
		f.Tenant = a.Tenant
	}
	if !a.actsIn(f.Tenant) {
		return UserPage{}, nil
	}
	page, err := r.store.Users(ctx, f)
	if err != nil {
		return UserPage{}, r.listFailure(err)
	}
	page.Items = slices.DeleteFunc(page.Items, func(u User) bool {
		if r.vault.UserIntact(&u) && a.actsIn(u.Tenant) {
			return false
		}
		r.forged.tell(r.log, "user", string(u.ID))
		return true
	})
	return page, nil
}

// PermissionsOf tells what a person may, by his roles under the present catalog, sorted.
func (r *Registry) PermissionsOf(u User) []Permission {
	return sortedKeys(r.catalog.Load().permissionsOf(u.Roles, u.Tenant))
}
