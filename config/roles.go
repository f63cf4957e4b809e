package config

import (
	"fmt"
	"slices"

	"postern/internal/keys"
)

// Role is a set of permissions: one more, or in place of a built-in role of tenants.
type Role struct {
	Name        string   `yaml:"-"`
	Title       string   `yaml:"title"` // the name when not written
	Permissions []string `yaml:"permissions" required:"permissions: [keys.read, keys.generate]"`
	Provider    bool     `yaml:"provider" default:"false"` // for the provider's people only
}

// checkRoles complains about permissions that there are not, and about those that nobody within a
// tenant may have.
func (d *decoder) checkRoles(c *Config) {
	var all []string
	for p := range keys.AllPermissions() {
		all = append(all, string(p))
	}
	for name, r := range c.Roles {
		r.Name = name
		if r.Title == "" {
			r.Title = name
		}
		d.checkBuiltinRole(r)
		for i, p := range r.Permissions {
			at := path{"roles", name, "permissions", index(i)}
			switch {
			case d.broken(at...):
			case !slices.Contains(all, p):
				d.wrong(at, fmt.Sprintf("there is no permission %s", show(p)), meant(p, all))
			case slices.Contains(r.Permissions[:i], p):
				d.wrong(at, fmt.Sprintf("%s is listed twice", p), "keep one")
			case !r.Provider && keys.ProviderPermissions().Has(keys.Permission(p)):
				d.wrong(at, fmt.Sprintf("%s is for the provider's people only", p), "remove it, or set provider: true, and then nobody within a tenant can have the role")
			}
		}
	}
}

// checkBuiltinRole keeps the provider's built-in roles as they are: there must be a way in that no
// mistake in the file closes.
func (d *decoder) checkBuiltinRole(r *Role) {
	for _, builtin := range keys.BuiltinRoles() {
		switch p := (path{"roles", r.Name}); {
		case string(builtin.Name) != r.Name || d.broken(p...):
		case builtin.Provider:
			d.wrongKey(p, "is a built-in role of the provider, which stays as it is", "choose another name")
		case r.Provider:
			d.wrong(p.to("provider"), fmt.Sprintf("%s is a built-in role of tenants", r.Name), "remove it, or choose another name for the role")
		}
	}
}

func (c *Config) roles() map[keys.RoleName]keys.Role {
	out := make(map[keys.RoleName]keys.Role, len(c.Roles))
	for name, r := range c.Roles {
		role := keys.Role{Name: keys.RoleName(name), Title: r.Title, Provider: r.Provider, Permissions: keys.PermissionSet{}}
		for _, p := range r.Permissions {
			role.Permissions[keys.Permission(p)] = struct{}{}
		}
		out[role.Name] = role
	}
	return out
}
