package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SignIn is what a person signs in with.
type SignIn struct {
	Email    string
	Password Secret
	Before   Secret // the browser's session so far, which ends; the zero Secret for none
	From     Caller
}

// OpenedSession is a session and, this once, the text that the browser shall hold.
type OpenedSession struct {
	Session Session
	Text    Secret
	Actor   Actor
}

// OpenSession signs a person in. Everything that is wrong (no such account, no password yet, disabled,
// wrong password) gets one identical sign_in_required after the same work. too_many_failures after 5
// tries within 15 minutes at one account from one network; an account that is tried from everywhere is
// answered more slowly, at most 3 seconds later.
func (r *Registry) OpenSession(ctx context.Context, in SignIn) (OpenedSession, error) {
	email := strings.ToLower(strings.TrimSpace(in.Email))
	u, err := r.userByEmail(ctx, email)
	if err != nil {
		return OpenedSession{}, err
	}
	if err := r.checkPassword(ctx, email, u, in.Password, in.From); err != nil {
		return OpenedSession{}, err
	}
	return r.putSession(ctx, *u, in.From, in.Before, time.Time{})
}

// userByEmail finds who may sign in by an address; nil for nobody.
func (r *Registry) userByEmail(ctx context.Context, email string) (*User, error) {
	if len(email) > maxEmail {
		return nil, nil
	}
	u, err := r.store.UserByEmail(ctx, email)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, r.failure("find user", err)
	case !r.vault.UserIntact(&u):
		r.forged.tell(r.log, "user", string(u.ID))
		return nil, nil
	}
	return &u, nil
}

// checkPassword refuses all but the right password of a person who may sign in. u may be nil.
func (r *Registry) checkPassword(ctx context.Context, email string, u *User, password Secret, from Caller) error {
	account := r.vault.Digest("account " + email)
	refused, delay := r.tries.wait(account, from.Address, r.now())
	if refused > 0 {
		r.failed.add(u, from.Address, r.now())
		return &Refusal{
			Code:       TooManyFailuresHere,
			Detail:     fmt.Sprintf("There were %d tries at this account from your address; it has to wait.", triesAllowed),
			Hint:       "Other addresses and accounts are not held up.",
			RetryAfter: refused,
		}
	}
	if err := r.wait(ctx, delay); err != nil {
		return err // it stays counted: to hang up must not be a way to guess faster
	}
	hash := ""
	if u != nil && !u.Disabled {
		hash = u.Password
	}
	right, err := r.passwords.matches(ctx, password, hash, from.Address)
	if err != nil {
		r.tries.unlooked(account, from.Address)
	}
	if errors.Is(err, errBusy) {
		return busy()
	}
	if err != nil {
		return fmt.Errorf("check password: %w", err)
	}
	if !right {
		r.failed.add(u, from.Address, r.now())
		return wrongPassword()
	}
	r.tries.succeeded(account, from.Address)
	return nil
}

func wrongPassword() *Refusal {
	return &Refusal{
		Code:   SignInRequired,
		Detail: "The e-mail or the password is wrong.",
		Hint:   "An administrator can make a one-time code with which to choose a new password (postern users invite).",
	}
}

// pause waits for a time, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// putSession opens a session under a text that nobody has seen, and ends the one before. opened is when
// the person signed in, zero for now: proving again who one is does not make a session live longer.
func (r *Registry) putSession(ctx context.Context, u User, from Caller, before Secret, opened time.Time) (OpenedSession, error) {
	text, err := random62(r.random, codeLen)
	if err != nil {
		return OpenedSession{}, err
	}
	id, err := random62(r.random, idLen)
	if err != nil {
		return OpenedSession{}, err
	}
	now, action := r.instant(), "session.confirmed"
	if opened.IsZero() {
		opened, action = now, "session.opened"
	}
	s := Session{
		ID: SessionID("ses_" + id), Digest: r.vault.Digest(text), User: u.ID, Address: addressText(from.Address),
		CreatedAt: opened, SeenAt: now, ConfirmedAt: now,
	}
	r.vault.SealSession(&s)
	a := u.actor(from)
	err = r.change(ctx, "open session", func(ctx context.Context, tx Tx) error {
		// Between the password and here he may have been disabled, or have got another password.
		still, err := tx.User(ctx, u.ID)
		if errors.Is(err, ErrNotFound) || err == nil && (still.MAC != u.MAC || still.Version != u.Version) {
			return wrongPassword()
		}
		if err != nil {
			return err
		}
		if err := r.forgetSession(ctx, tx, before); err != nil {
			return err
		}
		if err := tx.Forget(ctx, now.Add(-SessionLifetime), now.Add(-SessionIdle), now); err != nil {
			return err
		}
		if err := tx.PutSession(ctx, s); err != nil {
			return err
		}
		return r.record(ctx, tx, a, u.chain(), action, string(u.ID), details("session", string(s.ID)))
	})
	if err != nil {
		return OpenedSession{}, err
	}
	return OpenedSession{Session: s, Text: NewSecret(text), Actor: r.sessionActor(&u, &s, from)}, nil
}

// forgetSession removes the session of a text, if there is one.
func (r *Registry) forgetSession(ctx context.Context, tx Tx, text Secret) error {
	if !sessionForm(text.Reveal()) {
		return nil
	}
	for _, p := range r.vault.peppers {
		if err := tx.DeleteSession(ctx, p.digest.ofText(text.Reveal())); err != nil {
			return err
		}
	}
	return nil
}
