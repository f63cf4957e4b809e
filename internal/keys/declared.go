package keys

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"
)

// Declared is one entry of access.keys: a credential that the configuration file manages.
type Declared struct {
	Name      string
	Hash      [sha256.Size]byte // of the whole text
	Kind      Kind
	Tenant    TenantID // "": DefaultTenant
	Plan      PlanName // "": the default plan
	APIs      []APIName
	Scopes    []Scope
	ExpiresAt time.Time // zero: never
	Where     string    // file:line
}

// DeclaredID is key_/app_ + 12 base62 characters of SHA-256("declared\0" tenant "\0" name): the
// same on every node.
func DeclaredID(kind Kind, t TenantID, name string) CredentialID {
	sum := sha256.Sum256([]byte("declared\x00" + string(t) + "\x00" + name))
	n, digit, base := new(big.Int).SetBytes(sum[:]), new(big.Int), big.NewInt(62)
	var id [idLen]byte
	for i := len(id) - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		id[i] = digits62[digit.Int64()]
	}
	if kind == Client {
		return CredentialID("app_" + string(id[:]))
	}
	return CredentialID("key_" + string(id[:]))
}

// credential is the record of a declaration at its first version, not sealed.
func (d Declared) credential(cat *Catalog, tenant Tenant, v *Vault) Credential {
	plan := d.Plan
	if plan == "" {
		plan = cat.PolicyFor(tenant).DefaultPlan
	}
	id := DeclaredID(d.Kind, d.Tenant, d.Name)
	return Credential{
		ID: id, Kind: d.Kind, Tenant: d.Tenant, Name: d.Name, Status: Active, Plan: plan,
		Owner: Owner{Type: OwnerTenant, ID: string(d.Tenant), Name: tenant.Name},
		APIs:  sortedSet(d.APIs), Scopes: sortedSet(d.Scopes),
		ExpiresAt: truncated(d.ExpiresAt), ManagedBy: d.Where, CreatedBy: fileActor().subject(), Version: 1,
		Secrets: []StoredSecret{{
			ID:     SecretID(id[len(id)-idLen:]),
			Digest: v.DigestHash(d.Hash), Pepper: v.PepperVersion(),
		}},
	}
}

// sameDeclared tells whether two records of a declaration say the same, but for the place in the
// file. A digest under an old pepper counts as different, so that declared keys move to a new one.
func sameDeclared(a, b Credential) bool {
	return a.Kind == b.Kind && a.Name == b.Name && a.Status == b.Status && a.Plan == b.Plan &&
		slices.Equal(a.APIs, b.APIs) && slices.Equal(a.Scopes, b.Scopes) && a.ExpiresAt.Equal(b.ExpiresAt) &&
		len(a.Secrets) == 1 && len(b.Secrets) == 1 &&
		a.Secrets[0].Digest == b.Secrets[0].Digest && a.Secrets[0].Pepper == b.Secrets[0].Pepper
}

// checkDeclared fills in the default tenant and kind, and refuses what no two nodes could agree on.
func checkDeclared(ds []Declared) ([]Declared, error) {
	ds = slices.Clone(ds)
	ids, hashes := map[CredentialID]string{}, map[[sha256.Size]byte]string{}
	var problems []error
	for i := range ds {
		d := &ds[i]
		d.Kind, d.Tenant = cmp.Or(d.Kind, APIKey), cmp.Or(d.Tenant, DefaultTenant)
		d.Where = cmp.Or(d.Where, "configuration") // never empty: that would mean "not declared"
		bad := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("%s: declare key %s: %w", d.Where, quote(d.Name), fmt.Errorf(format, args...)))
		}
		switch {
		case d.Name == "":
			bad("it has no name")
		case d.Kind != APIKey && d.Kind != Client:
			bad("kind is %s; it must be api_key or client", quote(string(d.Kind)))
		case d.Hash == [sha256.Size]byte{}:
			bad("it has no hash; postern keys hash makes one")
		case d.Tenant == ProviderChain:
			bad("no tenant can be called %s", ProviderChain)
		}
		id := DeclaredID(APIKey, d.Tenant, d.Name) // one name, whatever the kind
		if other, twice := ids[id]; twice {
			bad("the same name is declared at %s", other)
		}
		if other, twice := hashes[d.Hash]; twice {
			bad("it has the hash of the key at %s; each key needs a secret of its own", other)
		}
		ids[id], hashes[d.Hash] = d.Where, d.Where
	}
	return ds, errors.Join(problems...)
}

// declaredSet is what LoadDeclared put into a directory last.
type declaredSet struct {
	mu      sync.Mutex
	current map[CredentialID]Credential
}

// LoadDeclared makes the given credentials those of a directory without a store (store: none), and
// declares that it may answer. Called again it replaces them; those that did not change are not
// touched.
func (d *Directory) LoadDeclared(ds []Declared) error {
	if d.store != nil {
		return errors.New("load declared keys: this directory follows a store; Registry.Declare writes them there")
	}
	ds, err := checkDeclared(ds)
	if err != nil {
		return err
	}
	d.declared.mu.Lock()
	defer d.declared.mu.Unlock()
	cat := d.policy.current()
	next := make(map[CredentialID]Credential, len(ds))
	for _, one := range ds {
		d.policy.setTenant(Tenant{ID: one.Tenant, Name: string(one.Tenant), Version: 1})
		c := one.credential(cat, Tenant{ID: one.Tenant}, d.vault)
		next[c.ID] = c
	}
	// What is new comes before what ends: a key that only changes its name is known at every instant.
	for id, c := range next {
		if old, was := d.declared.current[id]; was && sameDeclared(old, c) {
			continue
		}
		c.Version = d.ids.versionOf(id) + 1
		d.vault.SealSecret(c.ID, &c.Secrets[0])
		d.vault.SealCredential(&c)
		d.apply(&c)
	}
	for id := range d.declared.current {
		if _, stays := next[id]; !stays {
			d.put(id, d.ids.versionOf(id)+1, nil)
		}
	}
	d.declared.current = next
	d.loaded.Store(true)
	return nil
}
