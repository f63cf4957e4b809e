package admin

import (
	"context"

	"postern/internal/keys"
)

// PeopleRegistry is the part of Registry about tenants, people and their sessions.
type PeopleRegistry interface {
	SessionActor(ctx context.Context, text keys.Secret, from keys.Caller) (keys.Actor, keys.Session, error)
	OpenSession(ctx context.Context, in keys.SignIn) (keys.OpenedSession, error)
	ConfirmSession(ctx context.Context, text, password keys.Secret, from keys.Caller) (keys.OpenedSession, error)
	CloseSession(ctx context.Context, text keys.Secret, from keys.Caller) error
	May(ctx context.Context, a keys.Actor) (map[keys.Permission]keys.Allowance, error)

	CreateUser(ctx context.Context, a keys.Actor, in keys.NewUser) (keys.User, error)
	UserNamed(ctx context.Context, a keys.Actor, id keys.UserID) (keys.User, error)
	Users(ctx context.Context, a keys.Actor, tenant string, f keys.UserFilter) (keys.UserPage, error)
	PermissionsOf(u keys.User) []keys.Permission
	EditUser(ctx context.Context, a keys.Actor, id keys.UserID, in keys.UserEdit) (keys.User, error)
	DeleteUser(ctx context.Context, a keys.Actor, id keys.UserID, ifVersion ...int64) error
	AssignRoles(ctx context.Context, a keys.Actor, id keys.UserID, roles []keys.RoleName, ifVersion ...int64) (keys.User, error)
	SetKeyAccess(ctx context.Context, a keys.Actor, id keys.UserID, allowed bool) (keys.User, int, error)
	Sessions(ctx context.Context, a keys.Actor, id keys.UserID) ([]keys.Session, error)
	EndSessions(ctx context.Context, a keys.Actor, id keys.UserID, session keys.SessionID) (int, error)
	Invite(ctx context.Context, a keys.Actor, in keys.Invitation) (keys.Invited, error)
	AcceptCode(ctx context.Context, code, password keys.Secret, from keys.Caller) (keys.User, error)

	Roles(ctx context.Context, a keys.Actor) ([]keys.RoleInfo, error)
	RoleNamed(ctx context.Context, a keys.Actor, name keys.RoleName) (keys.RoleInfo, error)

	CreateTenant(ctx context.Context, a keys.Actor, in keys.NewTenant) (keys.Tenant, error)
	TenantNamed(ctx context.Context, a keys.Actor, id keys.TenantID) (keys.Tenant, error)
	TenantList(ctx context.Context, a keys.Actor, f keys.TenantFilter) (keys.TenantPage, error)
	EditTenant(ctx context.Context, a keys.Actor, id keys.TenantID, in keys.TenantEdit) (keys.Tenant, error)
	Settings(ctx context.Context, a keys.Actor, id keys.TenantID) (keys.EffectiveSettings, error)
	ChangeSettings(ctx context.Context, a keys.Actor, id keys.TenantID, in keys.SettingsChange) (keys.EffectiveSettings, error)
}
