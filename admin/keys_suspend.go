package admin

import (
	"context"

	"postern/internal/keys"
)

const suspendKeyDoc = "Takes an active key out of use until it is resumed. When this answers, the node that answered refuses the key."

func (s *server) suspendKey(ctx context.Context, a keys.Actor, in *denyKeyInput) (*keyOutput, error) {
	c, err := s.Registry.Suspend(ctx, a, keys.CredentialID(in.ID), in.reason(), versionsOf(in.IfMatch)...)
	if err != nil {
		return nil, err
	}
	return &keyOutput{ETag: etag(c.Version), Body: s.makeKey(c)}, nil
}
