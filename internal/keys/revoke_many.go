package keys

import (
	"context"
	"errors"
	"slices"
)

// MostRevoked is how many credentials one RevokeMany looks at.
const MostRevoked = 10_000

// revokeChunk is how many credentials are revoked in one transaction: other writers wait no longer
// than for one of them.
const revokeChunk = 250

// ManyRevocations says which credentials to revoke: those of a list of at most MostRevoked, or those
// that a filter selects. Exactly one of the two is given.
type ManyRevocations struct {
	IDs []CredentialID
	// Filter must narrow: one that selects everything is refused. Unless it asks for a state it
	// selects what can be revoked. Its order, cursor and limit count for nothing.
	Filter *CredentialFilter
	Reason string
	DryRun bool         // tell what would happen, and do nothing
	Wrong  []FieldError // what reading the input found already, as in NewCredential
}

// ManyRevoked tells what happened to each credential, in the order of the list.
type ManyRevoked struct {
	Outcomes []RevokeOutcome
	More     bool // the filter selects more than MostRevoked; asked again, it goes on with the rest
}

// RevokeOutcome tells what happened to one credential.
type RevokeOutcome struct {
	ID     CredentialID
	Status Status   // afterwards; "" when it is not known
	No     *Refusal // why it was not revoked; nil when it was, or would have been
}

// RevokeMany revokes each credential that Revoke would, with an audit entry for each, and tells for
// every one what happened. It works in chunks, each a transaction of its own: should the store fail
// half-way, the answer tells which were revoked before. It is refused as a whole, and nothing is done,
// for permission_denied, validation_failed, and a store that fails at once.
func (r *Registry) RevokeMany(ctx context.Context, a Actor, in ManyRevocations) (ManyRevoked, error) {
	if !a.Permissions.HasAny(KeysRevoke, KeysRevokeAny) {
		return ManyRevoked{}, r.denied(KeysRevoke)
	}
	wrong := fieldErrors(slices.Clone(in.Wrong))
	in.Reason = wrong.lines("reason", in.Reason, maxReason)
	wrong.many(&in)
	if err := wrong.refusal(); err != nil {
		return ManyRevoked{}, err
	}
	var done ManyRevoked
	ids := distinct(in.IDs)
	if in.Filter != nil {
		var err error
		if ids, done.More, err = r.selected(ctx, a, *in.Filter); err != nil {
			return ManyRevoked{}, r.failure("select keys to revoke", err)
		}
	}
	for chunk := range slices.Chunk(ids, revokeChunk) {
		outcomes, err := r.revokeChunk(ctx, a, chunk, in)
		if err != nil && len(done.Outcomes) == 0 {
			return ManyRevoked{}, err
		}
		if err != nil {
			outcomes = unfinished(chunk, err)
		}
		done.Outcomes = append(done.Outcomes, outcomes...)
	}
	return done, nil
}

// many checks which credentials are meant.
func (e *fieldErrors) many(in *ManyRevocations) {
	switch {
	case in.Filter == nil && len(in.IDs) == 0:
		e.add("ids", "name at least one key, or give a filter")
	case in.Filter != nil && len(in.IDs) > 0:
		e.add("filter", "stands beside ids; give one of them")
	case len(in.IDs) > MostRevoked:
		e.add("ids", "has %d entries; at most %d are possible in one call", len(in.IDs), MostRevoked)
	case in.Filter != nil:
		f := in.Filter
		e.filter("filter.", f)
		if f.Tenant == "" && f.OwnerID == "" && f.OwnerType == "" && f.Kind == "" && f.API == "" && f.Search == "" &&
			f.ExpiresBefore.IsZero() && f.UnusedSince.IsZero() && f.Status == "" {
			e.add("filter", "selects every key there is; narrow it, if only by tenant")
		}
	}
}

