package keys

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Pages have so many entries unless the caller says otherwise, and at most so many.
const (
	usualPage   = 100
	longestPage = 1000
)

// mayKnow tells whether the actor may learn that the credential exists.
func (a Actor) mayKnow(c *Credential) bool {
	return a.may(KeysRead, KeysReadAny, c) || a.may(KeysRevoke, KeysRevokeAny, c)
}

// Credential shows one; not_found also when the actor may not see it, and when the stored record was
// altered behind our back: what it says is not true, and the log tells of it.
func (r *Registry) Credential(ctx context.Context, a Actor, id CredentialID) (Credential, error) {
	if !a.Permissions.HasAny(KeysRead, KeysReadAny) {
		return Credential{}, r.denied(KeysRead)
	}
	c, err := r.store.Credential(ctx, id, false)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Credential{}, r.failure("read key", err)
	}
	if err != nil || !a.may(KeysRead, KeysReadAny, &c) {
		return Credential{}, absent("key", string(id))
	}
	if !r.vault.CredentialIntact(&c) {
		r.forged.tell(r.log, "credential", string(id))
		return Credential{}, absent("key", string(id))
	}
	shown := []Credential{r.shown(c)}
	if err := r.withUses(ctx, shown); err != nil {
		return Credential{}, err
	}
	return shown[0], nil
}

// shown leaves out of an authentic credential the secrets that are not, and those that have ended.
func (r *Registry) shown(c Credential) Credential {
	c.Secrets = slices.DeleteFunc(c.Secrets, func(s StoredSecret) bool {
		if r.vault.SecretIntact(c.ID, &s) {
			return false
		}
		r.forged.tell(r.log, "secret", string(c.ID)+"/"+string(s.ID))
		return true
	})
	c.Secrets = withoutEnded(c.Secrets, r.now())
	return c
}

// Credentials lists what the actor may see. f.Now is the Registry's; f.Limit 0 means 100. A filter
// for what he may not see finds nothing. Altered records are left out, and told to the log; so a page
// may be shorter than its limit, also where another follows.
func (r *Registry) Credentials(ctx context.Context, a Actor, f CredentialFilter) (CredentialPage, error) {
	if !a.Permissions.HasAny(KeysRead, KeysReadAny) {
		return CredentialPage{}, r.denied(KeysRead)
	}
	f.Now = r.instant()
	var wrong fieldErrors
	f.Limit = wrong.limit(f.Limit)
	wrong.filter("", &f)
	if err := wrong.refusal(); err != nil {
		return CredentialPage{}, err
	}
	if !a.provider() {
		if f.Tenant != "" && f.Tenant != a.Tenant {
			return CredentialPage{}, nil
		}
		f.Tenant = a.Tenant
	}
	if !a.Permissions.Has(KeysReadAny) { // what counts as his own, see Actor.owns
		f.Own, f.OwnUser = true, a.User
	}
	page, err := r.store.Credentials(ctx, f)
	if err != nil {
		return CredentialPage{}, r.listFailure(err)
	}
	kept := page.Items[:0]
	for _, c := range page.Items {
		switch {
		case !r.vault.CredentialIntact(&c):
			r.forged.tell(r.log, "credential", string(c.ID))
		case !a.may(KeysRead, KeysReadAny, &c):
			// The columns that the store filters by are not under the MAC: a row that was moved to
			// another tenant's list stays its own tenant's.
		default:
			kept = append(kept, r.shown(c))
		}
	}
	page.Items = kept
	if err := r.withUses(ctx, kept); err != nil {
		return CredentialPage{}, err
	}
	return page, nil
}

// filter checks what a list is narrowed and ordered by; at is put before the names of fields.
func (e *fieldErrors) filter(at string, f *CredentialFilter) {
	oneOf(e, at+"sort", strings.TrimPrefix(f.Sort, "-"), "", "created_at", "name", "expires_at", "updated_at")
	oneOf(e, at+"status", f.Status, "", Pending, Active, Suspended, Expired, Revoked, Denied)
	oneOf(e, at+"kind", f.Kind, "", APIKey, Client)
	oneOf(e, at+"owner", f.OwnerType, "", OwnerUser, OwnerTenant)
	f.Search = e.line(at+"search", f.Search, maxName)
}

// listFailure tells a wrong cursor from a store that fails.
func (r *Registry) listFailure(err error) error {
	if !errors.Is(err, ErrBadCursor) {
		return r.failure("list", err)
	}
	var wrong fieldErrors
	wrong.add("cursor", "is none that this list has given out; start without one")
	return wrong.refusal()
}

// EffectiveScopes of a stored credential under the present catalog, sorted.
func (r *Registry) EffectiveScopes(c Credential) []Scope {
	return rightsUnder(r.catalog.Load(), c.APIs, c.Scopes).Scopes
}

func (e *fieldErrors) limit(n int) int {
	if n == 0 {
		return usualPage
	}
	if n < 1 || n > longestPage {
		e.add("limit", "is %d; it must be 1 to %d", n, longestPage)
	}
	return n
}

// oneOf checks a word of a closed set; the first, empty one stands for "not given".
func oneOf[T ~string](e *fieldErrors, field string, given T, set ...T) {
	if !slices.Contains(set, given) {
		e.add(field, "is %s; it must be one of %s", quote(string(given)), join(set[1:]))
	}
}
