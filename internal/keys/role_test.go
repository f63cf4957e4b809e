package keys

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// roleTable is DESIGN section 6 in its own words.
var roleTable = map[RoleName]string{
	"viewer":    "keys.read",
	"developer": "keys.read keys.generate keys.edit keys.delete keys.revoke keys.reveal",
	"tenant_admin": "keys.read.any keys.revoke.any keys.access keys.reveal.tenant settings.manage users.read users.manage " +
		"roles.manage tokens.manage audit.read audit.export events.read usage.read.any explain",
	"auditor": "keys.read.any audit.read audit.export events.read usage.read.any",
	"support": "keys.read keys.read.any users.read audit.read events.read usage.read.any nodes.read config.read " +
		"requests.decide grants.manage explain",
	"operator": "keys.read keys.read.any keys.generate keys.generate.any keys.edit keys.edit.any keys.delete keys.delete.any " +
		"keys.revoke keys.revoke.any keys.reveal.tenant keys.access settings.manage users.read users.manage roles.manage " +
		"tokens.manage audit.read audit.export events.read usage.read.any explain requests.decide grants.manage tenants.manage " +
		"nodes.read config.read config.reload",
}

func TestBuiltinRolesAreTheTable(t *testing.T) {
	got := map[RoleName]PermissionSet{}
	for _, r := range BuiltinRoles() {
		got[r.Name] = r.Permissions
		if r.Provider != (r.Name == RoleSupport || r.Name == RoleOperator) {
			t.Errorf("%s: provider is %t", r.Name, r.Provider)
		}
	}
	want := map[RoleName]PermissionSet{}
	for name, list := range roleTable {
		want[name] = PermissionSet{}
		for _, p := range strings.Fields(list) {
			want[name][Permission(p)] = struct{}{}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("roles differ from the table (-want +got):\n%s", diff)
	}
}

func TestRolesAreFreshCopies(t *testing.T) {
	delete(BuiltinRoles()[0].Permissions, KeysRead)
	if !BuiltinRoles()[0].Permissions.Has(KeysRead) {
		t.Error("a caller can change a built-in role")
	}
}

func TestPermissionSet(t *testing.T) {
	s := PermissionSet{KeysRead: {}, KeysEdit: {}}
	if !s.Has(KeysRead) || s.Has(KeysReadAny) {
		t.Error("Has")
	}
	if !s.HasAny(KeysReadAny, KeysEdit) || s.HasAny(KeysReadAny) || s.HasAny() {
		t.Error("HasAny")
	}
	if !s.Covers(PermissionSet{KeysRead: {}}) || !s.Covers(nil) || s.Covers(PermissionSet{KeysRead: {}, AuditRead: {}}) {
		t.Error("Covers")
	}
	if diff := cmp.Diff(PermissionSet{KeysEdit: {}, KeysRead: {}}, s); diff != "" {
		t.Error(diff)
	}
	if len(AllPermissions()) != 29 {
		t.Errorf("%d permissions, want the 29 of the table", len(AllPermissions()))
	}
}
