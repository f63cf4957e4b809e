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
		a, err := r.tokenActor(ctx, &t)
		if errors.Is(err, ErrNotFound) {
			return Actor{}, no
		}
		return a, err
	}
	return Actor{}, no
}

// live tells whether the token is neither revoked nor expired.
func (t *Token) live(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// tokenActor is who a token acts as: itself, or a person with at most his permissions. It is
// ErrNotFound when the person is gone, disabled or altered behind our back. A token reveals nothing.
func (r *Registry) tokenActor(ctx context.Context, t *Token) (Actor, error) {
	cat := r.catalog.Load()
	all := cat.permissionsOf(t.Roles, t.Tenant)
	a := Actor{
		ActorRef:    ActorRef{Type: ActorToken, ID: string(t.ID), Name: t.Name},
		Tenant:      t.Tenant,
		Permissions: withoutReveal(all),
		LendsReveal: all.Has(KeysRevealTenant),
	}
	if t.ActsAs == "" {
		return a, nil
	}
	u, err := r.activeUser(ctx, t.ActsAs)
	if err == nil && u.Tenant != t.Tenant {
		err = ErrNotFound
	}
	if err != nil {
		return Actor{}, err
	}
	his := cat.permissionsOf(u.Roles, u.Tenant)
	for p := range a.Permissions {
		if !his.Has(p) {
			delete(a.Permissions, p)
		}
	}
	a.LendsReveal = a.LendsReveal && his.Has(KeysRevealTenant)
	a.User, a.UserName = u.ID, u.called()
	a.Lent = t.CreatedBy != string(ActorUser)+":"+string(u.ID)
	return a, nil
}

// activeUser returns a person who may act: authentic and not disabled; else ErrNotFound.
func (r *Registry) activeUser(ctx context.Context, id UserID) (User, error) {
	u, err := r.store.User(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return User{}, ErrNotFound
	case err != nil:
		return User{}, r.failure("read user", err)
	case !r.vault.UserIntact(&u):
		r.forged.tell(r.log, "user", string(id))
		return User{}, ErrNotFound
	case u.Disabled:
		return User{}, ErrNotFound
	}
	return u, nil
}
