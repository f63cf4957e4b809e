package admin

import (
	"context"

	"postern/internal/keys"
)

const keyRolloverDoc = "Tells of each live secret of a key when it was last used: once the old one is used no more, every caller has the new one."

// KeyRollover is the use of each secret of a key.
type KeyRollover struct {
	ID      string           `json:"id" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	Secrets []RolloverSecret `json:"secrets" doc:"Its live secrets: one, or two during a rollover."`
}

// RolloverSecret is a secret and its place in a rollover.
type RolloverSecret struct {
	KeySecret
	Current bool `json:"current" doc:"Whether it is the newest one, which callers are to use." example:"true"`
}

type keyRolloverOutput struct{ Body KeyRollover }

func (s *server) keyRollover(ctx context.Context, a keys.Actor, in *keyInput) (*keyRolloverOutput, error) {
	c, err := s.Registry.Credential(ctx, a, keys.CredentialID(in.ID))
	if err != nil {
		return nil, err
	}
	secrets, newest := makeSecrets(c.Secrets)
	out := &keyRolloverOutput{Body: KeyRollover{ID: string(c.ID), Secrets: make([]RolloverSecret, len(secrets))}}
	for i, secret := range secrets {
		out.Body.Secrets[i] = RolloverSecret{KeySecret: secret, Current: i == newest}
	}
	return out, nil
}
