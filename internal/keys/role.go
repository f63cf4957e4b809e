package keys

import "slices"

// Permission is a verb that a role grants.
type Permission string

// RoleName names a set of permissions.
type RoleName string

// PermissionSet is a set of permissions.
type PermissionSet map[Permission]struct{}

// The permissions. "Own" is a person's own credentials; .any is the whole tenant's.
const (
	KeysRead         Permission = "keys.read"
	KeysReadAny      Permission = "keys.read.any"
	KeysGenerate     Permission = "keys.generate"
	KeysGenerateAny  Permission = "keys.generate.any"
	KeysEdit         Permission = "keys.edit"
	KeysEditAny      Permission = "keys.edit.any"
	KeysDelete       Permission = "keys.delete"
	KeysDeleteAny    Permission = "keys.delete.any"
	KeysRevoke       Permission = "keys.revoke"
	KeysRevokeAny    Permission = "keys.revoke.any"
	KeysReveal       Permission = "keys.reveal"        // own, user-owned
	KeysRevealTenant Permission = "keys.reveal.tenant" // tenant-owned
	KeysAccess       Permission = "keys.access"
	SettingsManage   Permission = "settings.manage"
	UsersRead        Permission = "users.read"
	UsersManage      Permission = "users.manage"
	RolesManage      Permission = "roles.manage"
	TokensManage     Permission = "tokens.manage"
	AuditRead        Permission = "audit.read"
	AuditExport      Permission = "audit.export"
	EventsRead       Permission = "events.read"
	UsageReadAny     Permission = "usage.read.any"
	ExplainDecision  Permission = "explain"
	RequestsDecide   Permission = "requests.decide"
	GrantsManage     Permission = "grants.manage"
	TenantsManage    Permission = "tenants.manage"
	NodesRead        Permission = "nodes.read"
	ConfigRead       Permission = "config.read"
	ConfigReload     Permission = "config.reload"
)

// Has tells whether the permission is in the set.
func (s PermissionSet) Has(p Permission) bool {
	_, ok := s[p]
	return ok
}

// HasAny tells whether one of the permissions is in the set.
func (s PermissionSet) HasAny(ps ...Permission) bool { return slices.ContainsFunc(ps, s.Has) }

// Covers tells whether every permission of other is in the set.
func (s PermissionSet) Covers(other PermissionSet) bool {
	for p := range other {
		if !s.Has(p) {
			return false
		}
	}
	return true
}

func permissions(lists ...[]Permission) PermissionSet {
	s := PermissionSet{}
	for _, list := range lists {
		for _, p := range list {
			s[p] = struct{}{}
		}
	}
	return s
}

// AllPermissions returns a new set of every permission there is.
func AllPermissions() PermissionSet {
	return permissions([]Permission{
		KeysRead, KeysReadAny, KeysGenerate, KeysGenerateAny, KeysEdit, KeysEditAny, KeysDelete, KeysDeleteAny,
		KeysRevoke, KeysRevokeAny, KeysReveal, KeysRevealTenant, KeysAccess, SettingsManage, UsersRead, UsersManage,
		RolesManage, TokensManage, AuditRead, AuditExport, EventsRead, UsageReadAny, ExplainDecision,
		RequestsDecide, GrantsManage, TenantsManage, NodesRead, ConfigRead, ConfigReload,
	})
}

// The built-in roles.
const (
	RoleViewer      RoleName = "viewer"
	RoleDeveloper   RoleName = "developer"
	RoleTenantAdmin RoleName = "tenant_admin"
	RoleAuditor     RoleName = "auditor"
	RoleSupport     RoleName = "support"
	RoleOperator    RoleName = "operator"
)

// Role is what a role name stands for.
type Role struct {
	Name        RoleName
	Title       string // for people; "" for the built-in ones
	Provider    bool   // for the provider's people only, never within a tenant
	Permissions PermissionSet
}

// BuiltinRoles returns the built-in roles, those of tenants first.
func BuiltinRoles() []Role {
	viewer := []Permission{KeysRead}
	operator := AllPermissions()
	delete(operator, KeysReveal) // a person's secret is his own
	return []Role{
		{Name: RoleViewer, Permissions: permissions(viewer)},
		{Name: RoleDeveloper, Permissions: permissions(viewer,
			[]Permission{KeysGenerate, KeysEdit, KeysDelete, KeysRevoke, KeysReveal})},
		{Name: RoleTenantAdmin, Permissions: permissions([]Permission{
			KeysReadAny, KeysRevokeAny, KeysAccess, KeysRevealTenant, SettingsManage, UsersRead, UsersManage,
			RolesManage, TokensManage, AuditRead, AuditExport, EventsRead, UsageReadAny, ExplainDecision})},
		{Name: RoleAuditor, Permissions: permissions([]Permission{
			KeysReadAny, AuditRead, AuditExport, EventsRead, UsageReadAny})},
		{Name: RoleSupport, Provider: true, Permissions: permissions([]Permission{
			KeysRead, KeysReadAny, UsersRead, AuditRead, EventsRead, UsageReadAny, NodesRead, ConfigRead,
			RequestsDecide, GrantsManage, ExplainDecision})},
		{Name: RoleOperator, Provider: true, Permissions: operator},
	}
}

// ProviderPermissions returns those that no role of a tenant can have.
func ProviderPermissions() PermissionSet {
	return permissions([]Permission{RequestsDecide, GrantsManage, TenantsManage, NodesRead, ConfigRead, ConfigReload})
}

// builtinRole finds a built-in role.
func builtinRole(name RoleName) (Role, bool) {
	for _, r := range BuiltinRoles() {
		if r.Name == name {
			return r, true
		}
	}
	return Role{}, false
}
