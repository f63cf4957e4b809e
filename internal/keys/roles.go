package keys

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// RoleInfo is a role as people see it.
type RoleInfo struct {
	Role
	BuiltIn bool // also where the configuration gives it other permissions
}

// role finds what a name stands for: what the configuration says, else the built-in role.
func (c *Catalog) role(name RoleName) (Role, bool) {
	if r, ok := c.Roles[name]; ok {
		return r, true
	}
	return builtinRole(name)
}

// roleNames lists every role, the built-in ones first.
func (c *Catalog) roleNames() []RoleName {
	var list []RoleName
	for _, r := range BuiltinRoles() {
		list = append(list, r.Name)
	}
	for _, name := range sortedKeys(c.Roles) {
		if _, builtin := builtinRole(name); !builtin {
			list = append(list, name)
		}
	}
	return list
}

// permissionsOf adds up what roles give in a tenant ("" for the provider). Roles that are gone, or
// that only the provider's people may have, give nothing.
func (c *Catalog) permissionsOf(roles []RoleName, in TenantID) PermissionSet {
	all := PermissionSet{}
	for _, name := range roles {
		role, known := c.role(name)
		if !known || role.Provider && in != "" {
			continue
		}
		for p := range role.Permissions {
			all[p] = struct{}{}
		}
	}
	return all
}

// administers tells whether who has these permissions is an administrator of a tenant, or of the
// provider (""): he decides who else may what.
func (c *Catalog) administers(s PermissionSet, in TenantID) bool {
	name := RoleTenantAdmin
	if in == "" {
		name = RoleOperator
	}
	admin, _ := c.role(name)
	return s.Has(RolesManage) && s.Has(UsersManage) && s.Covers(withoutReveal(admin.Permissions))
}

// mayGive tells whether an actor may assign a role: nobody gives what he lacks, but a tenant's
// administrator may assign the built-in roles of tenants, also to himself (requirement S3.7).
func (r *Registry) mayGive(a Actor, role Role) bool {
	if a.lends(role) {
		return true
	}
	_, builtin := builtinRole(role.Name)
	return builtin && !role.Provider && a.lendsReveal(role) && r.catalog.Load().administers(a.Permissions, DefaultTenant)
}

// lends tells whether an actor has all that a role gives. To see the secrets of one's own keys is no power
// over anybody else, so it can be given by who lacks it, as every operator does.
func (a Actor) lends(role Role) bool {
	return a.Permissions.Covers(withoutReveal(role.Permissions)) && a.lendsReveal(role)
}

// lendsReveal tells whether an actor may give away what a role has of seeing the tenant's secrets.
func (a Actor) lendsReveal(role Role) bool {
	return !role.Permissions.Has(KeysRevealTenant) || a.Permissions.Has(KeysRevealTenant) || a.LendsReveal
}

// rolesFor checks that roles exist, may be had in the tenant and may be given; lacking refuses those
// that may not, once the fields are right.
func (r *Registry) rolesFor(wrong *fieldErrors, roles []RoleName, in TenantID, may func(Role) bool) (list []RoleName, lacking error) {
	if n := len(roles); n > maxGranted {
		wrong.add("roles", "has %d entries; at most %d are possible", n, maxGranted)
		return nil, nil
	}
	cat := r.catalog.Load()
	for i, name := range roles {
		role, known := cat.role(name)
		switch field := "roles[" + strconv.Itoa(i) + "]"; {
		case !known:
			wrong.add(field, "%s", unknown("role", name, cat.roleNames()))
		case role.Provider && in != "":
			wrong.add(field, "%s is a role of the provider; nobody and no token of the tenant %s can have it", name, in)
		case !may(role):
			lacking = r.lacking(name)
		}
	}
	return sortedSet(roles), lacking
}

// lacking refuses to give what the actor does not have.
func (r *Registry) lacking(name RoleName) *Refusal {
	return &Refusal{
		Code:   PermissionDenied,
		Detail: "The role " + string(name) + " has permissions that you lack, and nobody can give what he lacks.",
		Hint:   r.help("Choose a role with less, or ask somebody who has it."),
	}
}

