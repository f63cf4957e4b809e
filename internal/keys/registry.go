package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"
)

// RegistryOptions are the parts a Registry is built from.
type RegistryOptions struct {
	Store     Store
	Vault     *Vault
	Format    Format
	Catalog   *Catalog
	Directory *Directory       // nil for offline commands; else every write waits until it is applied there
	Log       *slog.Logger     // nil: the Directory's, or nothing is logged
	Now       func() time.Time // nil: Directory.Now, or time.Now
	Random    io.Reader        // nil: crypto/rand
	// Wait holds up a sign-in at an account that many have tried; nil: for as long, or until the
	// context ends.
	Wait func(context.Context, time.Duration) error
	// KeepPepper goes on under the pepper that is in force, where the vault has a newer one. Offline
	// commands want it: a gateway that runs beside them may not know the newer one yet, and would
	// take what they write for forged. Without it the newest comes into force.
	KeepPepper bool
}

// Registry owns every rule of who may do what to credentials, tokens and tenants. Each method
// checks the rules, and writes the change with its audit entry in one transaction. It is safe for
// concurrent use.
//
// Its errors are a *Refusal ("no", with the reason), possibly wrapped together with its cause, or
// anything else when the answer could not be found out.
type Registry struct {
	store   Store
	vault   *Vault
	format  Format
	catalog atomic.Pointer[Catalog]
	dir     *Directory
	log     *slog.Logger
	forged  *forgedRows // the Directory's, where there is one
	now     func() time.Time
	random  io.Reader

	passwords *passwords
	tries     *tries
	failed    failedSignIns
	wait      func(context.Context, time.Duration) error
}

// PepperCanaryName is the name under which the store remembers the canary of the pepper that is in
// force, see Vault.Canary.
const PepperCanaryName = "pepper_canary"

const pepperCanary = PepperCanaryName

// keysetCanary is the name under which the store keeps a known text, sealed with the keyset.
const keysetCanary = "keyset_canary"

// canaryText is that text. It is nobody's secret: no credential has its place, an empty id.
const canaryText = "postern keyset canary"

// ErrForeignPepper says that the database was made with another pepper.
var ErrForeignPepper = errors.New("this database was made with another pepper")

// ErrForeignKeyset says that the database's sealed secrets were sealed with another keyset.
var ErrForeignKeyset = errors.New("the sealed secrets of this database cannot be opened")

// applyPatience is how long a change that is committed may take to come into effect on this node
// before the caller is told that nobody knows.
const applyPatience = 5 * time.Second

// OpenRegistry checks or writes the canaries of the pepper and, where there is one, the keyset, and
// makes the default tenant. It refuses a database whose pepper is another one with ErrForeignPepper,
// and one whose keyset is with ErrForeignKeyset.
func OpenRegistry(ctx context.Context, o RegistryOptions) (*Registry, error) {
	r := &Registry{store: o.Store, vault: o.Vault, format: o.Format, dir: o.Directory, log: o.Log, now: o.Now, random: o.Random}
	r.passwords, r.tries, r.wait = newPasswords(), newTries(), o.Wait
	if r.wait == nil {
		r.wait = pause
	}
	r.forged = &forgedRows{}
	if r.dir != nil {
		r.forged = &r.dir.forged
		if r.log == nil {
			r.log = r.dir.log
		}
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if o.Catalog == nil {
		o.Catalog = &Catalog{}
	}
	r.catalog.Store(o.Catalog)
	if r.now == nil {
		r.now = time.Now
		if r.dir != nil {
			r.now = r.dir.Now
		}
	}
	if r.random == nil {
		r.random = rand.Reader
	}
	if err := r.found(ctx, o.KeepPepper); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	return r, nil
}

// found makes what every installation has, once, and does not write when it is there.
func (r *Registry) found(ctx context.Context, keepPepper bool) error {
	canary, err := r.store.Meta(ctx, pepperCanary)
	if err == nil && !r.vault.Recognises(canary) {
		return fmt.Errorf("%w than the file that secrets.pepper names, so none of its credentials can be checked; "+
			"put back this installation's own pepper file, or let store name another database", ErrForeignPepper)
	}
	if err == nil && keepPepper {
		r.vault = r.vault.under(canary)
	}
	newCanary := err == nil && string(canary) != string(r.vault.Canary()) // a newer pepper came into force
	if err != nil && !errors.Is(err, ErrNotFound) {
		return r.failure("read pepper canary", err)
	}
	newKeyset, keysetErr := r.checkKeyset(ctx, r.store)
	if keysetErr != nil {
		return keysetErr
	}
	_, tenantErr := r.store.Tenant(ctx, DefaultTenant)
	if tenantErr != nil && !errors.Is(tenantErr, ErrNotFound) {
		return r.failure("read default tenant", tenantErr)
	}
	if err == nil && !newCanary && !newKeyset && tenantErr == nil {
		return nil
	}
	return r.change(ctx, "set up store", func(ctx context.Context, tx Tx) error {
		if _, err := tx.Meta(ctx, pepperCanary); newCanary || errors.Is(err, ErrNotFound) {
			if err := tx.PutMeta(ctx, pepperCanary, r.vault.Canary()); err != nil {
				return err
			}
		}
		if newCanary {
			if err := r.recordPepper(ctx, tx); err != nil {
				return err
			}
		}
		if err := r.sealKeysetCanary(ctx, tx); err != nil {
			return err
		}
		return r.ensureTenant(ctx, tx, systemActor(), DefaultTenant)
	})
}

// checkKeyset opens the keyset's canary. absent tells that there is a keyset and no canary yet.
// Without a keyset nothing can be checked, and nothing is lost: nothing is sealed.
func (r *Registry) checkKeyset(ctx context.Context, from Reader) (absent bool, err error) {
	if r.vault.aead == nil {
		return false, nil
	}
	canary, err := from.Meta(ctx, keysetCanary)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, r.failure("read keyset canary", err)
	}
	if text, err := r.vault.Open("", "", keysetCanary, canary); err != nil || text.Reveal() != canaryText {
		return false, fmt.Errorf("%w with the keyset that secrets.keyset names: it is another one; "+
			"restore this installation's own keyset file from a backup, or let store name another database", ErrForeignKeyset)
	}
	return false, nil
}

