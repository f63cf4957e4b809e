package admin

import (
	"context"

	"postern/internal/keys"
)

const createUserDoc = "Makes a person, who cannot sign in before he was invited (POST /v1/invitations does both). " +
	"To give him roles takes roles.manage too, and nobody gives what he lacks, except that an administrator may give the built-in roles of organisations."

type createUserInput struct{ Body NewUser }

type createdUserOutput struct {
	ETag     string `header:"ETag" doc:"The version in quotes, for If-Match." example:"\"1\""`
	Location string `header:"Location" doc:"Where the person is." example:"/v1/users/usr_8Kd2mXk0aVbR"`
	Body     User
}

func (s *server) createUser(ctx context.Context, a keys.Actor, in *createUserInput) (*createdUserOutput, error) {
	b := in.Body
	u, err := s.Registry.CreateUser(ctx, a, keys.NewUser{Email: b.Email, Name: b.Name, Tenant: b.Tenant, Roles: names[keys.RoleName](b.Roles)})
	if err != nil {
		return nil, err
	}
	return &createdUserOutput{ETag: etag(u.Version), Location: "/v1/users/" + string(u.ID), Body: makeUser(u)}, nil
}
