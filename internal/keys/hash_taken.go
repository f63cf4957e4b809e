package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// underDenial tells whether somebody said no to a credential. What it was denied with must not come
// back under another name.
func underDenial(s Status) bool { return s == Revoked || s == Suspended || s == Denied }

// hashTaken says that a declaration's secret is another credential's. It is an ErrDuplicate.
type hashTaken struct {
	by    Credential // the declaration
	other string     // whose the secret is and what to do; "" before it was looked up
}

func (e *hashTaken) Error() string {
	other := e.other
	if other == "" {
		other = "give this one a secret of its own"
	}
	return fmt.Sprintf("%s: declare key %s: another key has this hash already: %s", e.by.ManagedBy, quote(e.by.Name), other)
}

func (e *hashTaken) Unwrap() error { return ErrDuplicate }

// explain finds out whose secret a declaration wants to have.
func (r *Registry) explain(ctx context.Context, e *hashTaken) error {
	if len(e.by.Secrets) == 0 {
		return e
	}
	other, err := r.store.CredentialByDigest(ctx, e.by.Secrets[0].Digest)
	switch {
	case errors.Is(err, ErrNotFound):
		return e
	case err != nil:
		return errors.Join(e, r.failure("find the key with that hash", err))
	}
	return r.takenBy(&e.by, &other)
}

// takenBy names the credential whose secret a declaration has, and the way out.
func (r *Registry) takenBy(c, other *Credential) error {
	whose := fmt.Sprintf("the key %s (%s)", quote(other.Name), other.ID)
	if !r.vault.CredentialIntact(other) {
		return &hashTaken{*c, whose + ", whose stored record was altered behind Postern's back: give this one a new secret"}
	}
	gone := ""
	if !other.DeletedAt.IsZero() {
		gone = " before it left the file"
	}
	switch other.Status {
	case Revoked:
		return &hashTaken{*c, whose + ", which was revoked" + gone + ", and a revoked secret is never admitted again: " +
			"give this one a new secret and declare its hash, or take it out of the file"}
	case Suspended:
		return &hashTaken{*c, whose + ", which was suspended" + gone + ": declare the secret under that name until the key is resumed, " +
			"or give this one a new secret"}
	case Denied:
		return &hashTaken{*c, whose + ", which was denied: give this one a new secret"}
	}
	return &hashTaken{*c, whose + ": give this one a secret of its own"}
}

// holds tells whether a credential has the secret with this hash, under whichever pepper.
func (r *Registry) holds(c *Credential, hash [sha256.Size]byte) bool {
	for _, p := range r.vault.peppers {
		digest := Digest(p.digest.ofSum(hash))
		for i := range c.Secrets {
			if c.Secrets[i].Digest == digest {
				return true
			}
		}
	}
	return false
}

// movable returns the digests of the declared credentials in force that may go to another name: not
// those of denied ones, nor of altered ones, which may have been. It is nil while there is but one
// pepper, see freeUnderOldPeppers.
func (r *Registry) movable(stored map[CredentialID]Credential) map[Digest]bool {
	if len(r.vault.peppers) == 1 {
		return nil
	}
	digests := make(map[Digest]bool, len(stored))
	for _, c := range stored {
		if underDenial(c.Status) || !r.vault.CredentialIntact(&c) {
			continue
		}
		for i := range c.Secrets {
			digests[c.Secrets[i].Digest] = true
		}
	}
	return digests
}

// freeUnderOldPeppers refuses a declaration whose secret is another credential's under a superseded
// pepper. Under the current one the store refuses it; but it cannot know that two digests are of one
// text, and so a revoked secret could come back with the next pepper.
func (r *Registry) freeUnderOldPeppers(ctx context.Context, d Declared, want *Credential, moving map[Digest]bool) error {
	for _, p := range r.vault.peppers[1:] {
		digest := Digest(p.digest.ofSum(d.Hash))
		if moving[digest] {
			continue
		}
		other, err := r.store.CredentialByDigest(ctx, digest)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if other.ID != want.ID {
			return r.takenBy(want, &other)
		}
	}
	return nil
}
