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
		tenants: map[TenantID]importTenant{}, seen: map[[sha256.Size]byte]int{},
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
	wrong.owner(in.Owner, tenant.ID)
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
