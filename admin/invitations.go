package admin

import (
	"context"
	"errors"
	"time"

	"postern/internal/keys"
)

const (
	inviteUserDoc = "Makes a one-time code with which a person chooses his password, and the person unless somebody has the e-mail already; " +
		"then give the e-mail alone. It is shown this once: no mail is sent. A code made before ends. " +
		"The person redeems it with POST /v1/password-resets. Secrets of keys that he owns cannot be seen again after that."
	setPasswordDoc = "Sets a person's password by the one-time code of an invitation, which ends with it, as do all his sessions. Sign in after it."
)

type inviteUserInput struct{ Body NewInvitation }

// NewInvitation is what an invitation is made from.
type NewInvitation struct {
	NewUser
	ExpiresIn string `json:"expires_in,omitempty" doc:"How long the code lives, at most 30d; 72h when left out." example:"72h"`
}

// Invitation is a person with his one-time code.
type Invitation struct {
	User      User      `json:"user" doc:"The person."`
	Code      string    `json:"code" doc:"The one-time code. It is never shown again."`
	URL       string    `json:"url" doc:"Where to redeem the code, with it after the #, which no server sees."`
	ExpiresAt time.Time `json:"expires_at" doc:"When the code ends." example:"2026-11-24T10:00:00Z"`
}

type invitationOutput struct{ Body Invitation }

func (s *server) inviteUser(ctx context.Context, a keys.Actor, in *inviteUserInput) (*invitationOutput, error) {
	b := in.Body
	expiry, wrong := expiryOf(Maybe[time.Time]{}, b.ExpiresIn)
	made, err := s.Registry.Invite(ctx, a, keys.Invitation{
		NewUser: keys.NewUser{Email: b.Email, Name: b.Name, Tenant: b.Tenant, Roles: names[keys.RoleName](b.Roles), Wrong: wrong},
		Expiry:  expiry,
	})
	if err != nil {
		return nil, err
	}
	return &invitationOutput{Body: Invitation{
		User: makeUser(made.User), Code: made.Code.Reveal(), URL: s.AdminURL + "/#code=" + made.Code.Reveal(), ExpiresAt: made.ExpiresAt.UTC(),
	}}, nil
}

type setPasswordInput struct {
	Body struct {
		Code     string `json:"code" doc:"The one-time code."`
		Password string `json:"password" doc:"The new password, 12 to 200 characters."`
	}
}

type personOutput struct{ Body Person }

// setPassword counts wrong codes of an address as it counts wrong tokens.
func (s *server) setPassword(ctx context.Context, _ keys.Actor, in *setPasswordInput) (*personOutput, error) {
	c := callOf(ctx)
	u, err := s.Registry.AcceptCode(ctx, keys.NewSecret(in.Body.Code), keys.NewSecret(in.Body.Password), c.caller())
	var refusal *keys.Refusal
	if errors.As(err, &refusal) && refusal.Code == keys.SignInRequired {
		if wait := s.failures.Record(c.address, s.Now()); wait > 0 {
			return nil, &problem{code: tooManyFailures, detail: "Too many wrong codes came from this address.", retryAfter: seconds(wait)}
		}
	}
	if err != nil {
		return nil, err
	}
	return &personOutput{Body: Person{ID: string(u.ID), Email: u.Email, Name: u.Name}}, nil
}

// seconds rounds up to what Retry-After can say.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
