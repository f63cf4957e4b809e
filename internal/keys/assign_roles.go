package keys

import (
	"context"
	"slices"
)

// AssignRoles gives a person exactly these roles. Nobody gives or takes what he lacks, except that a
// tenant's administrator may assign the built-in roles of tenants, also to himself. It counts from the
// person's next request on. Refusals: not_found, permission_denied, validation_failed, invalid_state
// for the last administrator, version_conflict, and the store's.
func (r *Registry) AssignRoles(ctx context.Context, a Actor, id UserID, roles []RoleName, ifVersion ...int64) (User, error) {
	var assigned User
	err := r.change(ctx, "assign roles", func(ctx context.Context, tx Tx) error {
		u, err := r.managedUser(ctx, tx, a, id, RolesManage)
		if err != nil {
			return err
		}
		if err := matching("user "+string(u.ID), ifVersion, u.Version); err != nil {
			return err
		}
		was := u
		var wrong fieldErrors
		var lacking error
		u.Roles, lacking = r.rolesFor(&wrong, roles, u.Tenant, func(role Role) bool {
			return slices.Contains(was.Roles, role.Name) || r.mayGive(a, role)
		})
		if err := wrong.refusal(); err != nil {
			return err
		}
		if lacking != nil {
			return lacking
		}
		assigned = u
		if slices.Equal(was.Roles, u.Roles) {
			return nil
		}
		if err := r.notTheLast(ctx, tx, &was, &u); err != nil {
			return err
		}
		if err := r.replaceUser(ctx, tx, &u); err != nil {
			return err
		}
		assigned = u
		return r.record(ctx, tx, a, u.chain(), "user.roles_assigned", string(u.ID), details(
			"before", join(was.Roles), "after", join(u.Roles)))
	})
	return assigned, err
}
