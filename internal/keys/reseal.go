package keys

import (
	"context"
	"errors"
	"time"
)

// resealedName is where the store remembers under which secrets Reseal went through everything.
const resealedName = "resealed"

// resealChunk bounds the records of one transaction, so that nobody who writes waits long.
const resealChunk = 200

// Reseal makes anew, under the current pepper and keyset, what needs no text for it: the MACs of
// credentials, tombstones, tokens and people, and sealed texts. Sessions and one-time codes are left
// out: their MACs tell which pepper their digests are under. What does not authenticate stays as it is: a
// forged row gets no valid MAC by it. Nothing is done where it was done before. rest is called
// between two transactions with the time that the last one took; nil for no pauses.
func (r *Registry) Reseal(ctx context.Context, rest func(time.Duration)) error {
	mark := append(r.vault.Canary(), r.vault.sealing[:]...)
	before, err := r.store.Meta(ctx, resealedName)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return r.failure("read how far resealing went", err)
	}
	if string(before) == string(mark) {
		return nil
	}
	if r.vault.Superseded() {
		if err := r.resealCredentials(ctx, rest); err != nil {
			return err
		}
		if err := r.eachToken(ctx, func(t Token) error { return r.resealToken(ctx, t.ID) }); err != nil {
			return r.failure("reseal tokens", err)
		}
		if err := r.resealUsers(ctx, rest); err != nil {
			return err
		}
	}
	return r.change(ctx, "note what was resealed", func(ctx context.Context, tx Tx) error {
		if err := r.resealCanary(ctx, tx); err != nil {
			return err
		}
		return tx.PutMeta(ctx, resealedName, mark)
	})
}

// resealCredentials goes through the change feed, which has tombstones too. What it writes goes to
// the feed's end, beyond where it stops.
func (r *Registry) resealCredentials(ctx context.Context, rest func(time.Duration)) error {
	until, err := r.store.Head(ctx)
	if err != nil {
		return r.failure("reseal credentials", err)
	}
	for after := Seq(0); after < until; {
		changes, err := r.store.Changes(ctx, after, resealChunk)
		if err != nil {
			return r.failure("reseal credentials", err)
		}
		if len(changes) == 0 {
			return nil
		}
		var stale []CredentialID
		for _, c := range changes {
			after = c.Seq
			if c.Credential != nil && c.Seq <= until && r.stale(c.Credential) {
				stale = append(stale, c.Credential.ID)
			}
		}
		if len(stale) == 0 {
			continue
		}
		began := time.Now()
		err = r.change(ctx, "reseal credentials", func(ctx context.Context, tx Tx) error {
			for _, id := range stale {
				if err := r.resealCredential(ctx, tx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if rest != nil {
			rest(time.Since(began))
		}
	}
	return nil
}

// stale tells whether something of an authentic record can be made anew.
func (r *Registry) stale(c *Credential) bool {
	if !r.vault.CredentialIntact(c) {
		return false
	}
	fresh := *c
	if r.vault.SealCredential(&fresh); fresh.MAC != c.MAC {
		return true
	}
	for i := range c.Secrets {
		if s := &c.Secrets[i]; r.vault.SecretIntact(c.ID, s) {
			fresh := *s
			if r.vault.SealSecret(c.ID, &fresh); fresh.MAC != s.MAC || !r.vault.sealedNow(s.Sealed) {
				return true
			}
		}
	}
	return false
}

func (r *Registry) resealCredential(ctx context.Context, tx Tx, id CredentialID) error {
	c, err := tx.Credential(ctx, id, true)
	if errors.Is(err, ErrNotFound) || err == nil && !r.stale(&c) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range c.Secrets {
		s := &c.Secrets[i]
		if !r.vault.SecretIntact(c.ID, s) {
			continue
		}
		if !r.vault.sealedNow(s.Sealed) {
			if err := r.resealText(&c, s); err != nil {
				r.log.Warn("a sealed secret does not open and stays as it is", "id", string(c.ID), "error", err)
			}
		}
		r.vault.SealSecret(c.ID, s)
	}
	c.Version++
	r.vault.SealCredential(&c)
	return tx.PutCredential(ctx, c)
}

func (r *Registry) resealText(c *Credential, s *StoredSecret) error {
	text, err := r.vault.Open(c.Tenant, c.ID, s.ID, s.Sealed)
	if err != nil {
		return err
	}
	sealed, err := r.vault.Seal(c.Tenant, c.ID, s.ID, text)
	if err == nil {
		s.Sealed = sealed
	}
	return err
}

func (r *Registry) resealToken(ctx context.Context, id TokenID) error {
	return r.change(ctx, "reseal token", func(ctx context.Context, tx Tx) error {
		t, err := tx.Token(ctx, id)
		if errors.Is(err, ErrNotFound) || err == nil && !r.vault.TokenIntact(&t) {
			return nil
		}
		if err != nil {
			return err
		}
		fresh := t
		if r.vault.SealToken(&fresh); fresh.MAC == t.MAC {
			return nil
		}
		t.Version++
		r.vault.SealToken(&t)
		return tx.PutToken(ctx, t)
	})
}

// resealUsers makes people's MACs anew, a page at a time. Else nobody could sign in once the pepper is
// dropped that his record was written under.
func (r *Registry) resealUsers(ctx context.Context, rest func(time.Duration)) error {
	f := UserFilter{Everywhere: true, Limit: resealChunk}
	for {
		page, err := r.store.Users(ctx, f)
		if err != nil {
			return r.failure("reseal users", err)
		}
		var stale []UserID
		for i := range page.Items {
			if r.staleUser(&page.Items[i]) {
				stale = append(stale, page.Items[i].ID)
			}
		}
		if len(stale) > 0 {
			began := time.Now()
			err := r.change(ctx, "reseal users", func(ctx context.Context, tx Tx) error {
				for _, id := range stale {
					if err := r.resealUser(ctx, tx, id); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			if rest != nil {
				rest(time.Since(began))
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return nil
		}
	}
}

// staleUser tells whether an authentic person's MAC is not the current pepper's.
func (r *Registry) staleUser(u *User) bool {
	fresh := *u
	r.vault.SealUser(&fresh)
	return fresh.MAC != u.MAC && r.vault.UserIntact(u)
}

func (r *Registry) resealUser(ctx context.Context, tx Tx, id UserID) error {
	u, err := tx.User(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && !r.staleUser(&u) {
		return nil
	}
	if err != nil {
		return err
	}
	u.Version++
	r.vault.SealUser(&u)
	return tx.PutUser(ctx, u)
}

// resealCanary seals the keyset's canary with the primary key.
func (r *Registry) resealCanary(ctx context.Context, tx Tx) error {
	canary, err := tx.Meta(ctx, keysetCanary)
	if errors.Is(err, ErrNotFound) || err == nil && r.vault.sealedNow(canary) {
		return nil
	}
	if err != nil {
		return err
	}
	if canary, err = r.vault.Seal("", "", keysetCanary, NewSecret(canaryText)); err != nil {
		return err
	}
	return tx.PutMeta(ctx, keysetCanary, canary)
}
