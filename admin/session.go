package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const (
	signInDoc = "Opens a session of a person and sets it as a cookie, which later requests carry instead of an admin token. " +
		"A session ends when it was not used for 30 minutes, and 12 hours after the sign-in. An account may be tried 5 times within 15 minutes from one address."
	showSessionDoc = "Who is signed in, by cookie or admin token, and what he may do. A reason says what is missing: role_required, keys_disabled, " +
		"plan_not_eligible, permission_denied or reauthentication_required."
	signOutDoc        = "Ends the session of the cookie. Without one there is nothing to do."
	confirmSessionDoc = "Takes the person's password again, which some acts ask for that was given within the last 5 minutes. The session goes on under a new cookie."
)

// PersonSignIn is what a person signs in with.
type PersonSignIn struct {
	Email    string `json:"email,omitempty" doc:"The person's e-mail address." example:"ada@example.com"`
	Username string `json:"username,omitempty" doc:"The same as email; give one of them." example:"ada@example.com"`
	Password string `json:"password" doc:"The person's password."`
}

type signInInput struct{ Body PersonSignIn }

// WhoAmI is who is signed in.
type WhoAmI struct {
	User        *Person              `json:"user" doc:"The person; null for an admin token that acts as nobody."`
	Token       *string              `json:"token" doc:"Id of the admin token; null for a session." example:"tok_5Hs8KdPq1wEx"`
	Tenant      *string              `json:"tenant" doc:"The organisation; null for the provider's own, who work in all." example:"default"`
	Roles       []string             `json:"roles" doc:"The person's roles." example:"developer"`
	ExpiresAt   *time.Time           `json:"expires_at" doc:"When the session ends if it is not used again; null for a token." example:"2026-11-21T10:30:00Z"`
	ConfirmedAt *time.Time           `json:"confirmed_at" doc:"When the person last gave his password; null for a token." example:"2026-11-21T10:00:00Z"`
	May         map[string]Allowance `json:"may" doc:"By permission: may he, and if not, why."`
}

// Person is somebody, in short.
type Person struct {
	ID    string `json:"id" doc:"usr_ and 12 characters." example:"usr_8Kd2mXk0aVbR"`
	Email string `json:"email" doc:"The person's e-mail address." example:"ada@example.com"`
	Name  string `json:"name" doc:"What the person is called." example:"Ada Lovelace"`
}

// Allowance tells whether something may be done.
type Allowance struct {
	Allowed bool   `json:"allowed" doc:"May he."`
	Reason  string `json:"reason,omitempty" doc:"Why not, as the code of the refusal." example:"role_required"`
}

type sessionOutput struct {
	SetCookie string `header:"Set-Cookie" doc:"The session: __Host-postern, Secure, HttpOnly, SameSite=Strict."`
	Body      WhoAmI
}

type whoAmIOutput struct{ Body WhoAmI }

type signedOutOutput struct {
	SetCookie string `header:"Set-Cookie" doc:"Takes the cookie back."`
}

func (s *server) signInPerson(ctx context.Context, _ keys.Actor, in *signInInput) (*sessionOutput, error) {
	b := in.Body
	email := b.Email
	switch {
	case b.Email != "" && b.Username != "":
		return nil, invalid("username", "stands beside email; give one of them")
	case b.Email == "" && b.Username == "":
		return nil, invalid("email", "is required")
	case email == "":
		email = b.Username
	}
	c := callOf(ctx)
	opened, err := s.Registry.OpenSession(ctx, keys.SignIn{Email: email, Password: keys.NewSecret(b.Password), Before: c.session, From: c.caller()})
	if err != nil {
		return nil, err
	}
	return s.opened(ctx, opened)
}

func (s *server) confirmSession(ctx context.Context, a keys.Actor, in *confirmInput) (*sessionOutput, error) {
	c := callOf(ctx)
	if c.session.Reveal() == "" {
		return nil, &problem{code: keys.InvalidState, detail: "An admin token is no person and has no password.", hint: "Sign in with POST /v1/session."}
	}
	opened, err := s.Registry.ConfirmSession(ctx, c.session, keys.NewSecret(in.Body.Password), c.caller())
	if err != nil {
		return nil, err
	}
	return s.opened(ctx, opened)
}

type confirmInput struct {
	Body struct {
		Password string `json:"password" doc:"The person's password."`
	}
}

func (s *server) opened(ctx context.Context, o keys.OpenedSession) (*sessionOutput, error) {
	who, err := s.whoAmI(ctx, o.Actor, &o.Session)
	if err != nil {
		return nil, err
	}
	return &sessionOutput{SetCookie: setSession(o.Text), Body: who}, nil
}

func (s *server) showSession(ctx context.Context, a keys.Actor, _ *struct{}) (*whoAmIOutput, error) {
	who, err := s.whoAmI(ctx, a, callOf(ctx).opened)
	if err != nil {
		return nil, err
	}
	return &whoAmIOutput{Body: who}, nil
}

func (s *server) signOut(ctx context.Context, _ keys.Actor, _ *struct{}) (*signedOutOutput, error) {
	c := callOf(ctx)
	if c.session.Reveal() != "" {
		if err := s.Registry.CloseSession(ctx, c.session, c.caller()); err != nil {
			return nil, err
		}
	}
	return &signedOutOutput{SetCookie: clearSession}, nil
}

// whoAmI tells of an actor; session is nil for a token.
func (s *server) whoAmI(ctx context.Context, a keys.Actor, session *keys.Session) (WhoAmI, error) {
	may, err := s.Registry.May(ctx, a)
	if err != nil {
		return WhoAmI{}, err
	}
	who := WhoAmI{Tenant: tenantOf(a.Tenant), Roles: []string{}, May: make(map[string]Allowance, len(may))}
	for p, allowed := range may {
		who.May[string(p)] = Allowance{Allowed: allowed.Allowed, Reason: string(allowed.Reason)}
	}
	if a.Type == keys.ActorToken {
		who.Token = &a.ID
	}
	if session != nil {
		ends := session.EndsAt().UTC()
		who.ExpiresAt, who.ConfirmedAt = &ends, instant(session.ConfirmedAt)
	}
	if a.User == "" {
		return who, nil
	}
	u, err := s.Registry.UserNamed(ctx, a, a.User)
	if err != nil {
		return WhoAmI{}, err
	}
	who.User, who.Roles = &Person{ID: string(u.ID), Email: u.Email, Name: u.Name}, texts(u.Roles)
	return who, nil
}

// tenantOf shows a tenant, null for the provider.
func tenantOf(t keys.TenantID) *string {
	if t == "" {
		return nil
	}
	text := string(t)
	return &text
}
