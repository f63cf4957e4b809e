package keys

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
)

// Caller is where a request without an actor comes from.
type Caller struct {
	Address   netip.Addr
	RequestID string
}

// AcceptCode sets a person's password by a one-time code, which ends with it as do his sessions. One
// identical sign_in_required for a code that is not known, was used or has expired; validation_failed
// for a password that cannot be taken, which leaves the code as it is.
//
// The code went through an administrator's hands, who may not see the secrets of others (requirement
// S5.5): sealed texts of keys that the person owns are destroyed. The keys go on working.
func (r *Registry) AcceptCode(ctx context.Context, code, password Secret, from Caller) (User, error) {
	l, u, err := r.codeOwner(ctx, r.store, code)
	if err != nil {
		return User{}, err
	}
	var wrong fieldErrors
	wrong.password("password", password, &u)
	if err := wrong.refusal(); err != nil {
		return User{}, err
	}
	hash, err := r.passwords.hash(ctx, password, from.Address)
	if errors.Is(err, errBusy) {
		return User{}, busy()
	}
	if err != nil {
		return User{}, err
	}
	err = r.change(ctx, "accept code", func(ctx context.Context, tx Tx) error {
		if l, u, err = r.codeOwner(ctx, tx, code); err != nil {
			return err
		}
		forgotten, err := r.forgetTexts(ctx, tx, &u)
		if err != nil {
			return err
		}
		if err := tx.DeleteLinks(ctx, u.ID); err != nil {
			return err
		}
		if _, err := tx.DeleteSessions(ctx, u.ID); err != nil {
			return err
		}
		u.Password, u.PasswordAt = hash, r.instant()
		if err := r.replaceUser(ctx, tx, &u); err != nil {
			return err
		}
		a := u.actor(from)
		return r.record(ctx, tx, a, u.chain(), "user.password_set", string(u.ID), details(
			"invited_by", l.CreatedBy, "secrets_forgotten", strconv.Itoa(forgotten)))
	})
	return u, err
}

// actor is the person acting, with no permission yet.
func (u *User) actor(from Caller) Actor {
	return Actor{
		ActorRef: ActorRef{Type: ActorUser, ID: string(u.ID), Name: u.called()},
		Tenant:   u.Tenant, User: u.ID, UserName: u.called(), Permissions: PermissionSet{},
		Address: from.Address, RequestID: from.RequestID,
	}
}

// codeOwner finds whom a code is for.
func (r *Registry) codeOwner(ctx context.Context, from Reader, code Secret) (Link, User, error) {
	no := &Refusal{
		Code:   SignInRequired,
		Detail: "This one-time code is not known, was used, or has expired.",
		Hint:   r.help("Ask an administrator for a new one (postern users invite)."),
	}
	text := code.Reveal()
	if len(text) != codeLen || !isBase62(text) {
		return Link{}, User{}, no
	}
	for _, p := range r.vault.peppers {
		l, err := from.LinkByDigest(ctx, p.digest.ofText(text))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Link{}, User{}, r.failure("read code", err)
		}
		if !r.vault.LinkIntact(&l) {
			r.forged.tell(r.log, "one-time code", string(l.User))
			return Link{}, User{}, no
		}
		u, err := from.User(ctx, l.User)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Link{}, User{}, r.failure("read user", err)
		}
		if err != nil || !r.vault.UserIntact(&u) || u.Disabled || !r.now().Before(l.ExpiresAt) {
			return Link{}, User{}, no
		}
		return l, u, nil
	}
	return Link{}, User{}, no
}

// forgetTexts destroys what a person's secrets could be seen again by.
func (r *Registry) forgetTexts(ctx context.Context, tx Tx, u *User) (int, error) {
	owned, err := r.ownedBy(ctx, tx, u)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range owned {
		sealed := 0
		for i := range c.Secrets {
			if s := &c.Secrets[i]; len(s.Sealed) > 0 && r.vault.SecretIntact(c.ID, s) {
				s.Sealed = nil
				r.vault.SealSecret(c.ID, s)
				sealed++
			}
		}
		if sealed == 0 {
			continue
		}
		c.Version++
		r.vault.SealCredential(&c)
		if err := tx.PutCredential(ctx, c); err != nil {
			return 0, err
		}
		n += sealed
	}
	return n, nil
}
