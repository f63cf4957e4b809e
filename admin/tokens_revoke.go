package admin

import (
	"context"

	"postern/internal/keys"
)

const revokeTokenDoc = "Ends an admin token at once. It stays in the list as revoked."

type tokenInput struct {
	ID string `path:"id" pattern:"^tok_[0-9A-Za-z]{12}$" patternDescription:"the id of an admin token" doc:"The token's id." example:"tok_5Hs8KdPq1wEx"`
}

type nothing struct{}

func (s *server) revokeToken(ctx context.Context, a keys.Actor, in *tokenInput) (*nothing, error) {
	if _, err := s.Registry.RevokeToken(ctx, a, keys.TokenID(in.ID)); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}
