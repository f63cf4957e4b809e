package keys

import (
	"context"
	"errors"
	"fmt"
)

// RevokeToken ends an admin token for good; from then on TokenActor refuses it. A token may revoke
// itself. Refusals: permission_denied, not_found, invalid_state when it was revoked before.
func (r *Registry) RevokeToken(ctx context.Context, a Actor, id TokenID) (Token, error) {
	if !a.Permissions.Has(TokensManage) {
		return Token{}, r.denied(TokensManage)
	}
	var revoked Token
	err := r.change(ctx, "revoke token", func(ctx context.Context, tx Tx) error {
		t, err := tx.Token(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err != nil || !a.actsIn(t.Tenant) {
			return absent("token", string(id))
		}
		if !r.vault.TokenIntact(&t) {
			return altered(string(id))
		}
		if !t.RevokedAt.IsZero() {
			return &Refusal{
				Code:   InvalidState,
				Detail: fmt.Sprintf("The token %s is revoked already.", id),
				Hint:   "There is nothing left to do.",
			}
		}
		t.RevokedAt, t.Version = r.instant(), t.Version+1
		r.vault.SealToken(&t)
		if err := tx.PutToken(ctx, t); err != nil {
			return err
		}
		revoked = t
		return r.record(ctx, tx, a, t.chain(), "token.revoked", string(t.ID), details("name", t.Name))
	})
	if err != nil {
		return Token{}, err
	}
	return revoked, nil
}