// sealKeysetCanary writes the canary unless another node was quicker, and then checks that one.
func (r *Registry) sealKeysetCanary(ctx context.Context, tx Tx) error {
	absent, err := r.checkKeyset(ctx, tx)
	if err != nil || !absent {
		return err
	}
	canary, err := r.vault.Seal("", "", keysetCanary, NewSecret(canaryText))
	if err != nil {
		return err
	}
	return tx.PutMeta(ctx, keysetCanary, canary)
}

// ensureTenant makes a tenant that is not there.
func (r *Registry) ensureTenant(ctx context.Context, tx Tx, a Actor, id TenantID) error {
	_, err := tx.Tenant(ctx, id)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	now := r.instant()
	if err := tx.PutTenant(ctx, Tenant{ID: id, Name: string(id), CreatedAt: now, UpdatedAt: now, Version: 1}); err != nil {
		return err
	}
	return r.record(ctx, tx, a, ProviderChain, "tenant.created", string(id), details("name", string(id)))
}

// SetCatalog puts a new configuration in force for what is asked from now on.
func (r *Registry) SetCatalog(c *Catalog) { r.catalog.Store(c) }

// Now is the registry's clock, for handlers that show StatusAt.
func (r *Registry) Now() time.Time { return r.now() }

// instant is the present time as records keep it.
func (r *Registry) instant() time.Time { return r.now().UTC().Truncate(time.Microsecond) }

// change runs fn in one transaction and returns when what it wrote is in effect on this node.
func (r *Registry) change(ctx context.Context, what string, fn func(ctx context.Context, tx Tx) error) error {
	seq, err := r.store.Update(ctx, fn)
	if err != nil {
		return r.failure(what, err)
	}
	if r.dir == nil || !r.dir.loaded.Load() {
		return nil // what is not loaded yet will be loaded with the change in it
	}
	wait, cancel := context.WithTimeout(ctx, applyPatience)
	defer cancel()
	if err := r.dir.WaitApplied(wait, seq); err != nil {
		return fmt.Errorf("%s: %w: %w", what, &Refusal{
			Code:   StoreUnavailableHere,
			Detail: "The change is stored, but this gateway could not yet put it into effect.",
			Hint:   "It takes effect as soon as the store can be read again. Look at the present state before you repeat the call.",
		}, err)
	}
	return nil
}

// failure is the one place where a store's error becomes a refusal. A refusal stays what it is.
func (r *Registry) failure(what string, err error) error {
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.Is(err, ErrStorageFull):
		refusal = &Refusal{
			Code:   StorageFullHere,
			Detail: "The store's disk is full; nothing was changed.",
			Hint:   "Free space where the database lies, then try again. Calls to the gateway go on meanwhile.",
		}
	case errors.Is(err, ErrOutcomeUnknown):
		refusal = &Refusal{
			Code:   StoreUnavailableHere,
			Detail: "The store was lost in the middle of the change; whether it was written is not known.",
			Hint:   "Look at the present state when the store can be reached again, before you repeat the call. Calls to the gateway go on meanwhile.",
		}
	case errors.Is(err, ErrStoreUnavailable):
		refusal = &Refusal{
			Code:   StoreUnavailableHere,
			Detail: "The store cannot be reached; nothing was changed.",
			Hint:   "Try again shortly. Calls to the gateway go on meanwhile.",
		}
	case errors.Is(err, ErrConflict):
		refusal = &Refusal{
			Code:   VersionConflict,
			Detail: "Somebody else changed it at the same time.",
			Hint:   "Read it again, then repeat the change if it is still wanted.",
		}
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, refusal, err)
}

// help returns the next step with who can help, as the configuration says.
func (r *Registry) help(hint string) string {
	c := r.catalog.Load().Policy.Contact
	if c.Text != "" {
		hint += " " + c.Text
	}
	if c.URL != nil {
		hint += " " + c.URL.String()
	}
	return hint
}
