package keys

import (
	"context"
	"fmt"
	"time"
)

// Suspend takes a credential out of use until it is resumed. Only active ones can be: invalid_state
// otherwise. A declared one can be suspended too: denial wins over the file. Who may suspend is who
// may revoke. With a Directory, the credential is refused when Suspend returns. ifVersion: see Revoke.
func (r *Registry) Suspend(ctx context.Context, a Actor, id CredentialID, reason string, ifVersion ...int64) (Credential, error) {
	var wrong fieldErrors
	reason = wrong.lines("reason", reason, maxReason)
	if err := wrong.refusal(); err != nil {
		return Credential{}, err
	}
	do := act{doing: "suspend key", own: KeysRevoke, all: KeysRevokeAny, declared: true, ifVersion: ifVersion}
	return r.amend(ctx, a, id, do, func(_ context.Context, _ Tx, c *Credential, now time.Time) (note, error) {
		if err := inState(c, now, "suspended", Active); err != nil {
			return note{}, err
		}
		c.Status, c.Hold = Suspended, a.hold()
		return note{"key.suspended", details("name", c.Name, "reason", reason, "hold", string(c.Hold))}, nil
	})
}

// Resume puts a suspended credential back into use, a declared one too. Only suspended ones can be:
// invalid_state otherwise, also once they expired. What an administrator or the provider suspended,
// nobody with less to say resumes: permission_denied, and so it is while its owner's access to keys is
// removed. ifVersion: see Revoke.
func (r *Registry) Resume(ctx context.Context, a Actor, id CredentialID, reason string, ifVersion ...int64) (Credential, error) {
	var wrong fieldErrors
	reason = wrong.lines("reason", reason, maxReason)
	if err := wrong.refusal(); err != nil {
		return Credential{}, err
	}
	do := act{doing: "resume key", own: KeysRevoke, all: KeysRevokeAny, declared: true, ifVersion: ifVersion}
	return r.amend(ctx, a, id, do, func(ctx context.Context, tx Tx, c *Credential, now time.Time) (note, error) {
		if err := inState(c, now, "resumed", Suspended); err != nil {
			return note{}, err
		}
		if err := r.ownerReady(ctx, tx, c.Owner); err != nil {
			return note{}, err
		}
		if a.hold().weight() < c.Hold.weight() {
			return note{}, &Refusal{
				Code:   PermissionDenied,
				Detail: fmt.Sprintf("The key %s was suspended by %s, and only they can resume it.", c.ID, c.Hold.who()),
				Hint:   r.help("Ask them what was wrong with it."),
			}
		}
		c.Status, c.Hold = Active, NoHold
		return note{"key.resumed", details("name", c.Name, "reason", reason)}, nil
	})
}

// hold is the weight of the actor's word on suspensions.
func (a Actor) hold() Hold {
	switch {
	case !a.Permissions.Has(KeysRevokeAny):
		return NoHold
	case a.provider():
		return HoldProvider
	default:
		return HoldTenant
	}
}

// weight orders holds. One that is not known weighs most.
func (h Hold) weight() int {
	switch h {
	case NoHold:
		return 0
	case HoldTenant:
		return 1
	default:
		return 2
	}
}

func (h Hold) who() string {
	if h == HoldTenant {
		return "an administrator"
	}
	return "the provider"
}
