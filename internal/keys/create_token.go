package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// NewToken is the input of CreateToken.
type NewToken struct {
	Name        string
	Roles       []RoleName
	Tenant      TenantID  // "": the actor's, or the provider
	ActsAs      UserID    // "": nobody
	Expiry      *Lifetime // nil: never
	Idempotency Idempotency
	Wrong       []FieldError // what reading the input found already, as in NewCredential
}

// GeneratedToken is a new token and, this once, its text.
type GeneratedToken struct {
	Token    Token
	Secret   Secret
	Replayed bool // see Generated
}

// CreateToken makes an admin token. Nobody gives what he lacks: every permission of the roles must
// be the actor's own, see lends; a token never reveals a secret, but may assign roles that do. Refusals:
// permission_denied, self_only, validation_failed, idempotency_mismatch, and the store's.
func (r *Registry) CreateToken(ctx context.Context, a Actor, in NewToken) (GeneratedToken, error) {
	if !a.Permissions.Has(TokensManage) {
		return GeneratedToken{}, r.denied(TokensManage)
	}
	tenant := in.Tenant
	if tenant == "" {
		tenant = a.Tenant
	}
	if tenant == "" && in.ActsAs != "" { // the provider need not say where the person belongs
		if u, err := r.store.User(ctx, in.ActsAs); err == nil {
			tenant = u.Tenant
		}
	}
	if !a.actsIn(tenant) {
		return GeneratedToken{}, &Refusal{
			Code:   PermissionDenied,
			Detail: fmt.Sprintf("You may make tokens of the tenant %s only.", a.Tenant),
			Hint:   r.help("Leave tenant out, or ask the provider."),
		}
	}
	if made, err := r.earlier(ctx, r.store, a, in.Idempotency); err != nil || made != "" {
		return r.tokenMadeEarlier(ctx, a, made, err)
	}
	t, err := r.draftToken(ctx, a, in, tenant)
	if err != nil {
		return GeneratedToken{}, err
	}
	for try := 1; ; try++ {
		id, text, err := r.format.NewToken(r.random)
		if err != nil {
			return GeneratedToken{}, err
		}
		t.ID, t.Digest, t.Pepper = TokenID("tok_"+id), r.vault.Digest(text.Reveal()), r.vault.PepperVersion()
		t.Preview = preview(text.Reveal())
		r.vault.SealToken(&t)
		err = r.change(ctx, "create token", func(ctx context.Context, tx Tx) error {
			if err := r.claim(ctx, tx, a, in.Idempotency, string(t.ID)); err != nil {
				return err
			}
			if err := tx.PutToken(ctx, t); err != nil {
				return err
			}
			return r.record(ctx, tx, a, t.chain(), "token.created", string(t.ID), details(
				"name", t.Name, "roles", join(t.Roles), "tenant", string(t.Tenant), "acts_as", string(t.ActsAs), "expires_at", endText(t.ExpiresAt)))
		})
		if err == nil {
			return GeneratedToken{Token: t, Secret: text}, nil
		}
		if made := (*madeBefore)(nil); errors.As(err, &made) {
			return r.tokenMadeEarlier(ctx, a, made.target, nil)
		}
		if !errors.Is(err, ErrDuplicate) || try == mostTries {
			return GeneratedToken{}, err
		}
	}
}

// tokenMadeEarlier is madeEarlier for tokens.
func (r *Registry) tokenMadeEarlier(ctx context.Context, a Actor, target string, err error) (GeneratedToken, error) {
	if err != nil {
		return GeneratedToken{}, err
	}
	t, err := r.store.Token(ctx, TokenID(target))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return GeneratedToken{}, r.failure("read token", err)
	}
	if err != nil || !a.actsIn(t.Tenant) || !r.vault.TokenIntact(&t) {
		return GeneratedToken{}, absent("token", target)
	}
	return GeneratedToken{Token: t, Replayed: true}, nil
}

// draftToken checks the input, with every wrong field told.
func (r *Registry) draftToken(ctx context.Context, a Actor, in NewToken, tenant TenantID) (Token, error) {
	now := r.instant()
	wrong := fieldErrors(slices.Clone(in.Wrong))
	t := Token{
		Name: wrong.line("name", in.Name, maxName), Tenant: tenant,
		CreatedBy: a.subject(), CreatedAt: now, Version: 1,
	}
	if t.Name == "" {
		wrong.add("name", "is required")
	}
	if in.Expiry != nil {
		t.ExpiresAt = wrong.expiry(Policy{}, in.Expiry, now)
	}
	if tenant != "" {
		_, err := r.store.Tenant(ctx, tenant)
		if errors.Is(err, ErrNotFound) {
			wrong.add("tenant", "there is no tenant %s", quote(string(tenant)))
		} else if err != nil {
			return Token{}, r.failure("read tenant", err)
		}
	}
	if len(in.Roles) == 0 {
		wrong.add("roles", "at least one is required; there are %s", join(r.catalog.Load().roleNames()))
	}
	var lacking error
	t.Roles, lacking = r.rolesFor(&wrong, in.Roles, tenant, a.lends)
	if in.ActsAs != "" {
		self, err := r.actsAs(ctx, &wrong, a, &t, in.ActsAs)
		if err != nil {
			return Token{}, err
		}
		if lacking == nil && self != nil {
			lacking = self
		}
	}
	if err := wrong.refusal(); err != nil {
		return Token{}, err
	}
	return t, lacking
}

// actsAs lets the token act as a person. Whom it may act as: oneself, and for the provider anybody; a
// tenant's administrator who could act as others would generate keys in their name (requirement S4.2).
func (r *Registry) actsAs(ctx context.Context, wrong *fieldErrors, a Actor, t *Token, id UserID) (*Refusal, error) {
	if !a.provider() && id != a.User {
		return &Refusal{
			Code:   SelfOnly,
			Detail: "You may make tokens that act as yourself, and as nobody else.",
			Hint:   r.help("Leave acts_as out for a token that owns nothing."),
		}, nil
	}
	u, err := r.store.User(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		wrong.add("acts_as", "there is no user %s", quote(string(id)))
	case err != nil:
		return nil, r.failure("read user", err)
	case u.Tenant != t.Tenant:
		wrong.add("acts_as", "%s belongs to %s, but the token to another; give it his tenant", id, u.place())
	}
	t.ActsAs = id
	return nil, nil
}

// chain is the audit chain that tells of the token.
func (t *Token) chain() string {
	if t.Tenant == "" {
		return ProviderChain
	}
	return string(t.Tenant)
}

// withoutReveal leaves out what only a person with a fresh sign-in may do.
func withoutReveal(s PermissionSet) PermissionSet {
	out := PermissionSet{}
	for p := range s {
		if p != KeysReveal && p != KeysRevealTenant {
			out[p] = struct{}{}
		}
	}
	return out
}
