package admin

import (
	"context"

	"postern/internal/keys"
)

const suspendKeyDoc = "Takes an active key out of use until it is resumed. When this answers, the node that answered refuses the key." + waitDoc

func (s *server) suspendKey(ctx context.Context, a keys.Actor, in *denyKeyInput) (*deniedOutput, error) {
	most, err := in.most()
	if err != nil {
		return nil, err
	}
	c, err := s.Registry.Suspend(ctx, a, keys.CredentialID(in.ID), in.reason(), versionsOf(in.IfMatch)...)
	return s.denied(ctx, in, most, c, keys.Suspended, err)
}
