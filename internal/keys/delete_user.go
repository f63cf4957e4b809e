package keys

import (
	"context"
	"strconv"
)

// DeleteUser removes a person with his sessions and codes, and revokes the keys he owns; the keys stay
// in the lists, and the audit keeps what it told. Refusals: not_found, permission_denied, invalid_state
// for the last administrator, version_conflict, and the store's. With a Directory, his keys are refused
// when it returns.
func (r *Registry) DeleteUser(ctx context.Context, a Actor, id UserID, ifVersion ...int64) error {
	return r.change(ctx, "delete user", func(ctx context.Context, tx Tx) error {
		u, err := r.managedUser(ctx, tx, a, id, UsersManage)
		if err != nil {
			return err
		}
		if err := matching("user "+string(u.ID), ifVersion, u.Version); err != nil {
			return err
		}
		if err := r.notTheLast(ctx, tx, &u, nil); err != nil {
			return err
		}
		owned, err := r.ownedBy(ctx, tx, &u)
		if err != nil {
			return err
		}
		revoked := 0
		for _, c := range owned {
			switch c.StatusAt(r.instant()) {
			case Active, Suspended:
				revoked++
				err = r.turn(ctx, tx, a, c, Revoked, "key.revoked", "its owner was deleted")
			case Pending:
				err = r.turn(ctx, tx, a, c, Denied, "key.denied", "its owner was deleted")
			}
			if err != nil {
				return err
			}
		}
		if err := tx.DeleteUser(ctx, id, u.Version); err != nil {
			return err
		}
		return r.record(ctx, tx, a, u.chain(), "user.deleted", string(id), details(
			"email", u.Email, "name", u.Name, "keys_revoked", strconv.Itoa(revoked)))
	})
}
