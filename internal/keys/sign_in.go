package keys

import (
	"context"
	"errors"
	"time"
)

// TokenActor authenticates an admin token's text and returns who acts. Everything that does not
// authenticate (malformed, unknown, altered, expired, revoked) gets one identical sign_in_required.
// A text without our form or checksum costs no read of the store.
func (r *Registry) TokenActor(ctx context.Context, text string) (Actor, error) {
	no := &Refusal{
		Code:   SignInRequired,
		Detail: "This needs a valid admin token.",
		Hint:   "Send Authorization: Bearer <admin token>; postern tokens create makes one.",
	}
	if r.format.Parse(text).Kind != TokenText {
		return Actor{}, no
	}
	for i, p := range r.vault.peppers {
		t, err := r.store.TokenByDigest(ctx, p.digest.ofText(text))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Actor{}, r.failure("read token", err)
		}
		if !r.vault.TokenIntact(&t) || !t.live(r.now()) {
			return Actor{}, no
		}
		if i > 0 {
			r.moveToken(ctx, t.ID, text)
		}
		return t.actor(), nil
	}
	return Actor{}, no
}

// live tells whether the token is neither revoked nor expired.
func (t *Token) live(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// actor is who a token acts as. Roles that are gone, or that its tenant's tokens may not have, give
// nothing.
func (t *Token) actor() Actor {
	a := Actor{
		ActorRef:    ActorRef{Type: ActorToken, ID: string(t.ID), Name: t.Name},
		Tenant:      t.Tenant,
		Permissions: PermissionSet{},
	}
	for _, name := range t.Roles {
		role, known := builtinRole(name)
		if !known || role.Provider && t.Tenant != "" {
			continue
		}
		for p := range withoutReveal(role.Permissions) {
			a.Permissions[p] = struct{}{}
		}
	}
	return a
}
