package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// NewUser is the input of CreateUser and Invite.
type NewUser struct {
	Email  string
	Name   string
	Tenant string // ProviderName for the provider's people; "": the actor's, see home
	Roles  []RoleName
	Wrong  []FieldError // what reading the input found already, as in NewCredential
}

// CreateUser makes a person, who cannot sign in before he was invited. To give him roles takes
// roles.manage too. Refusals: permission_denied, validation_failed (all fields at once), and the
// store's.
func (r *Registry) CreateUser(ctx context.Context, a Actor, in NewUser) (User, error) {
	u, err := r.draftUser(ctx, a, in)
	if err != nil {
		return User{}, err
	}
	return u, r.change(ctx, "create user", func(ctx context.Context, tx Tx) error {
		return r.insertUser(ctx, tx, a, u)
	})
}

// home finds the tenant a person shall belong to. Where the provider's people name none, roles of the
// provider make him one of theirs, and others one of the default tenant's.
func (r *Registry) home(a Actor, in NewUser) (TenantID, error) {
	tenant := TenantID(in.Tenant)
	switch {
	case in.Tenant == ProviderName:
		tenant = ""
	case in.Tenant == "" && !a.provider():
		tenant = a.Tenant
	case in.Tenant == "":
		tenant = DefaultTenant
		for _, name := range in.Roles {
			if role, _ := r.catalog.Load().role(name); role.Provider {
				tenant = ""
			}
		}
	}
	if !a.actsIn(tenant) {
		return "", &Refusal{
			Code:   PermissionDenied,
			Detail: fmt.Sprintf("You may manage people of the tenant %s only.", a.Tenant),
			Hint:   r.help("Leave tenant out, or ask the provider."),
		}
	}
	return tenant, nil
}

// draftUser checks the input, with every wrong field told.
func (r *Registry) draftUser(ctx context.Context, a Actor, in NewUser) (User, error) {
	if !a.Permissions.Has(UsersManage) {
		return User{}, r.denied(UsersManage)
	}
	if len(in.Roles) > 0 && !a.Permissions.Has(RolesManage) {
		return User{}, r.denied(RolesManage)
	}
	tenant, err := r.home(a, in)
	if err != nil {
		return User{}, err
	}
	id, err := random62(r.random, idLen)
	if err != nil {
		return User{}, err
	}
	now := r.instant()
	wrong := fieldErrors(slices.Clone(in.Wrong))
	u := User{
		ID: UserID("usr_" + id), Tenant: tenant, Email: wrong.email("email", in.Email),
		Name: wrong.line("name", in.Name, maxName), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if tenant != "" {
		_, err := r.store.Tenant(ctx, tenant)
		if errors.Is(err, ErrNotFound) {
			wrong.add("tenant", "there is no tenant %s", quote(string(tenant)))
		} else if err != nil {
			return User{}, r.failure("read tenant", err)
		}
	}
	var lacking error
	u.Roles, lacking = r.rolesFor(&wrong, in.Roles, tenant, func(role Role) bool { return r.mayGive(a, role) })
	if err := wrong.refusal(); err != nil {
		return User{}, err
	}
	return u, lacking
}

// insertUser writes a new person.
func (r *Registry) insertUser(ctx context.Context, tx Tx, a Actor, u User) error {
	r.vault.SealUser(&u)
	if err := r.putUser(ctx, tx, u); err != nil {
		return err
	}
	return r.record(ctx, tx, a, u.chain(), "user.created", string(u.ID), details(
		"email", u.Email, "name", u.Name, "tenant", string(u.Tenant), "roles", join(u.Roles)))
}

// putUser writes a sealed record, and says of an e-mail that is taken that it is.
func (r *Registry) putUser(ctx context.Context, tx Tx, u User) error {
	err := tx.PutUser(ctx, u)
	if errors.Is(err, ErrDuplicate) {
		var wrong fieldErrors
		wrong.add("email", "is another user's already")
		return wrong.refusal()
	}
	return err
}
