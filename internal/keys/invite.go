package keys

import (
	"context"
	"errors"
	"time"
)

// Invitation is the input of Invite: a new person, or the e-mail alone of one who is there.
type Invitation struct {
	NewUser
	Known  bool      // only if somebody has the e-mail; else not_found
	Expiry *Lifetime // nil: InvitationLifetime
}

// Invited is a person and, this once, the code with which he chooses his password.
type Invited struct {
	User      User
	Code      Secret
	ExpiresAt time.Time
}

// codeLen is the length of a one-time code, 256 bits in base62.
const codeLen = secretLen

// Invite makes a one-time code for a person, whom it creates unless there is one with the e-mail. A code
// made before ends. Refusals: permission_denied, validation_failed (all fields at once), and the
// store's.
//
// Who gets a code for somebody else could sign in as him. So he must be able to give all that the other
// may, and accepting it destroys what would let secrets of the other be seen again, see AcceptCode.
func (r *Registry) Invite(ctx context.Context, a Actor, in Invitation) (Invited, error) {
	if !a.Permissions.Has(UsersManage) {
		return Invited{}, r.denied(UsersManage)
	}
	var wrong fieldErrors
	now := r.instant()
	end := now.Add(InvitationLifetime)
	if in.Expiry != nil {
		end = truncated(in.Expiry.End(now))
		if end.IsZero() || !end.After(now) || end.Sub(now) > longestInvitation {
			wrong.add("expires_in", "is %s; a code lives at most 30d", in.Expiry)
		}
	}
	in.Wrong = append(append([]FieldError(nil), in.Wrong...), wrong...)
	text, err := random62(r.random, codeLen)
	if err != nil {
		return Invited{}, err
	}
	out := Invited{Code: NewSecret(text), ExpiresAt: end}
	existing, err := r.invitedAgain(ctx, in)
	if err != nil {
		return Invited{}, err
	}
	if existing == "" {
		if out.User, err = r.draftUser(ctx, a, in.NewUser); err != nil {
			return Invited{}, err
		}
	}
	err = r.change(ctx, "invite user", func(ctx context.Context, tx Tx) error {
		if existing == "" {
			if err := r.insertUser(ctx, tx, a, out.User); err != nil {
				return err
			}
		} else if out.User, err = r.managedUser(ctx, tx, a, existing, UsersManage); err != nil {
			return hideOthers(err)
		}
		if out.User.Disabled {
			return &Refusal{Code: InvalidState, Detail: out.User.called() + " is disabled.", Hint: "Enable him first."}
		}
		return r.putCode(ctx, tx, a, &out)
	})
	return out, err
}

// hideOthers says of a person the actor must not know of only that the address cannot be had.
func hideOthers(err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Code == NotFoundHere {
		var wrong fieldErrors
		wrong.add("email", "is another user's already")
		return wrong.refusal()
	}
	return err
}

// invitedAgain finds who has the e-mail already. What was given for a new person must not silently
// count for nothing.
func (r *Registry) invitedAgain(ctx context.Context, in Invitation) (UserID, error) {
	var ignored fieldErrors
	u, err := r.store.UserByEmail(ctx, ignored.email("email", in.Email))
	switch {
	case errors.Is(err, ErrNotFound) && in.Known:
		return "", absent("user", in.Email)
	case errors.Is(err, ErrNotFound):
		return "", nil
	case err != nil:
		return "", r.failure("find user", err)
	}
	wrong := fieldErrors(in.Wrong)
	if in.Name != "" || in.Tenant != "" || len(in.Roles) > 0 {
		wrong.add("email", "is another user's already; to make him a new code, give the e-mail alone")
	}
	return u.ID, wrong.refusal()
}

// putCode writes the code and tells the audit.
func (r *Registry) putCode(ctx context.Context, tx Tx, a Actor, in *Invited) error {
	l := Link{
		Digest: r.vault.Digest(in.Code.Reveal()), User: in.User.ID, CreatedBy: a.subject(),
		CreatedAt: r.instant(), ExpiresAt: in.ExpiresAt,
	}
	r.vault.SealLink(&l)
	if err := tx.PutLink(ctx, l); err != nil {
		return err
	}
	return r.record(ctx, tx, a, in.User.chain(), "user.invited", string(in.User.ID), details(
		"email", in.User.Email, "expires_at", endText(in.ExpiresAt)))
}
