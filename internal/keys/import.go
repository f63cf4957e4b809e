package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// MaxImport is how many keys one call of Import takes.
const MaxImport = 10_000

// ImportKey is a key that callers have already: another gateway gave it out. Empty means default.
type ImportKey struct {
	Name        string // required
	Description string
	Text        Secret // the whole key; exactly one of Text and Hash
	Hash        string // sha256: and 64 hex digits of SHA-256(whole text)
	Tenant      TenantID
	Owner       *OwnerInput
	Plan        PlanName
	APIs        []APIName
	Scopes      []Scope
	Status      Status    // Active, the default, or Suspended
	CreatedAt   time.Time // zero: now
	ExpiresAt   time.Time // zero: never; may be over, then the key is expired
	Metadata    map[string]string
	ExternalID  string
	// Wrong is what reading the input found already.
	Wrong []FieldError
}

// ImportStatus is what became, or would become, of one key of an import.
type ImportStatus string

// The outcomes of an import.
const (
	ImportCreated     ImportStatus = "created"
	ImportWouldCreate ImportStatus = "would_create" // dry run
	ImportExists      ImportStatus = "exists"       // a key with this secret is there; it stays as it is
	ImportRefused     ImportStatus = "refused"      // dry run; otherwise Import as a whole is refused
)

// ImportResult is the answer for one key, in the order of the input.
type ImportResult struct {
	ID     CredentialID // "" unless created or exists
	Status ImportStatus
	Errors []FieldError // only for ImportRefused; paths within the key
}