// Roles lists every role there is.
func (r *Registry) Roles(context.Context, Actor) ([]RoleInfo, error) {
	cat := r.catalog.Load()
	var list []RoleInfo
	for _, name := range cat.roleNames() {
		role, _ := cat.role(name)
		_, builtin := builtinRole(name)
		list = append(list, RoleInfo{Role: role, BuiltIn: builtin})
	}
	return list, nil
}

// RoleNamed shows one role; not_found, with the nearest name, otherwise.
func (r *Registry) RoleNamed(ctx context.Context, a Actor, name RoleName) (RoleInfo, error) {
	list, err := r.Roles(ctx, a)
	if err != nil {
		return RoleInfo{}, err
	}
	if i := slices.IndexFunc(list, func(info RoleInfo) bool { return info.Name == name }); i >= 0 {
		return list[i], nil
	}
	text := unknown("role", name, r.catalog.Load().roleNames())
	return RoleInfo{}, &Refusal{Code: NotFoundHere, Detail: strings.ToUpper(text[:1]) + text[1:] + ".", Hint: "GET /v1/roles lists them."}
}

// administratorsRoles are the roles that make an administrator by themselves.
func (c *Catalog) administratorsRoles(in TenantID) []RoleName {
	var list []RoleName
	for _, name := range c.roleNames() {
		if role, _ := c.role(name); (in == "" || !role.Provider) && c.administers(role.Permissions, in) {
			list = append(list, name)
		}
	}
	return list
}

// canAdminister tells whether the person could administer his tenant now: he has the permissions, a
// password, and is not disabled.
func (c *Catalog) canAdminister(u *User) bool {
	return !u.Disabled && u.Password != "" && c.administers(c.permissionsOf(u.Roles, u.Tenant), u.Tenant)
}

// errOnlyOne refuses what would leave a tenant, or the provider, without anybody to administer it.
func errOnlyOne(u *User) *Refusal {
	return &Refusal{
		Code:   InvalidState,
		Detail: "He is the last administrator of " + u.place() + " who can sign in; without him nobody could let anybody in.",
		Hint:   "Make somebody else an administrator first.",
	}
}

// notTheLast refuses to change an administrator into somebody who is none when no other is left. It
// is asked within the transaction, so that two at once cannot both go. next nil: he leaves.
//
// Only roles that make an administrator by themselves count for the others; who is one by several
// roles together is no help in an emergency that nobody thought of, and would cost reading everybody.
func (r *Registry) notTheLast(ctx context.Context, tx Tx, was *User, next *User) error {
	cat := r.catalog.Load()
	if !cat.canAdminister(was) || next != nil && cat.canAdminister(next) {
		return nil
	}
	for _, role := range cat.administratorsRoles(was.Tenant) {
		other, err := r.findUser(ctx, tx, UserFilter{Tenant: was.Tenant, Role: role}, func(u *User) bool {
			return u.ID != was.ID && cat.canAdminister(u)
		})
		if err != nil || other {
			return err
		}
	}
	return errOnlyOne(was)
}

// findUser tells whether an authentic record is as wanted.
func (r *Registry) findUser(ctx context.Context, from Reader, f UserFilter, wanted func(*User) bool) (bool, error) {
	f.Limit = longestPage
	for {
		page, err := from.Users(ctx, f)
		if err != nil {
			return false, err
		}
		for i := range page.Items {
			if u := &page.Items[i]; r.vault.UserIntact(u) && wanted(u) {
				return true, nil
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return false, nil
		}
	}
}

// HasAdministrator tells whether one of the provider's people can sign in and administer everything.
func (r *Registry) HasAdministrator(ctx context.Context) (bool, error) {
	cat := r.catalog.Load()
	for _, role := range cat.administratorsRoles("") {
		found, err := r.findUser(ctx, r.store, UserFilter{Role: role}, cat.canAdminister)
		if err != nil {
			return false, r.failure("look for an administrator", err)
		}
		if found {
			return true, nil
		}
	}
	return false, nil
}
