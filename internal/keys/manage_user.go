package keys

import (
	"context"
	"errors"
	"fmt"
)

// self tells whether the actor is the person, signed in himself.
func (a Actor) self(id UserID) bool { return a.Type == ActorUser && a.User == id }

// knownUser reads a person for an actor: not_found also when he must not know of him.
func (r *Registry) knownUser(ctx context.Context, from Reader, a Actor, id UserID) (User, error) {
	u, err := from.User(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, r.failure("read user", err)
	}
	if err != nil || !a.actsIn(u.Tenant) {
		return User{}, absent("user", string(id))
	}
	return u, nil
}

// managedUser reads a person whom the actor is about to change. It takes the permission, and that the
// other may not do more than the actor could give him: else an administrator of people could take
// over, or put out, one who decides about him.
func (r *Registry) managedUser(ctx context.Context, from Reader, a Actor, id UserID, need Permission) (User, error) {
	u, err := r.knownUser(ctx, from, a, id)
	if err != nil {
		return User{}, err
	}
	if !a.Permissions.Has(need) {
		return User{}, r.denied(need)
	}
	if !r.vault.UserIntact(&u) {
		r.forged.tell(r.log, "user", string(id))
		return User{}, altered(string(id))
	}
	if a.self(id) {
		return u, nil
	}
	cat := r.catalog.Load()
	for _, name := range u.Roles {
		if role, known := cat.role(name); known && !r.mayGive(a, role) {
			return User{}, &Refusal{
				Code:   PermissionDenied,
				Detail: fmt.Sprintf("%s has the role %s, with permissions that you lack, and nobody changes a person who may do more.", u.called(), name),
				Hint:   r.help("Ask somebody who has them."),
			}
		}
	}
	return u, nil
}

// replaceUser writes the next version of a person.
func (r *Registry) replaceUser(ctx context.Context, tx Tx, u *User) error {
	u.UpdatedAt, u.Version = r.instant(), u.Version+1
	r.vault.SealUser(u)
	return r.putUser(ctx, tx, *u)
}

// ownedBy reads every credential of a person.
func (r *Registry) ownedBy(ctx context.Context, tx Tx, u *User) ([]Credential, error) {
	f := CredentialFilter{Tenant: u.Tenant, OwnerType: OwnerUser, OwnerID: string(u.ID), Now: r.instant(), Limit: longestPage}
	var all []Credential
	for {
		page, err := tx.Credentials(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, c := range page.Items {
			if c.Owner.ID == string(u.ID) && r.vault.CredentialIntact(&c) { // an altered one is refused as it is
				all = append(all, c)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return all, nil
		}
	}
}

// turn writes a credential's next version in another state, with its audit entry.
func (r *Registry) turn(ctx context.Context, tx Tx, a Actor, c Credential, to Status, action, reason string) error {
	now := r.instant()
	c.Status, c.Hold = to, NoHold
	switch to {
	case Revoked:
		c.RevokedAt = now
	case Suspended:
		c.Hold = HoldTenant // the owner himself must not resume it
	}
	if err := r.rewrite(ctx, tx, &c, now); err != nil {
		return err
	}
	return r.record(ctx, tx, a, string(c.Tenant), action, string(c.ID), details("name", c.Name, "reason", reason, "hold", string(c.Hold)))
}
