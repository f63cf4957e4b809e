package admin

import (
	"context"

	"postern/internal/keys"
)

const deleteKeyDoc = "Takes a key away, in whatever state it is. Only the audit trail still tells of it. " +
	"When this answers, the node that answered does not know the key any more."

type deleteKeyInput struct {
	ID      string `path:"id" pattern:"^(key|app)_[0-9A-Za-z]{12}$" patternDescription:"the id of a key" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	IfMatch string `header:"If-Match" doc:"Delete only while the key still has this ETag." example:"\"1\""`
}

func (s *server) deleteKey(ctx context.Context, a keys.Actor, in *deleteKeyInput) (*nothing, error) {
	if err := s.Registry.Delete(ctx, a, keys.CredentialID(in.ID), versionsOf(in.IfMatch)...); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}
