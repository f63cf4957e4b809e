package keys

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// UserEdit is the input of EditUser; nil leaves a field as it is.
type UserEdit struct {
	Name      *string
	Email     *string
	Disabled  *bool
	Password  *Secret // one's own only
	IfVersion []int64 // the version must be one of these; none: any
	Wrong     []FieldError
}

// EditUser changes a person. To change oneself takes no permission for the name and the password; the
// password only after one proved again who one is. Disabling somebody and changing a password ends all
// his sessions and codes. Refusals: not_found, permission_denied, self_only,
// reauthentication_required, validation_failed, invalid_state for the last administrator,
// version_conflict, and the store's.
func (r *Registry) EditUser(ctx context.Context, a Actor, id UserID, in UserEdit) (User, error) {
	hash, err := r.newPassword(ctx, a, id, in)
	if err != nil {
		return User{}, err
	}
	var edited User
	err = r.change(ctx, "edit user", func(ctx context.Context, tx Tx) error {
		u, err := r.editableUser(ctx, tx, a, id, in)
		if err != nil {
			return err
		}
		if err := matching("user "+string(u.ID), in.IfVersion, u.Version); err != nil {
			return err
		}
		was, wrong := u, fieldErrors(in.Wrong)
		wrong = append(fieldErrors(nil), wrong...)
		if in.Name != nil {
			u.Name = wrong.line("name", *in.Name, maxName)
		}
		if in.Email != nil {
			u.Email = wrong.email("email", *in.Email)
		}
		if in.Disabled != nil {
			u.Disabled = *in.Disabled
		}
		if in.Password != nil {
			wrong.password("password", *in.Password, &u)
			u.Password, u.PasswordAt = hash, r.instant()
		}
		if err := wrong.refusal(); err != nil {
			return err
		}
		if err := r.writeEdit(ctx, tx, a, &was, &u); err != nil {
			return err
		}
		edited = u
		return nil
	})
	return edited, err
}

// newPassword hashes a new password outside of the transaction, where its time holds nobody up.
func (r *Registry) newPassword(ctx context.Context, a Actor, id UserID, in UserEdit) (string, error) {
	if in.Password == nil {
		return "", nil
	}
	if !a.self(id) {
		return "", &Refusal{
			Code:   SelfOnly,
			Detail: "Only a person himself, signed in, may change his password.",
			Hint:   r.help("POST /v1/invitations makes him a one-time code with which he can choose a new one."),
		}
	}
	if err := r.confirmed(a); err != nil {
		return "", err
	}
	wrong := fieldErrors(append([]FieldError(nil), in.Wrong...))
	wrong.password("password", *in.Password, nil)
	if err := wrong.refusal(); err != nil {
		return "", err
	}
	hash, err := r.passwords.hash(ctx, *in.Password, a.Address)
	if errors.Is(err, errBusy) {
		return "", busy()
	}
	return hash, err
}

// confirmed refuses an actor who did not prove within the last minutes who he is.
func (r *Registry) confirmed(a Actor) error {
	if !a.Confirmed.IsZero() && r.now().Sub(a.Confirmed) < ReauthenticationAge {
		return nil
	}
	return &Refusal{
		Code:   ReauthRequired,
		Detail: fmt.Sprintf("This needs a password that was given within the last %d minutes.", int(ReauthenticationAge.Minutes())),
		Hint:   "Send POST /v1/session/confirm with your password, then repeat the call.",
	}
}

// editableUser reads the person, and lets anybody at what is his own business.
func (r *Registry) editableUser(ctx context.Context, tx Tx, a Actor, id UserID, in UserEdit) (User, error) {
	if !a.self(id) || in.Email != nil || in.Disabled != nil {
		return r.managedUser(ctx, tx, a, id, UsersManage)
	}
	u, err := r.knownUser(ctx, tx, a, id)
	if err == nil && !r.vault.UserIntact(&u) {
		err = altered(string(id))
	}
	return u, err
}

// writeEdit writes what changed, ends what must not go on, and tells the audit.
func (r *Registry) writeEdit(ctx context.Context, tx Tx, a Actor, was, u *User) error {
	if err := r.notTheLast(ctx, tx, was, u); err != nil {
		return err
	}
	var changed []string
	note := func(different bool, name, value string) {
		if different {
			changed = append(changed, name, value)
		}
	}
	note(was.Name != u.Name, "name", u.Name)
	note(was.Email != u.Email, "email", u.Email)
	note(was.Disabled != u.Disabled, "disabled", strconv.FormatBool(u.Disabled))
	note(was.Password != u.Password, "password", "changed")
	if len(changed) == 0 {
		return nil
	}
	if was.Email != u.Email || was.Password != u.Password || u.Disabled {
		if err := tx.DeleteLinks(ctx, u.ID); err != nil {
			return err
		}
	}
	if was.Password != u.Password || u.Disabled {
		if _, err := tx.DeleteSessions(ctx, u.ID); err != nil {
			return err
		}
	}
	if err := r.replaceUser(ctx, tx, u); err != nil {
		return err
	}
	return r.record(ctx, tx, a, u.chain(), "user.edited", string(u.ID), details(changed...))
}
