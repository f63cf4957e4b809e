package keys

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Rotation says how to replace a secret. Its zero value lets the old one work for a day more.
type Rotation struct {
	Overlap *Overlap // nil: 24 hours
	// Drop ends the older of two live secrets at once, to make room: a credential has two at most.
	Drop        bool
	Idempotency Idempotency
	Wrong       []FieldError // what reading the input found already, as in NewCredential
}

// Rotate gives a credential a second secret and lets the old one end after the overlap. Its id,
// scopes, limits and use stay. A third live secret is refused with invalid_state until the first has
// ended, unless it is dropped. Only active and suspended credentials have their secrets replaced.
//
// Whoever rotates sees the new secret, so a person's credential is rotated by that person alone:
// self_only otherwise. Further refusals: not_found, permission_denied, managed_elsewhere,
// version_conflict, keys_disabled, plan_not_eligible, validation_failed, idempotency_mismatch, and the
// store's. With a Directory, the new secret works when Rotate returns. ifVersion: see Revoke.
func (r *Registry) Rotate(ctx context.Context, a Actor, id CredentialID, in Rotation, ifVersion ...int64) (Generated, error) {
	do := act{doing: "rotate key", own: KeysEdit, all: KeysEditAny}
	if !a.Permissions.HasAny(do.own, do.all) {
		return Generated{}, r.denied(do.own)
	}
	if made, err := r.earlier(ctx, r.store, a, in.Idempotency); err != nil || made != "" {
		return r.madeEarlier(ctx, a, made, err)
	}
	do.ifVersion = ifVersion
	var text Secret
	c, err := r.amend(ctx, a, id, do, func(ctx context.Context, tx Tx, c *Credential, now time.Time) (note, error) {
		if err := r.claim(ctx, tx, a, in.Idempotency, string(c.ID)); err != nil {
			return note{}, err
		}
		policy, err := r.rotatable(ctx, tx, a, c, now)
		if err != nil {
			return note{}, err
		}
		var n note
		n, text, err = r.rotate(c, policy, in, now)
		return n, err
	})
	if made := (*madeBefore)(nil); errors.As(err, &made) {
		return r.madeEarlier(ctx, a, made.target, nil)
	}
	if err != nil {
		return Generated{}, err
	}
	return Generated{Credential: c, Secret: text}, nil
}

// rotatable refuses to make a secret for a credential that must not have another one, and returns the
// policy that the new one is made under.
func (r *Registry) rotatable(ctx context.Context, from Reader, a Actor, c *Credential, now time.Time) (Policy, error) {
	if c.Owner.Type == OwnerUser && (!a.owns(c) || a.Lent) {
		return Policy{}, &Refusal{
			Code:   SelfOnly,
			Detail: fmt.Sprintf("The key %s belongs to %s, and only its owner may see a secret of it, so only the owner can rotate it.", c.ID, quote(c.Owner.Name)),
			Hint:   "Ask the owner to rotate it; suspend or revoke it if it must not go on working.",
		}
	}
	if err := inState(c, now, "rotated", Active, Suspended); err != nil {
		return Policy{}, err
	}
	if err := r.ownerReady(ctx, from, c.Owner); err != nil {
		return Policy{}, err
	}
	if err := r.actorReady(ctx, from, a); err != nil {
		return Policy{}, err
	}
	tenant, err := r.readyTenant(ctx, from, c.Tenant)
	if err != nil {
		return Policy{}, err
	}
	for i := range c.Secrets {
		if !r.vault.SecretIntact(c.ID, &c.Secrets[i]) {
			return Policy{}, altered(string(c.ID))
		}
	}
	return r.catalog.Load().PolicyFor(tenant), nil
}

// rotate puts a new secret beside the one that is in force, and gives that one its end.
func (r *Registry) rotate(c *Credential, policy Policy, in Rotation, now time.Time) (note, Secret, error) {
	wrong := fieldErrors(in.Wrong)
	end := in.Overlap.end(now)
	switch {
	case end.Before(now):
		wrong.add("overlap", "the old secret would end at %s, which is over", endText(end))
	case end.Year() > 9999:
		wrong.add("overlap", "lies beyond the year 9999")
	}
	if err := wrong.refusal(); err != nil {
		return note{}, Secret{}, err
	}
	old := newestOf(c.Secrets)
	for _, s := range c.Secrets {
		if s.ID != old.ID && !in.Drop {
			return note{}, Secret{}, &Refusal{
				Code: InvalidState,
				Detail: fmt.Sprintf("The key %s has two live secrets already; the older one, %s, ends at %s.",
					c.ID, s.Preview, endText(s.ExpiresAt)),
				Hint: "Wait for that, or rotate with drop, which ends the older one at once.",
			}
		}
	}
	made, text, err := r.furtherSecret(c, policy, now)
	if err != nil {
		return note{}, Secret{}, err
	}
	if old.ExpiresAt.IsZero() || end.Before(old.ExpiresAt) {
		old.ExpiresAt = end
		r.vault.SealSecret(c.ID, &old)
	}
	c.Secrets = []StoredSecret{old, made}
	return note{"key.rotated", details("name", c.Name, "secret", string(made.ID), "preview", made.Preview,
		"old_secret", string(old.ID), "old_ends_at", endText(old.ExpiresAt))}, text, nil
}

// furtherSecret makes another secret of a credential. A key's text has the id of the key in it, as the
// first one had; a client's has that of the secret.
func (r *Registry) furtherSecret(c *Credential, policy Policy, now time.Time) (StoredSecret, Secret, error) {
	var id string
	var text Secret
	var err error
	if c.Kind == Client {
		id, text, err = r.format.NewClientSecret(r.random)
	} else if id, err = random62(r.random, idLen); err == nil {
		text, err = r.format.FurtherKey(r.random, string(c.ID[4:]), c.Test)
	}
	if err != nil {
		return StoredSecret{}, Secret{}, err
	}
	s, err := r.stored(c, policy, SecretID(id), text, now)
	return s, text, err
}
