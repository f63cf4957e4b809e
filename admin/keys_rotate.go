package admin

import (
	"context"

	"postern/internal/keys"
)

const rotateKeyDoc = "Gives a key another secret and shows it, this once; the old one goes on working for the overlap. Id, scopes, limits and use stay. " +
	"A key has two live secrets at most: a third is refused (invalid_state) unless drop ends the oldest. " +
	"A person's key is rotated by that person alone (self_only)."

type rotateKeyInput struct {
	ID             string          `path:"id" pattern:"^(key|app)_[0-9A-Za-z]{12}$" patternDescription:"the id of a key" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	IfMatch        string          `header:"If-Match" doc:"Rotate only while the key still has this ETag." example:"\"1\""`
	IdempotencyKey string          `header:"Idempotency-Key" doc:"A name for this request: sent again within 24 hours it does nothing more, and answers without the secret." example:"9f1d6c1e"`
	Body           *SecretRotation `required:"false"`
}

// SecretRotation says how to replace a secret.
type SecretRotation struct {
	Overlap string `json:"overlap,omitempty" doc:"For how long the old secret goes on working: 0s, 90m, 24h, 7d, or until when. 24h when left out." example:"24h"`
	Drop    bool   `json:"drop,omitempty" doc:"End the older of two live secrets at once." example:"false"`
}

func (s *server) rotateKey(ctx context.Context, a keys.Actor, in *rotateKeyInput) (*createdKeyOutput, error) {
	rotation := keys.Rotation{Idempotency: idempotency(ctx, in.IdempotencyKey)}
	if in.Body != nil {
		rotation.Drop = in.Body.Drop
		if in.Body.Overlap != "" {
			overlap, err := keys.ParseOverlap(in.Body.Overlap)
			if err != nil {
				rotation.Wrong = []keys.FieldError{{Field: "overlap", Message: err.Error()}}
			}
			rotation.Overlap = &overlap
		}
	}
	made, err := s.Registry.Rotate(ctx, a, keys.CredentialID(in.ID), rotation, versionsOf(in.IfMatch)...)
	if err != nil {
		return nil, err
	}
	return s.created(made), nil
}
