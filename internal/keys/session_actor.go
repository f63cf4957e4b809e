package keys

import (
	"context"
	"errors"
	"net/netip"
)

// sessionForm tells whether a text could be a session's.
func sessionForm(text string) bool { return len(text) == codeLen && isBase62(text) }

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().String()
}

// noSession is the one answer for every session that does not count.
func noSession() *Refusal {
	return &Refusal{
		Code:   SignInRequired,
		Detail: "You are not signed in, or your session has ended.",
		Hint:   "Sign in with POST /v1/session.",
	}
}

// SessionActor authenticates the text of a session and returns who acts. Everything that does not
// authenticate (malformed, unknown, altered, idle, too old, of a person who is gone or disabled) gets
// one identical sign_in_required. A text without our form costs no read of the store.
func (r *Registry) SessionActor(ctx context.Context, text Secret, from Caller) (Actor, Session, error) {
	s, err := r.liveSession(ctx, r.store, text)
	if err != nil {
		return Actor{}, Session{}, err
	}
	u, err := r.activeUser(ctx, s.User)
	if errors.Is(err, ErrNotFound) {
		return Actor{}, Session{}, noSession()
	}
	if err != nil {
		return Actor{}, Session{}, err
	}
	if r.now().Sub(s.SeenAt) >= sessionTouch || s.Digest != r.vault.Digest(text.Reveal()) {
		touched, err := r.touch(ctx, text)
		var refusal *Refusal
		switch {
		case err == nil:
			s = touched
		case errors.As(err, &refusal) && refusal.Code == SignInRequired:
			return Actor{}, Session{}, err
		default: // a store that cannot be written can still be read; the session only ends sooner
			r.log.Warn("the use of a session could not be noted", "session", string(s.ID), "error", err)
		}
	}
	return r.sessionActor(&u, &s, from), s, nil
}

func (r *Registry) sessionActor(u *User, s *Session, from Caller) Actor {
	a := u.actor(from)
	a.Permissions = r.catalog.Load().permissionsOf(u.Roles, u.Tenant)
	a.Confirmed = s.ConfirmedAt
	return a
}

// liveSession finds the session of a text.
func (r *Registry) liveSession(ctx context.Context, from Reader, text Secret) (Session, error) {
	if !sessionForm(text.Reveal()) {
		return Session{}, noSession()
	}
	for _, p := range r.vault.peppers {
		s, err := from.SessionByDigest(ctx, p.digest.ofText(text.Reveal()))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Session{}, r.failure("read session", err)
		}
		if !r.vault.SessionIntact(&s) {
			r.forged.tell(r.log, "session", string(s.ID))
			return Session{}, noSession()
		}
		if !s.live(r.now()) {
			return Session{}, noSession()
		}
		return s, nil
	}
	return Session{}, noSession()
}

// touch notes that the session is in use, and moves it to the current pepper. It reads it again within
// the transaction: a session that was ended meanwhile must not come back.
func (r *Registry) touch(ctx context.Context, text Secret) (s Session, err error) {
	err = r.change(ctx, "note the use of a session", func(ctx context.Context, tx Tx) error {
		if s, err = r.liveSession(ctx, tx, text); err != nil {
			return err
		}
		found := s.Digest
		s.SeenAt, s.Digest = r.instant(), r.vault.Digest(text.Reveal())
		if s.Digest != found {
			if err := tx.DeleteSession(ctx, found); err != nil {
				return err
			}
		}
		r.vault.SealSession(&s)
		return tx.PutSession(ctx, s)
	})
	return s, err
}

// ConfirmSession lets a signed-in person prove again who he is. His session goes on under a new text.
// Refusals as for OpenSession.
func (r *Registry) ConfirmSession(ctx context.Context, text, password Secret, from Caller) (OpenedSession, error) {
	a, s, err := r.SessionActor(ctx, text, from)
	if err != nil {
		return OpenedSession{}, err
	}
	u, err := r.activeUser(ctx, a.User)
	if errors.Is(err, ErrNotFound) {
		return OpenedSession{}, noSession()
	}
	if err != nil {
		return OpenedSession{}, err
	}
	if err := r.checkPassword(ctx, u.Email, &u, password, from); err != nil {
		return OpenedSession{}, err
	}
	return r.putSession(ctx, u, from, text, s.CreatedAt)
}

// CloseSession signs out. A session that is not there, or over, is no error.
func (r *Registry) CloseSession(ctx context.Context, text Secret, from Caller) error {
	a, s, err := r.SessionActor(ctx, text, from)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Code == SignInRequired {
		return nil
	}
	if err != nil {
		return err
	}
	return r.change(ctx, "close session", func(ctx context.Context, tx Tx) error {
		if err := tx.DeleteSession(ctx, s.Digest); err != nil {
			return err
		}
		chain := ProviderChain
		if a.Tenant != "" {
			chain = string(a.Tenant)
		}
		return r.record(ctx, tx, a, chain, "session.closed", string(a.User), details("session", string(s.ID)))
	})
}
