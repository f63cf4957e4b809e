package keys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// importCheck holds what the checks of one import share.
type importCheck struct {
	r       *Registry
	actor   Actor
	catalog *Catalog
	now     time.Time
	apis    []APIName
	scopes  []Scope
	tenants map[TenantID]importTenant
	users   map[UserID]User
	seen    map[[sha256.Size]byte]int // index of the key with this hash
}

// importTenant is a tenant and why it can have no keys, "" when it can.
type importTenant struct {
	Tenant
	wrong string
}

func (r *Registry) newImportCheck(a Actor) *importCheck {
	cat := r.catalog.Load()
	return &importCheck{
		r: r, actor: a, catalog: cat, now: r.instant(), apis: sortedKeys(cat.APIs), scopes: cat.scopes(),
		tenants: map[TenantID]importTenant{}, users: map[UserID]User{}, seen: map[[sha256.Size]byte]int{},
	}
}

// credential turns one key into a record that lacks only its ids and MACs, with everything that is
// wrong with it. An error means that this could not be found out.
func (k *importCheck) credential(ctx context.Context, in *ImportKey, index int) (Credential, [sha256.Size]byte, fieldErrors, error) {
	wrong := fieldErrors(in.Wrong)
	hash, preview, test := k.secret(&wrong, in)
	if len(wrong) == 0 {
		if first, twice := k.seen[hash]; twice {
			wrong.add(secretField(in), "is the same key as keys[%d]; each can be imported once", first)
		} else {
			k.seen[hash] = index
		}
	}
	tenant, err := k.tenant(ctx, in.Tenant)
	if err != nil {
		return Credential{}, hash, nil, err
	}
	if tenant.wrong != "" {
		wrong.add("tenant", "%s", tenant.wrong)
	}
	c := Credential{
		Kind:        APIKey,
		Tenant:      tenant.ID,
		Owner:       Owner{Type: OwnerTenant, ID: string(tenant.ID), Name: tenant.Name},
		Status:      Active,
		Test:        test,
		Name:        wrong.line("name", in.Name, maxName),
		Description: wrong.lines("description", in.Description, maxDescription),
		ExternalID:  wrong.line("external_id", in.ExternalID, maxExternalID),
		Metadata:    wrong.metadata("metadata", in.Metadata),
		APIs:        names(&wrong, "apis", "API", in.APIs, k.apis),
		Scopes:      names(&wrong, "scopes", "scope", in.Scopes, k.scopes),
		CreatedBy:   k.actor.subject(),
		UpdatedAt:   k.now,
		Version:     1,
	}
	if c.Name == "" {
		wrong.add("name", "is required")
	}
	oneOf(&wrong, "status", in.Status, "", Active, Suspended)
	if in.Status == Suspended {
		c.Status = Suspended
	}
	if err := k.owner(ctx, &wrong, in.Owner, &c); err != nil {
		return Credential{}, hash, nil, err
	}
	c.CreatedAt, c.ExpiresAt = wrong.importTimes(in, k.now)
	if tenant.wrong == "" {
		if c.Plan, err = k.r.choosePlan(&wrong, k.actor, in.Plan, k.catalog, tenant.Tenant); err != nil {
			return Credential{}, hash, nil, err
		}
	}
	c.Secrets = []StoredSecret{{
		Digest: k.r.vault.DigestHash(hash), Pepper: k.r.vault.PepperVersion(), Preview: preview, CreatedAt: c.CreatedAt,
	}}
	return c, hash, wrong, nil
}

