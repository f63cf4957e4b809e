package keys

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// readableChain finds which audit chain an actor reads: the one he names, or his own. The provider's
// people may read every chain, others their tenant's. A chain that nothing was written to is empty,
// not unknown: whether a tenant exists is nothing to learn here.
func (r *Registry) readableChain(a Actor, need Permission, chain string) (string, error) {
	if !a.Permissions.Has(need) {
		return "", r.denied(need)
	}
	own := string(a.Tenant)
	if a.provider() {
		own = ProviderChain
	}
	switch {
	case chain == "":
		return own, nil
	case chain != own && !a.provider():
		return "", &Refusal{
			Code:   PermissionDenied,
			Detail: fmt.Sprintf("You may read the audit chain of %s only.", a.Tenant),
			Hint:   r.help("Leave chain and tenant out, or ask the provider."),
		}
	}
	return chain, nil
}

// namedChain is readableChain for what a slip of the pen would harm: a name that no tenant and no
// entry has is not_found. It would else be verified as good, and an export would begin a chain of
// that name. Only the provider's people come so far as to learn it.
func (r *Registry) namedChain(ctx context.Context, a Actor, need Permission, chain string) (string, error) {
	chain, err := r.readableChain(a, need, chain)
	if err != nil || chain == ProviderChain || chain == string(a.Tenant) {
		return chain, err
	}
	_, err = r.store.Tenant(ctx, TenantID(chain))
	if err == nil {
		return chain, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return "", r.failure("read tenant", err)
	}
	last, err := r.store.AuditHead(ctx, chain)
	if err != nil {
		return "", r.failure("read the end of an audit chain", err)
	}
	if last.Seq == 0 {
		return "", absent("audit chain", chain)
	}
	return chain, nil
}

// ListAudit lists entries of the audit chains that the actor may read, newest first: those of one
// chain, or, for the provider's people who name none, of all. f.Limit 0 means 100. It shows entries
// as they are stored; VerifyAudit tells whether they are as they were written.
func (r *Registry) ListAudit(ctx context.Context, a Actor, f AuditFilter) (AuditPage, error) {
	chain, err := r.readableChain(a, AuditRead, f.Chain)
	if err != nil {
		return AuditPage{}, err
	}
	if f.Chain != "" || !a.provider() {
		f.Chain = chain
	}
	var wrong fieldErrors
	f.Limit = wrong.limit(f.Limit)
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		wrong.add("to", "is %s, which is not after from", f.To.UTC().Format(time.RFC3339))
	}
	if err := wrong.refusal(); err != nil {
		return AuditPage{}, err
	}
	page, err := r.store.ListAudit(ctx, f)
	if err != nil {
		return AuditPage{}, r.listFailure(err)
	}
	return page, nil
}

// AuditChains returns where each chain that the actor may read ends, by name.
func (r *Registry) AuditChains(ctx context.Context, a Actor) ([]AuditHead, error) {
	own, err := r.readableChain(a, AuditRead, "")
	if err != nil {
		return nil, err
	}
	ends, err := r.store.AuditHeads(ctx)
	if err != nil {
		return nil, r.failure("read the ends of the audit chains", err)
	}
	var heads []AuditHead
	for _, e := range ends {
		if a.provider() || e.Chain == own {
			heads = append(heads, r.vault.SealAuditHead(e.Chain, e.Seq, e.MAC))
		}
	}
	return heads, nil
}
