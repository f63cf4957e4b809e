package keys

import (
	"context"
	"time"
)

// Revoke ends a credential for good. Only active and suspended ones (not expired) can be:
// invalid_state otherwise, naming the state. A declared one can be revoked too: denial wins over
// the file. With a Directory, the credential is refused when Revoke returns. Where ifVersion is given,
// the stored version must be one of these, else it is a version_conflict; this holds in the transaction
// that revokes.
func (r *Registry) Revoke(ctx context.Context, a Actor, id CredentialID, reason string, ifVersion ...int64) (Credential, error) {
	var wrong fieldErrors
	reason = wrong.lines("reason", reason, maxReason)
	if err := wrong.refusal(); err != nil {
		return Credential{}, err
	}
	return r.amend(ctx, a, id, revoking(ifVersion), func(_ context.Context, _ Tx, c *Credential, now time.Time) (note, error) {
		return revoke(c, reason, now)
	})
}

// revoking is who may revoke what.
func revoking(ifVersion []int64) act {
	return act{doing: "revoke key", own: KeysRevoke, all: KeysRevokeAny, declared: true, ifVersion: ifVersion}
}

// revoke ends a record, unless it has ended already or was never admitted.
func revoke(c *Credential, reason string, now time.Time) (note, error) {
	if err := inState(c, now, "revoked", Active, Suspended); err != nil {
		return note{}, err
	}
	c.Status, c.RevokedAt, c.Hold = Revoked, now, NoHold
	return note{"key.revoked", details("name", c.Name, "reason", reason)}, nil
}