// Import takes over keys with the secrets that their holders have. It checks all of them first: with
// any that cannot be accepted nothing is written, and the refusal names every wrong field by the
// key's index. A key that is there already is left as it is, so that an import can be repeated. With
// dryRun nothing is written, and what would be refused is told key by key.
//
// It is for the provider's people, and holds to what was promised elsewhere: caps, approval, and the
// default and longest expiry are not applied. The keys count towards the caps from then on. Of a text
// nothing is kept but its digest and up to four characters to recognise it by; guessable texts are
// refused, which cannot be found out of hashes.
//
// Up to 500 keys are written in one transaction. A call that fails half-way, as when the disk is
// full, is completed by the next. Refusals: permission_denied, validation_failed, and the store's.
func (r *Registry) Import(ctx context.Context, a Actor, list []ImportKey, dryRun bool) ([]ImportResult, error) {
	if !a.Permissions.Has(KeysGenerateAny) {
		return nil, r.denied(KeysGenerateAny)
	}
	if !a.provider() {
		return nil, &Refusal{
			Code:   PermissionDenied,
			Detail: "Only the provider's people can import keys.",
			Hint:   r.help("Ask them to import the file for you."),
		}
	}
	var wrong fieldErrors
	if len(list) == 0 || len(list) > MaxImport {
		wrong.add("keys", "has %d entries; it must have 1 to %d", len(list), MaxImport)
		return nil, wrong.refusal()
	}
	results, writes, err := r.planImport(ctx, a, list)
	if err != nil || dryRun {
		return results, err
	}
	for i := range results {
		for _, e := range results[i].Errors {
			wrong.add("keys["+strconv.Itoa(i)+"]."+e.Field, "%s", e.Message)
		}
	}
	if err := wrong.refusal(); err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(writes, declareChunk) {
		if err := r.writeImport(ctx, a, chunk, results); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// importWrite is a checked key and its place in the input.
type importWrite struct {
	index      int
	credential Credential
	hash       [sha256.Size]byte
}

// planImport checks every key and finds out which are there already.
func (r *Registry) planImport(ctx context.Context, a Actor, list []ImportKey) ([]ImportResult, []importWrite, error) {
	check := r.newImportCheck(a)
	results := make([]ImportResult, len(list))
	var writes []importWrite
	for i := range list {
		c, hash, errs, err := check.credential(ctx, &list[i], i)
		if err != nil {
			return nil, nil, err
		}
		if len(errs) > 0 {
			results[i] = ImportResult{Status: ImportRefused, Errors: errs}
			continue
		}
		results[i] = ImportResult{Status: ImportWouldCreate}
		writes = append(writes, importWrite{i, c, hash})
	}
	holders, err := r.holdersOf(ctx, writes)
	if err != nil {
		return nil, nil, err
	}
	writes = slices.DeleteFunc(writes, func(w importWrite) bool {
		holder, known := holders[w.hash]
		switch {
		case known && holder.gone:
			var errs fieldErrors
			errs.add(secretField(&list[w.index]), "it was the key %s, which was deleted; a deleted key's secret is never admitted again", holder.id)
			results[w.index] = ImportResult{Status: ImportRefused, Errors: errs}
		case known:
			results[w.index] = ImportResult{Status: ImportExists, ID: holder.id}
		}
		return known
	})
	return results, writes, nil
}

// holder is whose a secret is.
type holder struct {
	id   CredentialID
	gone bool // deleted
}

// holdersOf returns which of the keys are there already, by hash, under whichever pepper.
func (r *Registry) holdersOf(ctx context.Context, writes []importWrite) (map[[sha256.Size]byte]holder, error) {
	holders := map[[sha256.Size]byte]holder{}
	for _, p := range r.vault.peppers {
		hashes := map[Digest][sha256.Size]byte{}
		var ask []Digest
		for i := range writes {
			digest := Digest(p.digest.ofSum(writes[i].hash))
			if r.dir != nil {
				if e, _ := r.dir.digests.find(&digest); e != nil {
					holders[writes[i].hash] = holder{id: e.ID}
					continue
				}
			}
			hashes[digest], ask = writes[i].hash, append(ask, digest)
		}
		taken, err := r.store.TakenDigests(ctx, ask)
		if err != nil {
			return nil, r.failure("look for keys that are there", err)
		}
		for _, digest := range taken {
			c, err := r.store.CredentialByDigest(ctx, digest)
			if errors.Is(err, ErrNotFound) {
				continue // gone since, or its record is damaged; writing tells
			}
			if err != nil {
				return nil, r.failure("find the key with that hash", err)
			}
			holders[hashes[digest]] = holder{c.ID, !c.DeletedAt.IsZero()}
		}
	}
	return holders, nil
}

// writeImport writes one chunk and, when it is in effect, its results.
func (r *Registry) writeImport(ctx context.Context, a Actor, chunk []importWrite, results []ImportResult) error {
	var exists map[int]bool // somebody imported the same key since it was looked for
	for i := range chunk {
		if err := r.nameImported(&chunk[i].credential); err != nil {
			return err
		}
	}
	err := r.change(ctx, "import keys", func(ctx context.Context, tx Tx) error {
		exists = map[int]bool{}
		trail := auditTrail{registry: r, tx: tx}
		for i := range chunk {
			c := &chunk[i].credential
			if err := tx.PutCredential(ctx, *c); errors.Is(err, ErrDuplicate) {
				exists[i] = true
				continue
			} else if err != nil {
				return err
			}
			if err := trail.record(ctx, a, string(c.Tenant), "key.imported", string(c.ID), generatedDetails(c)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range chunk {
		w := &chunk[i]
		results[w.index] = ImportResult{Status: ImportCreated, ID: w.credential.ID}
		if exists[i] {
			results[w.index] = ImportResult{Status: ImportExists}
		}
	}
	return nil
}

// nameImported gives a checked key its ids and MACs.
func (r *Registry) nameImported(c *Credential) error {
	id, err := random62(r.random, idLen)
	if err != nil {
		return fmt.Errorf("make key id: %w", err)
	}
	secret, err := random62(r.random, idLen)
	if err != nil {
		return fmt.Errorf("make secret id: %w", err)
	}
	c.ID, c.Secrets[0].ID = CredentialID("key_"+id), SecretID(secret)
	*c = r.seal(*c)
	return nil
}
