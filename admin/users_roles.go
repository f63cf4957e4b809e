package admin

import (
	"context"

	"postern/internal/keys"
)

const (
	showUserRolesDoc = "Shows which roles a person has, and what they let him do: oneself, or with users.read somebody else."
	assignRolesDoc   = "Gives a person exactly these roles, from his next request on. Nobody gives or takes what he lacks, except that an administrator may assign " +
		"the built-in roles of organisations, also to himself. The last administrator cannot be demoted."
)

// UserRoles are a person's roles and what they come to.
type UserRoles struct {
	Roles       []string `json:"roles" doc:"His roles." example:"developer"`
	Permissions []string `json:"permissions" doc:"What they let him do." example:"keys.read"`
}

type userRolesOutput struct {
	ETag string `header:"ETag" doc:"The version of the person in quotes, for If-Match." example:"\"1\""`
	Body UserRoles
}

type assignRolesInput struct {
	ID      string `path:"id" pattern:"^usr_[0-9A-Za-z]{12}$" patternDescription:"the id of a user" doc:"The person's id." example:"usr_8Kd2mXk0aVbR"`
	IfMatch string `header:"If-Match" doc:"Assign only while the person still has this ETag." example:"\"1\""`
	Body    struct {
		Roles []string `json:"roles" doc:"All the roles he shall have; none is possible." example:"developer"`
	}
}

func (s *server) showUserRoles(ctx context.Context, a keys.Actor, in *userInput) (*userRolesOutput, error) {
	u, err := s.Registry.UserNamed(ctx, a, keys.UserID(in.ID))
	return s.userRoles(u, err)
}

func (s *server) assignRoles(ctx context.Context, a keys.Actor, in *assignRolesInput) (*userRolesOutput, error) {
	u, err := s.Registry.AssignRoles(ctx, a, keys.UserID(in.ID), names[keys.RoleName](in.Body.Roles), versionsOf(in.IfMatch)...)
	return s.userRoles(u, err)
}

func (s *server) userRoles(u keys.User, err error) (*userRolesOutput, error) {
	if err != nil {
		return nil, err
	}
	return &userRolesOutput{ETag: etag(u.Version), Body: UserRoles{Roles: texts(u.Roles), Permissions: texts(s.Registry.PermissionsOf(u))}}, nil
}
