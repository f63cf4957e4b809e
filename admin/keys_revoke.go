package admin

import (
	"context"

	"postern/internal/keys"
)

const revokeKeyDoc = "Ends a key for good; no role can make it work again. Only active and suspended keys can be revoked. " +
	"When this answers, the node that answered refuses the key." + waitDoc

// denyKeyInput is the input of revoke and suspend.
type denyKeyInput struct {
	TurnKey
	FleetWait
}

// TurnKey is the input of resume, and the most of that of revoke and suspend.
type TurnKey struct {
	ID      string  `path:"id" pattern:"^(key|app)_[0-9A-Za-z]{12}$" patternDescription:"the id of a key" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	IfMatch string  `header:"If-Match" doc:"Only while the key still has this ETag." example:"\"1\""`
	Body    *Reason `required:"false"`
}

// Reason says why.
type Reason struct {
	Reason string `json:"reason,omitempty" doc:"Kept in the audit trail." example:"leaked in a public repository"`
}

func (in *TurnKey) reason() string {
	if in.Body == nil {
		return ""
	}
	return in.Body.Reason
}

func (s *server) revokeKey(ctx context.Context, a keys.Actor, in *denyKeyInput) (*deniedOutput, error) {
	most, err := in.most()
	if err != nil {
		return nil, err
	}
	c, err := s.Registry.Revoke(ctx, a, keys.CredentialID(in.ID), in.reason(), versionsOf(in.IfMatch)...)
	return s.denied(ctx, in, most, c, keys.Revoked, err)
}
