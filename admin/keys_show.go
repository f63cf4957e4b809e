package admin

import (
	"context"

	"postern/internal/keys"
)

const showKeyDoc = "Shows one key. A key that the caller may not see is answered as one that is not there."

type keyInput struct {
	ID string `path:"id" pattern:"^(key|app)_[0-9A-Za-z]{12}$" patternDescription:"the id of a key" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
}

func (s *server) showKey(ctx context.Context, a keys.Actor, in *keyInput) (*keyOutput, error) {
	c, err := s.Registry.Credential(ctx, a, keys.CredentialID(in.ID))
	if err != nil {
		return nil, err
	}
	return &keyOutput{ETag: etag(c.Version), Body: s.makeKey(c)}, nil
}