// selected finds what a filter selects of what the actor may revoke.
func (r *Registry) selected(ctx context.Context, a Actor, f CredentialFilter) (ids []CredentialID, more bool, err error) {
	if !a.provider() {
		if f.Tenant != "" && f.Tenant != a.Tenant {
			return nil, false, nil
		}
		f.Tenant = a.Tenant
	}
	states := []Status{f.Status}
	if f.Status == "" {
		states = []Status{Active, Suspended}
	}
	f.Now, f.Sort, f.Limit = r.instant(), "", longestPage
	for _, f.Status = range states {
		f.Cursor = ""
		for {
			page, err := r.store.Credentials(ctx, f)
			if err != nil {
				return nil, false, err
			}
			for _, c := range page.Items {
				if !a.may(KeysRevoke, KeysRevokeAny, &c) {
					continue
				}
				if len(ids) == MostRevoked {
					return ids, true, nil
				}
				ids = append(ids, c.ID)
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
	}
	return ids, false, nil
}

// revokeChunk revokes some credentials in one transaction, or tells what that would do.
func (r *Registry) revokeChunk(ctx context.Context, a Actor, ids []CredentialID, in ManyRevocations) ([]RevokeOutcome, error) {
	var outcomes []RevokeOutcome
	each := func(act func(CredentialID) (Status, error)) error {
		outcomes = make([]RevokeOutcome, 0, len(ids)) // a transaction may run again
		for _, id := range ids {
			status, err := act(id)
			no := (*Refusal)(nil)
			if err != nil && !errors.As(err, &no) {
				return err
			}
			outcomes = append(outcomes, RevokeOutcome{id, status, no})
		}
		return nil
	}
	if in.DryRun {
		err := each(func(id CredentialID) (Status, error) { return r.wouldRevoke(ctx, a, id) })
		if err != nil {
			return nil, r.failure("look at keys to revoke", err)
		}
		return outcomes, nil
	}
	err := r.change(ctx, "revoke keys", func(ctx context.Context, tx Tx) error {
		trail := auditTrail{registry: r, tx: tx}
		return each(func(id CredentialID) (Status, error) { return r.revokeOne(ctx, tx, &trail, a, id, in.Reason) })
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// wouldRevoke tells what revokeOne would.
func (r *Registry) wouldRevoke(ctx context.Context, a Actor, id CredentialID) (Status, error) {
	c, err := r.actable(ctx, r.store, a, id, revoking(nil))
	if err != nil {
		return "", err
	}
	now := r.instant()
	was := c.StatusAt(now)
	_, err = revoke(&c, "", now)
	return was, err
}

// revokeOne revokes one credential of many. Only a refusal leaves the transaction usable.
func (r *Registry) revokeOne(ctx context.Context, tx Tx, trail *auditTrail, a Actor, id CredentialID, reason string) (Status, error) {
	c, err := r.actable(ctx, tx, a, id, revoking(nil))
	if err != nil {
		return "", err
	}
	now := r.instant()
	n, err := revoke(&c, reason, now)
	if err != nil {
		return c.StatusAt(now), err
	}
	if err := r.rewrite(ctx, tx, &c, now); err != nil {
		return "", err
	}
	return Revoked, trail.record(ctx, a, string(c.Tenant), n.action, string(c.ID), n.detail)
}

// unfinished tells of a chunk that the store did not take.
func unfinished(ids []CredentialID, err error) []RevokeOutcome {
	no := (*Refusal)(nil)
	if !errors.As(err, &no) {
		no = &Refusal{Code: StoreUnavailableHere, Detail: "The call ended before it came to this key, which stays as it was."}
	}
	outcomes := make([]RevokeOutcome, len(ids))
	for i, id := range ids {
		outcomes[i] = RevokeOutcome{ID: id, No: no}
	}
	return outcomes
}

// distinct leaves out what a list names again.
func distinct(ids []CredentialID) []CredentialID {
	seen := make(map[CredentialID]bool, len(ids))
	var out []CredentialID
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}
