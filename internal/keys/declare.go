package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// declareChunk bounds the records of one change, so that every node reads a change whole.
const declareChunk = 500

// Declare makes the stored declared credentials those given: new ones are added, changed ones
// replaced, missing ones end; what was revoked or suspended at run time stays so, also when it left
// the file and came back. Its secret stays taken: declared under another name it is refused, with an
// error that names the key that has it. Tenants that are named and do not exist are made. Calling it
// again with the same list writes nothing, so a call that failed half-way is completed by the next.
//
// Errors name the file and line. Up to 500 records are written in one transaction.
func (r *Registry) Declare(ctx context.Context, ds []Declared) error {
	ds, err := checkDeclared(ds)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		plan, err := r.planDeclare(ctx, ds)
		if err != nil {
			return r.failure("compare declared keys", err)
		}
		err = r.writeDeclared(ctx, plan)
		// Another node may be declaring the same file, or somebody may have revoked one meanwhile.
		if again := errors.Is(err, ErrConflict) || errors.Is(err, ErrDuplicate); again && try < mostTries {
			continue
		}
		if taken := (*hashTaken)(nil); errors.As(err, &taken) {
			return r.explain(ctx, taken)
		}
		return err
	}
}

// declarePlan is what Declare has to write.
type declarePlan struct {
	tenants []TenantID
	ends    []declareWrite
	changes []declareWrite
	news    []declareWrite
}

type declareWrite struct {
	credential Credential
	action     string // "": nothing but the place in the file changed, which nobody needs to audit
}

// planDeclare compares what is stored with what is declared. It holds nobody up: the versions in
// the plan find out whether anything changed before it is carried out.
func (r *Registry) planDeclare(ctx context.Context, ds []Declared) (declarePlan, error) {
	cat, now := r.catalog.Load(), r.instant()
	var plan declarePlan
	stored, err := r.storedDeclared(ctx, now)
	if err != nil {
		return plan, err
	}
	moving := r.movable(stored)
	tenants := map[TenantID]Tenant{}
	for _, d := range ds {
		tenant, known := tenants[d.Tenant]
		if !known {
			tenant, err = r.store.Tenant(ctx, d.Tenant)
			if errors.Is(err, ErrNotFound) {
				tenant = Tenant{ID: d.Tenant, Name: string(d.Tenant)}
				plan.tenants = append(plan.tenants, d.Tenant)
			} else if err != nil {
				return plan, err
			}
			tenants[d.Tenant] = tenant
		}
		want := d.credential(cat, tenant, r.vault)
		want.CreatedAt, want.UpdatedAt, want.Secrets[0].CreatedAt = now, now, now
		have, live := stored[want.ID]
		delete(stored, want.ID)
		if !live {
			have, err = r.store.Credential(ctx, want.ID, true)
			if errors.Is(err, ErrNotFound) {
				if err := r.freeUnderOldPeppers(ctx, d, &want, moving); err != nil {
					return plan, err
				}
				plan.news = append(plan.news, declareWrite{r.seal(want), "key.declared"})
				continue
			}
			if err != nil {
				return plan, err
			}
		}
		if have.ManagedBy == "" {
			return plan, fmt.Errorf("%s: declare key %s: its id %s belongs to a key that is not declared; rename it",
				d.Where, quote(d.Name), want.ID)
		}
		if !r.holds(&have, d.Hash) {
			if err := r.freeUnderOldPeppers(ctx, d, &want, moving); err != nil {
				return plan, err
			}
		}
		if w, changed := r.redeclare(have, want, d.Hash); changed {
			plan.changes = append(plan.changes, w)
		}
	}
	for _, id := range sortedKeys(stored) {
		c := stored[id]
		if !r.vault.CredentialIntact(&c) {
			c.Status = Revoked // perhaps it was, see redeclare; a tombstone with a valid MAC must not hide it
		}
		if !underDenial(c.Status) {
			c.Secrets = nil // their digests are free again; those of a denied one stay taken
		}
		c.DeletedAt, c.UpdatedAt, c.Version = now, now, c.Version+1
		r.vault.SealCredential(&c)
		plan.ends = append(plan.ends, declareWrite{c, "key.undeclared"})
	}
	return plan, nil
}

