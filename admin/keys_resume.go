package admin

import (
	"context"

	"postern/internal/keys"
)

const resumeKeyDoc = "Puts a suspended key back into use. What an administrator or the provider suspended, only they resume."

func (s *server) resumeKey(ctx context.Context, a keys.Actor, in *TurnKey) (*keyOutput, error) {
	c, err := s.Registry.Resume(ctx, a, keys.CredentialID(in.ID), in.reason(), versionsOf(in.IfMatch)...)
	if err != nil {
		return nil, err
	}
	return &keyOutput{ETag: etag(c.Version), Body: s.makeKey(c)}, nil
}
