package admin

import (
	"net/http"

	"postern/internal/keys"
)

// signedIn lets everybody at an endpoint who is signed in, with a token or as a person: the Registry
// decides by whom or what it is about.
func signedIn() access { return access{signedIn: true} }

// peopleRoutes are about organisations, people and their sessions.
func (s *server) peopleRoutes() []route {
	return []route{
		{http.MethodPost, "/v1/session", "sign-in", everyone(), act(s.signInPerson), "Sign in", signInDoc},
		{http.MethodGet, "/v1/session", "show-session", signedIn(), act(s.showSession), "Who am I", showSessionDoc},
		{http.MethodDelete, "/v1/session", "sign-out", everyone(), act(s.signOut), "Sign out", signOutDoc},
		{http.MethodPost, "/v1/session/confirm", "confirm-session", signedIn(), act(s.confirmSession), "Prove again who you are", confirmSessionDoc},
		{http.MethodPost, "/v1/invitations", "invite-user", needs(keys.UsersManage), create(s.inviteUser), "Invite a person", inviteUserDoc},
		{http.MethodPost, "/v1/password-resets", "set-password", everyone(), act(s.setPassword), "Choose a password", setPasswordDoc},

		{http.MethodGet, "/v1/tenants", "list-tenants", signedIn(), act(s.listTenants), "List organisations", listTenantsDoc},
		{http.MethodPost, "/v1/tenants", "create-tenant", needs(keys.TenantsManage), create(s.createTenant), "Create an organisation", createTenantDoc},
		{http.MethodGet, "/v1/tenants/{id}", "show-tenant", signedIn(), act(s.showTenant), "Show an organisation", showTenantDoc},
		{http.MethodPatch, "/v1/tenants/{id}", "edit-tenant", needs(keys.TenantsManage), act(s.editTenant), "Change an organisation", editTenantDoc},
		{http.MethodGet, "/v1/tenants/{id}/settings", "show-settings", signedIn(), act(s.showSettings), "Show an organisation's rules for keys", showSettingsDoc},
		{http.MethodPatch, "/v1/tenants/{id}/settings", "change-settings", needs(keys.SettingsManage, keys.TenantsManage), act(s.changeSettings), "Change an organisation's rules for keys", changeSettingsDoc},

		{http.MethodGet, "/v1/users", "list-users", needs(keys.UsersRead, keys.UsersManage), act(s.listUsers), "List people", listUsersDoc},
		{http.MethodPost, "/v1/users", "create-user", needs(keys.UsersManage), create(s.createUser), "Create a person", createUserDoc},
		{http.MethodGet, "/v1/users/{id}", "show-user", signedIn(), act(s.showUser), "Show a person", showUserDoc},
		{http.MethodPatch, "/v1/users/{id}", "edit-user", signedIn(), act(s.editUser), "Change a person", editUserDoc},
		{http.MethodDelete, "/v1/users/{id}", "delete-user", needs(keys.UsersManage), act(s.deleteUser), "Delete a person", deleteUserDoc},
		{http.MethodGet, "/v1/users/{id}/roles", "show-user-roles", signedIn(), act(s.showUserRoles), "Show a person's roles", showUserRolesDoc},
		{http.MethodPut, "/v1/users/{id}/roles", "assign-roles", needs(keys.RolesManage), act(s.assignRoles), "Assign roles", assignRolesDoc},
		{http.MethodGet, "/v1/users/{id}/key-access", "show-key-access", signedIn(), act(s.showKeyAccess), "Show a person's access to keys", showKeyAccessDoc},
		{http.MethodPut, "/v1/users/{id}/key-access", "grant-key-access", needs(keys.KeysAccess), act(s.grantKeyAccess), "Grant access to keys", grantKeyAccessDoc},
		{http.MethodDelete, "/v1/users/{id}/key-access", "remove-key-access", needs(keys.KeysAccess), act(s.removeKeyAccess), "Remove access to keys", removeKeyAccessDoc},
		{http.MethodGet, "/v1/users/{id}/sessions", "list-sessions", signedIn(), act(s.listSessions), "List a person's sessions", listSessionsDoc},
		{http.MethodDelete, "/v1/users/{id}/sessions", "end-sessions", signedIn(), act(s.endSessions), "End a person's sessions", endSessionsDoc},
		{http.MethodDelete, "/v1/users/{id}/sessions/{session}", "end-session", signedIn(), act(s.endSession), "End one session", endSessionDoc},

		{http.MethodGet, "/v1/roles", "list-roles", signedIn(), act(s.listRoles), "List roles", listRolesDoc},
		{http.MethodGet, "/v1/roles/{name}", "show-role", signedIn(), act(s.showRole), "Show a role", showRoleDoc},
	}
}
