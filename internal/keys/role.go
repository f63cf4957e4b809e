package keys

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
