package admin

import (
	"context"

	"postern/internal/keys"
)

const (
	showKeyAccessDoc   = "Tells whether a person may have keys: oneself, or with users.read somebody else."
	grantKeyAccessDoc  = "Lets a person have keys again. Those that removing his access suspended work again, unless they were revoked or have expired meanwhile."
	removeKeyAccessDoc = "Suspends all active keys of a person at once, and lets him generate and rotate none, not the organisation's either."
)

// KeyAccess tells whether a person may have keys.
type KeyAccess struct {
	Allowed bool `json:"allowed" doc:"He may have keys, if a role lets him."`
	Keys    int  `json:"keys" doc:"How many keys this call suspended, or brought back." example:"2"`
}

type keyAccessOutput struct{ Body KeyAccess }

func (s *server) showKeyAccess(ctx context.Context, a keys.Actor, in *userInput) (*keyAccessOutput, error) {
	u, err := s.Registry.UserNamed(ctx, a, keys.UserID(in.ID))
	if err != nil {
		return nil, err
	}
	return &keyAccessOutput{Body: KeyAccess{Allowed: !u.NoKeys}}, nil
}

func (s *server) grantKeyAccess(ctx context.Context, a keys.Actor, in *userInput) (*keyAccessOutput, error) {
	return s.setKeyAccess(ctx, a, in, true)
}

func (s *server) removeKeyAccess(ctx context.Context, a keys.Actor, in *userInput) (*keyAccessOutput, error) {
	return s.setKeyAccess(ctx, a, in, false)
}

func (s *server) setKeyAccess(ctx context.Context, a keys.Actor, in *userInput, allowed bool) (*keyAccessOutput, error) {
	u, n, err := s.Registry.SetKeyAccess(ctx, a, keys.UserID(in.ID), allowed)
	if err != nil {
		return nil, err
	}
	return &keyAccessOutput{Body: KeyAccess{Allowed: !u.NoKeys, Keys: n}}, nil
}
