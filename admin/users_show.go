package admin

import (
	"context"

	"postern/internal/keys"
)

const showUserDoc = "Shows a person: oneself, or with users.read somebody else."

func (s *server) showUser(ctx context.Context, a keys.Actor, in *userInput) (*userOutput, error) {
	u, err := s.Registry.UserNamed(ctx, a, keys.UserID(in.ID))
	if err != nil {
		return nil, err
	}
	return showUserOutput(u), nil
}
