package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const createTokenDoc = "Makes an admin token and shows its text, this once. Nobody gives a token what he lacks himself."

type createTokenInput struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"A name for this request: sent again within 24 hours it makes nothing more, and answers without the secret." example:"9f1d6c1e"`
	Body           NewToken
}

// NewToken is what an admin token is made from.
type NewToken struct {
	Name      string   `json:"name" doc:"For people." example:"terraform"`
	Roles     []string `json:"roles" minItems:"1" doc:"What it may do." example:"developer"`
	Tenant    string   `json:"tenant,omitempty" doc:"The organisation it works in; left out by the provider for all, and by others for their own." example:"default"`
	ExpiresIn string   `json:"expires_in,omitempty" doc:"How long it lives: 12h, 90d, 6mo, 2y, a date, or never." example:"90d"`
	ActsAs    string   `json:"acts_as,omitempty" doc:"The person it acts as, with at most his permissions; oneself, or for the provider anybody." example:"usr_8Kd2mXk0aVbR"`
}

// CreatedToken is a new admin token with its text.
type CreatedToken struct {
	Token
	Secret string `json:"secret,omitempty" doc:"The token itself. It is never shown again, also not to a request that is sent again."`
}

type createdTokenOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this Idempotency-Key took effect." example:"true"`
	Body     CreatedToken
}

func (s *server) createToken(ctx context.Context, a keys.Actor, in *createTokenInput) (*createdTokenOutput, error) {
	b := in.Body
	expiry, wrong := expiryOf(Maybe[time.Time]{}, b.ExpiresIn)
	made, err := s.Registry.CreateToken(ctx, a, keys.NewToken{
		Name: b.Name, Roles: names[keys.RoleName](b.Roles), Tenant: keys.TenantID(b.Tenant), ActsAs: keys.UserID(b.ActsAs), Expiry: expiry,
		Idempotency: idempotency(ctx, in.IdempotencyKey), Wrong: wrong,
	})
	if err != nil {
		return nil, nameExpiry(err, b.ExpiresIn)
	}
	return &createdTokenOutput{
		Replayed: replayed(made.Replayed),
		Body:     CreatedToken{Token: makeToken(made.Token), Secret: made.Secret.Reveal()},
	}, nil
}
