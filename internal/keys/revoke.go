package keys

import (
	"context"
	"errors"
	"fmt"
)

// Revoke ends a credential for good. Only active and suspended ones (not expired) can be:
// invalid_state otherwise, naming the state. A declared one can be revoked too: denial wins over
// the file. With a Directory, the credential is refused when Revoke returns.
func (r *Registry) Revoke(ctx context.Context, a Actor, id CredentialID, reason string) (Credential, error) {
	var wrong fieldErrors
	reason = wrong.lines("reason", reason, maxReason)
	if err := wrong.refusal(); err != nil {
		return Credential{}, err
	}
	var revoked Credential
	err := r.change(ctx, "revoke key", func(ctx context.Context, tx Tx) error {
		c, err := tx.Credential(ctx, id, false)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err != nil || !a.mayKnow(&c) {
			return absent("key", string(id))
		}
		if !a.may(KeysRevoke, KeysRevokeAny, &c) {
			if a.owns(&c) {
				return r.denied(KeysRevoke)
			}
			return r.denied(KeysRevokeAny)
		}
		if err := r.revocable(&c); err != nil {
			return err
		}
		now := r.instant()
		c.Status, c.RevokedAt, c.UpdatedAt, c.Version = Revoked, now, now, c.Version+1
		r.vault.SealCredential(&c)
		if err := tx.PutCredential(ctx, c); err != nil {
			return err
		}
		revoked = c
		return r.record(ctx, tx, a, string(c.Tenant), "key.revoked", string(c.ID), details("name", c.Name, "reason", reason))
	})
	if err != nil {
		return Credential{}, err
	}
	return revoked, nil
}

// revocable refuses what has ended already, and what was never admitted.
func (r *Registry) revocable(c *Credential) error {
	if !r.vault.CredentialIntact(c) {
		return altered(string(c.ID))
	}
	switch state := c.StatusAt(r.now()); state {
	case Active, Suspended:
		return nil
	default:
		return &Refusal{
			Code:   InvalidState,
			Detail: fmt.Sprintf("Only active and suspended keys can be revoked; %s is %s.", c.ID, state),
			Hint:   "It is not admitted as it is.",
		}
	}
}
