package keys

import (
	"context"
	"errors"
)

// Allowance tells whether somebody may do something, and if not, why.
type Allowance struct {
	Allowed bool
	Reason  RefusalCode // "" when he may
}

// May tells what an actor may do, by permission, as a person who looks for a button would ask. For
// keys.generate it names the first of the three preconditions of requirement S3.26 that is missing:
// role_required, keys_disabled, plan_not_eligible; permission_denied when his access to keys was
// removed. For revealing secrets it says when he has to prove again who he is.
func (r *Registry) May(ctx context.Context, a Actor) (map[Permission]Allowance, error) {
	out := map[Permission]Allowance{}
	for p := range AllPermissions() {
		out[p] = Allowance{Allowed: true}
		if !a.Permissions.Has(p) {
			out[p] = Allowance{Reason: RoleRequired}
			if a.User == "" {
				out[p] = Allowance{Reason: PermissionDenied}
			}
		}
	}
	for _, p := range []Permission{KeysReveal, KeysRevealTenant} {
		if out[p].Allowed && r.confirmed(a) != nil {
			out[p] = Allowance{Reason: ReauthRequired}
		}
	}
	for _, p := range []Permission{KeysGenerate, KeysGenerateAny} {
		if !out[p].Allowed {
			continue
		}
		reason, err := r.whyNoKey(ctx, a)
		if err != nil {
			return nil, err
		}
		out[p] = Allowance{Allowed: reason == "", Reason: reason}
	}
	return out, nil
}

// whyNoKey tells why somebody with the permission could generate no key in his own tenant.
func (r *Registry) whyNoKey(ctx context.Context, a Actor) (RefusalCode, error) {
	id := a.Tenant
	if a.provider() {
		id = DefaultTenant
	}
	_, err := r.readyTenant(ctx, r.store, id)
	if err == nil {
		err = r.actorReady(ctx, r.store, a)
	}
	var refusal *Refusal
	if errors.As(err, &refusal) && (refusal.Code == KeysDisabledHere || refusal.Code == PlanNotEligibleHere || refusal.Code == PermissionDenied) {
		return refusal.Code, nil
	}
	return "", err
}
