package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func TestRoles(t *testing.T) {
	c := load(t, "testdata/good/roles.yaml")
	want := map[keys.RoleName]keys.Role{
		"key_manager": {Name: "key_manager", Title: "Key manager", Permissions: keys.PermissionSet{keys.KeysAccess: {}, keys.UsersRead: {}}},
		"viewer":      {Name: "viewer", Title: "viewer", Permissions: keys.PermissionSet{keys.KeysRead: {}, keys.KeysReadAny: {}}},
		"clerk":       {Name: "clerk", Title: "clerk", Provider: true, Permissions: keys.PermissionSet{keys.TenantsManage: {}}},
	}
	if diff := cmp.Diff(want, c.Catalog().Roles); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
