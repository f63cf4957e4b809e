package admin

import (
	"context"

	"postern/internal/keys"
)

const deleteUserDoc = "Removes a person with his sessions, and revokes the keys he owns. The last administrator cannot be deleted."

type deleteUserInput struct {
	ID      string `path:"id" pattern:"^usr_[0-9A-Za-z]{12}$" patternDescription:"the id of a user" doc:"The person's id." example:"usr_8Kd2mXk0aVbR"`
	IfMatch string `header:"If-Match" doc:"Delete only while the person still has this ETag." example:"\"1\""`
}

func (s *server) deleteUser(ctx context.Context, a keys.Actor, in *deleteUserInput) (*nothing, error) {
	if err := s.Registry.DeleteUser(ctx, a, keys.UserID(in.ID), versionsOf(in.IfMatch)...); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}
