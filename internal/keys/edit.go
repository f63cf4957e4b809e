package keys

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// CredentialEdit says what to change of a credential. What is not set stays as it is; what is set to
// its zero value is cleared.
type CredentialEdit struct {
	Name            Edited[string]
	Description     Edited[string]
	APIs            Edited[[]APIName]
	Scopes          Edited[[]Scope]
	ApplicationType Edited[string]
	RedirectURIs    Edited[[]string]
	AllowedIPs      Edited[[]string]
	Metadata        Edited[map[string]*string] // set by name, nil takes one away; a nil map takes all
	Expiry          Edited[Lifetime]           // from now on; the zero one is never
	Plan            Edited[PlanName]           // "": the default plan
	Wrong           []FieldError               // what reading the input found already, as in NewCredential
}

// Edited is one field of an edit.
type Edited[T any] struct {
	Set   bool
	Value T
}

// Edit changes what may be changed of a credential; its id, secrets, owner and kind stay. Nobody
// grants what he could not grant to a new one, and only the provider's people change the plan. An edit
// that changes nothing writes nothing. ifVersion: see Revoke.
//
// Refusals: not_found, permission_denied, managed_elsewhere, version_conflict, invalid_state (revoked
// and denied ones, and the end of an expired one), validation_failed (all fields at once), and the
// store's. With a Directory, the change is in effect when it returns.
func (r *Registry) Edit(ctx context.Context, a Actor, id CredentialID, in CredentialEdit, ifVersion ...int64) (Credential, error) {
	do := act{doing: "edit key", own: KeysEdit, all: KeysEditAny, ifVersion: ifVersion}
	return r.amend(ctx, a, id, do, func(ctx context.Context, tx Tx, c *Credential, now time.Time) (note, error) {
		if err := inState(c, now, "edited", Pending, Active, Suspended, Expired); err != nil {
			return note{}, err
		}
		tenant, err := tx.Tenant(ctx, c.Tenant)
		if err != nil {
			return note{}, err
		}
		before := *c
		if err := r.edit(a, c, in, tenant, now); err != nil {
			return note{}, err
		}
		if reflect.DeepEqual(before, *c) {
			return note{}, nil
		}
		return note{"key.edited", editedDetails(&before, c)}, nil
	})
}

// edit applies an edit to a record, with every wrong field told.
func (r *Registry) edit(a Actor, c *Credential, in CredentialEdit, tenant Tenant, now time.Time) error {
	cat := r.catalog.Load()
	policy := cat.PolicyFor(tenant)
	wrong := fieldErrors(slices.Clone(in.Wrong))
	if in.Name.Set {
		c.Name = wrong.newName(in.Name.Value, policy, c.ID)
	}
	if in.Description.Set {
		c.Description = wrong.lines("description", in.Description.Value, maxDescription)
	}
	if in.APIs.Set {
		c.APIs = names(&wrong, "apis", "API", in.APIs.Value, sortedSet(append(sortedKeys(cat.APIs), c.APIs...)))
	}
	if in.Scopes.Set {
		c.Scopes = names(&wrong, "scopes", "scope", in.Scopes.Value, sortedSet(append(cat.scopes(), c.Scopes...)))
	}
	if in.AllowedIPs.Set {
		c.AllowedIPs = wrong.allowedIPs("allowed_ips", in.AllowedIPs.Value)
	}
	if in.Metadata.Set {
		c.Metadata = wrong.metadata("metadata", mergedMetadata(c.Metadata, in.Metadata.Value))
	}
	if in.ApplicationType.Set || in.RedirectURIs.Set {
		kind, uris := c.ApplicationType, c.RedirectURIs
		if in.ApplicationType.Set {
			kind = in.ApplicationType.Value
		}
		if in.RedirectURIs.Set {
			uris = in.RedirectURIs.Value
		}
		wrong.application(c, kind, uris)
	}
	var refusal error
	if in.Expiry.Set {
		refusal = wrong.newEnd(c, policy, in.Expiry.Value, now)
	}
	if in.Plan.Set {
		if err := r.newPlan(&wrong, a, c, in.Plan.Value, cat, tenant); refusal == nil {
			refusal = err
		}
	}
	if err := wrong.refusal(); err != nil {
		return err
	}
	return refusal
}

// newName checks a name; one that is taken away is made again where the policy does not ask for one.
func (e *fieldErrors) newName(name string, p Policy, id CredentialID) string {
	name = e.line("name", name, maxName)
	switch {
	case name != "":
	case p.NameRequired:
		e.add("name", "is required")
	default:
		name = usualName(id)
	}
	return name
}

// newEnd moves the end of a credential. It lives no longer than the policy's maximum from its
// creation on, however often its end is moved; an earlier end is always possible.
func (e *fieldErrors) newEnd(c *Credential, p Policy, asked Lifetime, now time.Time) error {
	end := truncated(asked.End(now))
	if end.Equal(c.ExpiresAt) {
		return nil
	}
	if c.StatusAt(now) == Expired {
		return &Refusal{
			Code:   InvalidState,
			Detail: fmt.Sprintf("The key %s is expired, and the end of an expired key cannot be moved.", c.ID),
			Hint:   "Generate another key.",
		}
	}
	if sooner := !end.IsZero() && (c.ExpiresAt.IsZero() || end.Before(c.ExpiresAt)); sooner {
		p.MaxExpiry = Lifetime{}
	}
	c.ExpiresAt = e.end(p, end, c.CreatedAt, now)
	return nil
}

// newPlan puts a credential on another plan, which only the provider's people may.
func (r *Registry) newPlan(e *fieldErrors, a Actor, c *Credential, asked PlanName, cat *Catalog, tenant Tenant) error {
	if asked == c.Plan {
		return nil
	}
	if !a.provider() {
		return &Refusal{
			Code:   PermissionDenied,
			Detail: "Only an operator may change the plan of a key.",
			Hint:   r.help("Leave plan out, or ask the provider."),
		}
	}
	plan, err := r.choosePlan(e, a, asked, cat, tenant)
	c.Plan = plan
	return err
}

// mergedMetadata returns the entries with those of the edit set and taken away (RFC 7396).
func mergedMetadata(had map[string]string, edit map[string]*string) map[string]string {
	if edit == nil {
		return nil
	}
	merged := maps.Clone(had)
	if merged == nil {
		merged = map[string]string{}
	}
	for name, value := range edit {
		if value == nil {
			delete(merged, name)
		} else {
			merged[name] = *value
		}
	}
	return merged
}

// editedDetails is what the audit keeps of an edit: what changed, as it is and as it was.
func editedDetails(before, after *Credential) map[string]string {
	was, is := generatedDetails(before), generatedDetails(after)
	changed := map[string]string{}
	for name := range maps.Keys(merge(was, is)) {
		if was[name] != is[name] {
			changed[name], changed[name+"_before"] = is[name], was[name]
		}
	}
	if before.Description != after.Description {
		changed["description"] = "changed"
	}
	if !maps.Equal(before.Metadata, after.Metadata) {
		changed["metadata"] = join(sortedKeys(after.Metadata))
	}
	return changed
}

// merge returns a map with the names of both.
func merge(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
