package keys

import "context"

// Tokens lists admin tokens: the provider's people see all, others their tenant's. f.Limit 0 means
// 100.
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
	return page, nil
}
