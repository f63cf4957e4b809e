package admin

import (
	"context"
	"slices"

	"postern/internal/keys"
)

const (
	listRolesDoc = "Lists the built-in roles and those of the configuration, with what each lets do."
	showRoleDoc  = "Shows one role."
)

// Role is a named set of permissions.
type Role struct {
	Name        string   `json:"name" doc:"As it is assigned." example:"developer"`
	Title       string   `json:"title" doc:"For people; empty for the built-in ones." example:"Key manager"`
	Provider    bool     `json:"provider" doc:"Only the provider's people can have it."`
	BuiltIn     bool     `json:"built_in" doc:"It is there without being configured."`
	Permissions []string `json:"permissions" doc:"What it lets do." example:"keys.read"`
}

// RoleList are all roles.
type RoleList struct {
	Items []Role  `json:"items" doc:"The roles."`
	Next  *string `json:"next" doc:"Always null: there is one page."`
}

type roleListOutput struct{ Body RoleList }

type roleInput struct {
	Name string `path:"name" doc:"The role's name." example:"developer"`
}

type roleOutput struct{ Body Role }

func makeRole(r keys.RoleInfo) Role {
	out := Role{Name: string(r.Name), Title: r.Title, Provider: r.Provider, BuiltIn: r.BuiltIn, Permissions: make([]string, 0, len(r.Permissions))}
	for p := range r.Permissions {
		out.Permissions = append(out.Permissions, string(p))
	}
	slices.Sort(out.Permissions)
	return out
}

func (s *server) listRoles(ctx context.Context, a keys.Actor, _ *struct{}) (*roleListOutput, error) {
	list, err := s.Registry.Roles(ctx, a)
	if err != nil {
		return nil, err
	}
	out := &roleListOutput{Body: RoleList{Items: make([]Role, len(list))}}
	for i, r := range list {
		out.Body.Items[i] = makeRole(r)
	}
	return out, nil
}

func (s *server) showRole(ctx context.Context, a keys.Actor, in *roleInput) (*roleOutput, error) {
	r, err := s.Registry.RoleNamed(ctx, a, keys.RoleName(in.Name))
	if err != nil {
		return nil, err
	}
	return &roleOutput{Body: makeRole(r)}, nil
}
