package keys

import (
	"context"
	"slices"
)

// Tokens lists admin tokens: the provider's people see all, others their tenant's. f.Limit 0 means
// 100. Altered records are left out, as Credentials does.
func (r *Registry) Tokens(ctx context.Context, a Actor, f TokenFilter) (TokenPage, error) {
	if !a.Permissions.Has(TokensManage) {
		return TokenPage{}, r.denied(TokensManage)
	}
	var wrong fieldErrors
	f.Limit = wrong.limit(f.Limit)
	if err := wrong.refusal(); err != nil {
		return TokenPage{}, err
	}
	if !a.provider() {
		if f.Tenant != "" && f.Tenant != a.Tenant {
			return TokenPage{}, nil
		}
		f.Tenant = a.Tenant
	}
	page, err := r.store.Tokens(ctx, f)
	if err != nil {
		return TokenPage{}, r.listFailure(err)
	}
	page.Items = slices.DeleteFunc(page.Items, func(t Token) bool {
		if r.vault.TokenIntact(&t) {
			return false
		}
		r.forged.tell(r.log, "token", string(t.ID))
		return true
	})
	return page, nil
}