// storedDeclared returns the declared credentials that are in force.
func (r *Registry) storedDeclared(ctx context.Context, now time.Time) (map[CredentialID]Credential, error) {
	stored := map[CredentialID]Credential{}
	if r.dir != nil && r.dir.noneDeclared() {
		return stored, nil // the store would look through all it has
	}
	f := CredentialFilter{Managed: ManagedByFile, Now: now, Limit: longestPage}
	for {
		page, err := r.store.Credentials(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, c := range page.Items {
			stored[c.ID] = c
		}
		if page.Next == "" {
			return stored, nil
		}
		f.Cursor = page.Next
	}
}

// writeDeclared carries a plan out. What ends and what changes comes before what is new, because a
// key may change its name and keep its digest.
func (r *Registry) writeDeclared(ctx context.Context, plan declarePlan) error {
	if len(plan.tenants) > 0 {
		err := r.change(ctx, "declare tenants", func(ctx context.Context, tx Tx) error {
			for _, id := range plan.tenants {
				if err := r.ensureTenant(ctx, tx, fileActor(), id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for writes := range slices.Chunk(slices.Concat(plan.ends, plan.changes, plan.news), declareChunk) {
		err := r.change(ctx, "declare keys", func(ctx context.Context, tx Tx) error {
			for i := range writes {
				if err := r.writeDeclaration(ctx, tx, &writes[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) writeDeclaration(ctx context.Context, tx Tx, w *declareWrite) error {
	c := &w.credential
	if err := tx.PutCredential(ctx, *c); errors.Is(err, ErrDuplicate) {
		return &hashTaken{by: *c}
	} else if err != nil {
		return err
	}
	if w.action == "" {
		return nil
	}
	return r.record(ctx, tx, fileActor(), string(c.Tenant), w.action, string(c.ID), details(
		"kind", string(c.Kind), "name", c.Name, "plan", string(c.Plan), "apis", join(c.APIs),
		"scopes", join(c.Scopes), "status", string(c.Status), "expires_at", endText(c.ExpiresAt), "where", c.ManagedBy))
}

// redeclare brings a stored declared credential to what the file says now. A record that was altered
// behind our back stays as it is, refused: nobody can say whether it was revoked, and to write it
// again would let it in. A denied one keeps the secret that it was denied with, whatever hash the
// file gives it now, so that no other key can have that secret.
func (r *Registry) redeclare(have, want Credential, hash [sha256.Size]byte) (declareWrite, bool) {
	if !r.vault.CredentialIntact(&have) {
		return declareWrite{}, false
	}
	want.Version, want.CreatedAt, want.RevokedAt = have.Version+1, have.CreatedAt, have.RevokedAt
	kept := false
	if underDenial(have.Status) {
		want.Status, want.Hold = have.Status, have.Hold
		if kept = len(have.Secrets) > 0 && !r.holds(&have, hash); kept {
			want.Secrets = have.Secrets
			r.log.Warn("a declared key has a new hash, but it was "+string(have.Status)+" and stays refused; "+
				"give the new secret a key of another name", "where", want.ManagedBy, "name", want.Name, "id", string(want.ID))
		}
	}
	action := "key.redeclared"
	switch {
	case !have.DeletedAt.IsZero():
		action = "key.declared"
	case sameDeclared(have, want) && (kept || r.vault.SecretIntact(have.ID, &have.Secrets[0])):
		if have.ManagedBy == want.ManagedBy {
			return declareWrite{}, false
		}
		action = ""
	}
	if kept { // the secret as it is, with the MAC that it has: perhaps a wrong one
		r.vault.SealCredential(&want)
		return declareWrite{want, action}, true
	}
	return declareWrite{r.seal(want), action}, true
}

// seal gives a record and its secrets their MACs.
func (r *Registry) seal(c Credential) Credential {
	for i := range c.Secrets {
		r.vault.SealSecret(c.ID, &c.Secrets[i])
	}
	r.vault.SealCredential(&c)
	return c
}
