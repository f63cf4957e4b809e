package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// SetKeyAccess removes a person's access to keys, which suspends all his active keys at once and lets
// him generate and rotate none, the tenant's included; or grants it again, which brings back those that it
// suspended and that were not revoked or expired meanwhile (requirement S5.16). Keys that somebody
// suspended before stay so. It returns how many keys it changed; what is so already changes nothing.
// Refusals: not_found, permission_denied, and the store's. With a Directory, it is in effect when it
// returns.
func (r *Registry) SetKeyAccess(ctx context.Context, a Actor, id UserID, allowed bool) (u User, changed int, err error) {
	err = r.change(ctx, "set key access", func(ctx context.Context, tx Tx) error {
		changed = 0
		if u, err = r.managedUser(ctx, tx, a, id, KeysAccess); err != nil || u.NoKeys == !allowed {
			return err
		}
		action := "user.key_access_granted"
		if allowed {
			changed, err = r.release(ctx, tx, a, &u)
		} else {
			action = "user.key_access_removed"
			changed, err = r.hold(ctx, tx, a, &u)
		}
		if err != nil {
			return err
		}
		u.NoKeys = !allowed
		if err := r.replaceUser(ctx, tx, &u); err != nil {
			return err
		}
		return r.record(ctx, tx, a, u.chain(), action, string(id), details("keys", strconv.Itoa(changed)))
	})
	return u, changed, err
}

// hold suspends a person's active keys and notes which.
func (r *Registry) hold(ctx context.Context, tx Tx, a Actor, u *User) (int, error) {
	owned, err := r.ownedBy(ctx, tx, u)
	if err != nil {
		return 0, err
	}
	u.Held = nil
	for _, c := range owned {
		if c.StatusAt(r.instant()) != Active {
			continue
		}
		if err := r.turn(ctx, tx, a, c, Suspended, "key.suspended", "its owner's access to keys was removed"); err != nil {
			return 0, err
		}
		u.Held = append(u.Held, c.ID)
	}
	slices.Sort(u.Held)
	return len(u.Held), nil
}

// release brings back what hold suspended.
func (r *Registry) release(ctx context.Context, tx Tx, a Actor, u *User) (int, error) {
	n := 0
	for _, id := range u.Held {
		c, err := tx.Credential(ctx, id, false)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if !r.vault.CredentialIntact(&c) || c.Owner.ID != string(u.ID) || c.StatusAt(r.instant()) != Suspended {
			continue
		}
		if err := r.turn(ctx, tx, a, c, Active, "key.resumed", "its owner's access to keys was granted again"); err != nil {
			return 0, err
		}
		n++
	}
	u.Held = nil
	return n, nil
}

// actorReady refuses to hand a new secret to a person whose access to keys was removed, whoever owns
// the key: what the tenant owns would be a way around it.
func (r *Registry) actorReady(ctx context.Context, from Reader, a Actor) error {
	if a.User == "" {
		return nil
	}
	return r.ownerReady(ctx, from, Owner{Type: OwnerUser, ID: string(a.User), Name: a.UserName})
}

// ownerReady refuses to put a person's key in force while he may have none: new ones, and suspended
// ones that shall work again. What the tenant owns is always ready.
func (r *Registry) ownerReady(ctx context.Context, from Reader, o Owner) error {
	if o.Type != OwnerUser {
		return nil
	}
	u, err := from.User(ctx, UserID(o.ID))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return r.failure("read user", err)
	}
	if err != nil || !r.vault.UserIntact(&u) || u.Disabled {
		return &Refusal{
			Code:   InvalidState,
			Detail: fmt.Sprintf("%s, who would own the key, cannot sign in any more.", o.Name),
			Hint:   r.help("Ask an administrator."),
		}
	}
	if u.NoKeys {
		return &Refusal{
			Code:   PermissionDenied,
			Detail: fmt.Sprintf("The access of %s to API keys was removed.", u.called()),
			Hint:   r.help("An administrator with keys.access can grant it again."),
		}
	}
	return nil
}