// owner makes a credential the person's who is named, or leaves it to the tenant. That its holder is a
// person is a fact of the old gateway, so here it may be said of others too.
func (k *importCheck) owner(ctx context.Context, wrong *fieldErrors, asked *OwnerInput, c *Credential) error {
	switch {
	case asked == nil:
	case asked.Type == OwnerUser:
		u, err := k.user(ctx, UserID(asked.ID))
		if err != nil {
			return err
		}
		if u.ID == "" || u.Tenant != c.Tenant {
			wrong.add("owner.id", "there is no user %s in the tenant %s", quote(asked.ID), c.Tenant)
			return nil
		}
		if u.Disabled || u.NoKeys {
			wrong.add("owner.id", "is %s, who may have no keys now", quote(asked.ID))
		}
		c.Owner = Owner{Type: OwnerUser, ID: string(u.ID), Name: u.called()}
	case asked.Type != OwnerTenant:
		wrong.add("owner.type", "is %s; it must be tenant or user", quote(string(asked.Type)))
	case asked.ID != "" && asked.ID != string(c.Tenant):
		wrong.add("owner.id", "is %s, but the key's tenant is %s", quote(asked.ID), c.Tenant)
	}
	return nil
}

// user reads a person once; the zero User when there is none, or an altered one.
func (k *importCheck) user(ctx context.Context, id UserID) (User, error) {
	if u, known := k.users[id]; known {
		return u, nil
	}
	u, err := k.r.store.User(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && !k.r.vault.UserIntact(&u):
		u = User{}
	case err != nil:
		return User{}, k.r.failure("read user", err)
	}
	k.users[id] = u
	return u, nil
}

// secret returns the hash of a key's text, what may be shown of the text, and whether it is one of
// our test keys.
func (k *importCheck) secret(e *fieldErrors, in *ImportKey) (hash [sha256.Size]byte, shown string, test bool) {
	text := in.Text.Reveal()
	switch {
	case text != "" && in.Hash != "":
		e.add("hash", "stands beside text; give one of them")
	case text != "":
		if why := k.r.format.unfit(text); why != "" {
			e.add("text", "%s", why)
			return hash, "", false
		}
		t := k.r.format.Parse(text)
		return sha256.Sum256([]byte(text)), k.r.format.importPreview(text), t.Test
	case in.Hash == "":
		e.add("text", "is required, or hash in its place")
	default:
		digits, ok := strings.CutPrefix(in.Hash, "sha256:")
		b, err := hex.DecodeString(digits)
		if !ok || err != nil || len(b) != sha256.Size {
			e.add("hash", "must be sha256: and 64 hex digits; postern keys hash makes one of a key")
			return hash, "", false
		}
		hash = [sha256.Size]byte(b)
		if hash == [sha256.Size]byte{} || hash == sha256.Sum256(nil) {
			e.add("hash", "is the hash of no key")
		}
	}
	return hash, "", false
}

// secretField is the field that a key's secret stands in.
func secretField(in *ImportKey) string {
	if in.Hash != "" {
		return "hash"
	}
	return "text"
}

// tenant looks up an organisation once for all its keys.
func (k *importCheck) tenant(ctx context.Context, id TenantID) (importTenant, error) {
	if id == "" {
		id = DefaultTenant
	}
	if t, known := k.tenants[id]; known {
		return t, nil
	}
	found, err := k.r.readyTenant(ctx, k.r.store, id)
	t := importTenant{Tenant: found}
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) && refusal.Code != StoreUnavailableHere && refusal.Code != StorageFullHere {
		t.ID, t.wrong = id, refusal.Detail
		if len(refusal.Fields) > 0 {
			t.wrong = refusal.Fields[0].Message
		}
	} else if err != nil {
		return t, err
	}
	k.tenants[id] = t
	return t, nil
}

// importTimes checks when a key was made and when it ends.
func (e *fieldErrors) importTimes(in *ImportKey, now time.Time) (created, expires time.Time) {
	created, expires = truncated(in.CreatedAt), truncated(in.ExpiresAt)
	switch {
	case created.IsZero():
		created = now
	case created.After(now):
		e.add("created_at", "is %s; it must not lie in the future", created.Format(time.RFC3339))
	case created.Year() < 1970:
		e.add("created_at", "lies before 1970")
	}
	switch {
	case expires.IsZero():
	case expires.Year() > 9999:
		e.add("expires_at", "lies beyond the year 9999; leave it out for never")
	case !in.CreatedAt.IsZero() && !expires.After(created):
		e.add("expires_at", "is not after created_at")
	case expires.Year() < 1970:
		e.add("expires_at", "lies before 1970")
	}
	return created, expires
}
