package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// act is one thing that somebody does to one stored credential, but for what it changes there.
type act struct {
	doing     string     // for errors, as in "edit key"
	own, all  Permission // one of them lets the actor do it
	declared  bool       // it can be done to a declared credential too
	ifVersion []int64    // the stored version must be one of these; none: whichever it is
}

// note is what an act tells the audit. An empty action means that there was nothing to change.
type note struct {
	action string // as in key.edited
	detail map[string]string
}

// amend reads a credential, checks that the actor may do this to it, has fn change it, and writes it
// with its audit entry, all in one transaction. A secret that ended before is left out, so that one which
// fn ends stays until the next change, and whoever still shows it is told that it expired. It returns
// what is stored then.
func (r *Registry) amend(ctx context.Context, a Actor, id CredentialID, do act,
	fn func(ctx context.Context, tx Tx, c *Credential, now time.Time) (note, error)) (Credential, error) {
	var amended Credential
	err := r.change(ctx, do.doing, func(ctx context.Context, tx Tx) error {
		c, err := r.actable(ctx, tx, a, id, do)
		if err != nil {
			return err
		}
		now := r.instant()
		c.Secrets = withoutEnded(c.Secrets, now)
		n, err := fn(ctx, tx, &c, now)
		if err != nil {
			return err
		}
		if n.action != "" {
			if err := r.rewrite(ctx, tx, &c, now); err != nil {
				return err
			}
			if err := r.record(ctx, tx, a, string(c.Tenant), n.action, string(c.ID), n.detail); err != nil {
				return err
			}
		}
		amended = c
		return nil
	})
	if err != nil {
		return Credential{}, err
	}
	return r.shown(amended), nil
}

// actable returns an authentic credential that the actor may do this to. What he must not know of is
// not there for him.
func (r *Registry) actable(ctx context.Context, from Reader, a Actor, id CredentialID, do act) (Credential, error) {
	c, err := from.Credential(ctx, id, false)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Credential{}, err
	}
	may := err == nil && a.may(do.own, do.all, &c)
	switch {
	case err != nil || !may && !a.mayKnow(&c):
		return Credential{}, absent("key", string(id))
	case !may && a.owns(&c):
		return Credential{}, r.denied(do.own)
	case !may:
		return Credential{}, r.denied(do.all)
	case !r.vault.CredentialIntact(&c):
		return Credential{}, altered(string(id))
	case c.ManagedBy != "" && !do.declared:
		return Credential{}, managedElsewhere(&c)
	}
	if err := matching("key "+string(c.ID), do.ifVersion, c.Version); err != nil {
		return Credential{}, err
	}
	return c, nil
}

// matching refuses when the stored version is not one that the caller expects; none expects any.
func matching(what string, ifVersion []int64, version int64) error {
	if len(ifVersion) == 0 || slices.Contains(ifVersion, version) {
		return nil
	}
	return &Refusal{
		Code:   VersionConflict,
		Detail: fmt.Sprintf("The %s was changed since it was read: its version is %d.", what, version),
		Hint:   "Read it again, then repeat the change if it is still wanted.",
	}
}

// rewrite stores the next version of a credential.
func (r *Registry) rewrite(ctx context.Context, tx Tx, c *Credential, now time.Time) error {
	c.UpdatedAt, c.Version = now, c.Version+1
	r.vault.SealCredential(c)
	return tx.PutCredential(ctx, *c)
}

// withoutEnded returns the secrets that have not ended, and the newest one in any case: what a
// credential was last known by stays its own.
func withoutEnded(list []StoredSecret, now time.Time) []StoredSecret {
	newest := newestOf(list)
	var kept []StoredSecret
	for _, s := range list {
		if s.ID == newest.ID || !s.endedAt(now) {
			kept = append(kept, s)
		}
	}
	return kept
}

// newestOf returns the secret that was made last; of two made at once, the one that stands last.
func newestOf(list []StoredSecret) StoredSecret {
	var newest StoredSecret
	for i, s := range list {
		if i == 0 || !s.CreatedAt.Before(newest.CreatedAt) {
			newest = s
		}
	}
	return newest
}

// endedAt tells whether a secret is over, whatever its credential is.
func (s *StoredSecret) endedAt(now time.Time) bool {
	return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
}

// inState refuses what only credentials in one of the states can have done to them.
func inState(c *Credential, now time.Time, what string, states ...Status) error {
	state := c.StatusAt(now)
	if slices.Contains(states, state) {
		return nil
	}
	return &Refusal{
		Code:   InvalidState,
		Detail: fmt.Sprintf("Only %s keys can be %s; %s is %s.", words(states), what, c.ID, state),
		Hint:   stateHint(state),
		State:  state, Version: c.Version,
	}
}

// words writes states as people say them.
func words(states []Status) string {
	if len(states) == 1 {
		return string(states[0])
	}
	last := len(states) - 1
	return join(states[:last]) + " and " + string(states[last])
}

// stateHint is the next step for a key that is in the wrong state.
func stateHint(s Status) string {
	switch s {
	case Active:
		return "It is admitted as it is."
	case Suspended:
		return "Resume it, if it shall work again."
	case Pending:
		return "It waits for approval."
	default:
		return "It is not admitted any more; generate another one where one is needed."
	}
}

// managedElsewhere refuses to change what the configuration declares.
func managedElsewhere(c *Credential) error {
	return &Refusal{
		Code:   ManagedElsewhere,
		Detail: fmt.Sprintf("The key %s is declared at %s, and only there it can be changed.", quote(c.Name), c.ManagedBy),
		Hint:   "Edit the file and reload. Here it can be suspended, resumed and revoked.",
		Where:  c.ManagedBy,
	}
}
