package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// NewToken is the input of CreateToken.
type NewToken struct {
	Name        string
	Roles       []RoleName
	Tenant      TenantID  // "": the actor's, or the provider
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
// be the actor's own, but for those to reveal secrets, which no token ever has. Refusals:
// permission_denied, validation_failed, idempotency_mismatch, and the store's.
func (r *Registry) CreateToken(ctx context.Context, a Actor, in NewToken) (GeneratedToken, error) {
	if !a.Permissions.Has(TokensManage) {
		return GeneratedToken{}, r.denied(TokensManage)
	}
	tenant := in.Tenant
	if tenant == "" {
		tenant = a.Tenant
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
				"name", t.Name, "roles", join(t.Roles), "tenant", string(t.Tenant), "expires_at", endText(t.ExpiresAt)))
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
		Name: wrong.line("name", in.Name, maxName), Tenant: tenant, Roles: sortedSet(in.Roles),
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
	switch n := len(in.Roles); {
	case n == 0:
		wrong.add("roles", "at least one is required; there are %s", join(roleNames()))
	case n > maxGranted:
		wrong.add("roles", "has %d entries; at most %d are possible", n, maxGranted)
		return Token{}, wrong.refusal()
	}
	var lacking error
	for i, name := range in.Roles {
		role, known := builtinRole(name)
		switch field := "roles[" + strconv.Itoa(i) + "]"; {
		case !known:
			wrong.add(field, "%s", unknown("role", name, roleNames()))
		case role.Provider && tenant != "":
			wrong.add(field, "%s is a role of the provider; a token of the tenant %s cannot have it", name, tenant)
		case !a.Permissions.Covers(withoutReveal(role.Permissions)):
			lacking = &Refusal{
				Code:   PermissionDenied,
				Detail: fmt.Sprintf("The role %s has permissions that you lack, and nobody can give what he lacks.", name),
				Hint:   r.help("Choose a role with less, or ask somebody who has it."),
			}
		}
	}
	if err := wrong.refusal(); err != nil {
		return Token{}, err
	}
	return t, lacking
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

func roleNames() []RoleName {
	var list []RoleName
	for _, r := range BuiltinRoles() {
		list = append(list, r.Name)
	}
	return list
}
