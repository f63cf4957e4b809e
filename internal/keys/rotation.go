package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A pepper is replaced like this. A newer one in the file comes into force at the next start: the
// canary moves, and each audit chain gets an entry under it. A digest can be made anew only from
// the text, so each secret moves when it is next seen (Move); declared keys move at once. What needs
// no text, the rows' MACs and sealed texts, is made anew in the background (Reseal). Sessions move when
// they are used; one-time codes, and what is remembered of requests, are found under every pepper and
// soon end. When nothing is left under an old pepper it can be dropped.

// Move says that a text whose digest was found under a superseded pepper has another under the
// current one.
type Move struct {
	Credential CredentialID
	From, To   Digest
}

// moves holds what was seen until somebody writes it. What finds it full is seen again.
type moves chan Move

const mostMoves = 1024

func newMoves() moves { return make(moves, mostMoves) }

func (m moves) offer(one Move) {
	select {
	case m <- one:
	default:
	}
}

// Moves is where secrets arrive that were used under a superseded pepper, for MoveSecrets. A bounded
// number waits; the same one may come several times.
func (d *Directory) Moves() <-chan Move { return d.moves }

// under is the vault in which the pepper of a canary is the current one.
func (v *Vault) under(canary []byte) *Vault {
	i := slices.IndexFunc(v.peppers, func(p *pepper) bool { return p.canary == string(canary) })
	if i <= 0 {
		return v
	}
	other := *v
	other.peppers = slices.Concat(v.peppers[i:i+1], v.peppers[:i], v.peppers[i+1:])
	return &other
}

// newestFirst is the vault in which the newest pepper is the current one.
func (v *Vault) newestFirst() *Vault {
	newest := v.NewestPepper()
	for _, p := range v.peppers {
		if p.version == newest {
			return v.under([]byte(p.canary))
		}
	}
	return v
}

// Superseded tells whether the vault has peppers or keys beside those in force.
func (v *Vault) Superseded() bool { return len(v.peppers) > 1 || v.sealers > 1 }

// NewestPepper is the highest version in the pepper file. It is PepperVersion, except for offline
// commands before it has come into force.
func (v *Vault) NewestPepper() uint32 {
	newest := uint32(0)
	for _, p := range v.peppers {
		newest = max(newest, p.version)
	}
	return newest
}

// PepperInForce is the version of the pepper that the registry writes under.
func (r *Registry) PepperInForce() uint32 { return r.vault.PepperVersion() }

// pepperSince is where the store remembers since when the pepper in force is.
const pepperSince = "pepper_since"

// recordPepper ends every chain with an entry under the pepper that comes into force. From then on
// the old pepper, should somebody have it, lets nobody change what stands before.
func (r *Registry) recordPepper(ctx context.Context, tx Tx) error {
	since, err := r.instant().MarshalText()
	if err != nil {
		return err
	}
	if err := tx.PutMeta(ctx, pepperSince, since); err != nil {
		return err
	}
	heads, err := tx.AuditHeads(ctx)
	if err != nil {
		return err
	}
	trail := auditTrail{registry: r, tx: tx}
	for _, h := range heads {
		if err := trail.record(ctx, systemActor(), h.Chain, "secrets.rotated", "pepper", details("pepper", strconv.FormatUint(uint64(r.vault.PepperVersion()), 10))); err != nil {
			return err
		}
	}
	return nil
}

// MoveSecrets writes the digests of secrets under the current pepper in one transaction. What has
// moved already, was altered or is gone is passed over. The order of credentials' versions is kept,
// so nothing that happened meanwhile is undone.
func (r *Registry) MoveSecrets(ctx context.Context, list []Move) error {
	return r.change(ctx, "move secrets to the current pepper", func(ctx context.Context, tx Tx) error {
		done := map[Digest]bool{}
		for _, m := range list {
			if done[m.From] {
				continue
			}
			done[m.From] = true
			if err := r.moveSecret(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Registry) moveSecret(ctx context.Context, tx Tx, m Move) error {
	c, err := tx.Credential(ctx, m.Credential, false)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(c.Secrets, func(s StoredSecret) bool { return s.Digest == m.From })
	if i < 0 || !r.vault.CredentialIntact(&c) || !r.vault.SecretIntact(c.ID, &c.Secrets[i]) {
		return nil
	}
	s := &c.Secrets[i]
	s.Digest, s.Pepper = m.To, r.vault.PepperVersion()
	r.vault.SealSecret(c.ID, s)
	c.Version++
	r.vault.SealCredential(&c)
	err = tx.PutCredential(ctx, c)
	if errors.Is(err, ErrDuplicate) {
		r.log.Warn("a secret cannot move to the current pepper: another key has the same text", "id", string(c.ID))
		return nil
	}
	return err
}

// moveToken writes a token's digest under the current pepper. The token works either way, so what
// goes wrong is logged.
func (r *Registry) moveToken(ctx context.Context, id TokenID, text string) {
	err := r.change(ctx, "move token to the current pepper", func(ctx context.Context, tx Tx) error {
		t, err := tx.Token(ctx, id)
		if err != nil || !r.vault.TokenIntact(&t) || t.Pepper == r.vault.PepperVersion() {
			return err
		}
		t.Digest, t.Pepper, t.Version = r.vault.Digest(text), r.vault.PepperVersion(), t.Version+1
		r.vault.SealToken(&t)
		return tx.PutToken(ctx, t)
	})
	if err != nil {
		r.log.Warn("a token could not be moved to the current pepper", "id", string(id), "error", err)
	}
}

// Unmoved is what is left under other peppers than the newest.
type Unmoved struct {
	Credentials []CredentialID // whose secrets still count, each once; sorted
	Tokens      []TokenID

	// These lose little by it. People are resealed in the background, sessions move when they are used
	// and codes cannot; requests are remembered for a day.
	Users    []UserID
	Sessions int
	Codes    int
	Requests int // that were sent with an Idempotency-Key
}

// Unmoved looks through everything that is live: active, suspended and pending credentials and their
// secrets that have not ended, and tokens in force. It is meant for people: with a million
// credentials it takes seconds.
func (r *Registry) Unmoved(ctx context.Context) (Unmoved, error) {
	newest, now := r.vault.NewestPepper(), r.now()
	found := make(chan CredentialID, 1024)
	var u Unmoved
	collected := make(chan struct{})
	go func() {
		for id := range found {
			u.Credentials = append(u.Credentials, id)
		}
		close(collected)
	}()
	_, err := r.store.Load(ctx, LoadVisitor{
		Tenant: func(Tenant) error { return nil },
		Credential: func(c Credential) error {
			if r.unmoved(&c, newest, now) {
				found <- c.ID
			}
			return nil
		},
	})
	close(found)
	<-collected
	if err != nil {
		return Unmoved{}, r.failure("look for secrets under old peppers", err)
	}
	slices.Sort(u.Credentials)
	err = r.eachToken(ctx, func(t Token) error {
		if r.unmovedToken(&t) {
			u.Tokens = append(u.Tokens, t.ID)
		}
		return nil
	})
	if err != nil {
		return Unmoved{}, r.failure("look for tokens under old peppers", err)
	}
	if err := r.unmovedPeople(ctx, &u); err != nil {
		return Unmoved{}, r.failure("look for people under old peppers", err)
	}
	if u.Requests, err = r.unmovedRequests(ctx); err != nil {
		return Unmoved{}, r.failure("look for requests under old peppers", err)
	}
	return u, nil
}

// unmovedPeople adds people, and the sessions and codes that still count.
func (r *Registry) unmovedPeople(ctx context.Context, u *Unmoved) error {
	newest := r.vault.newestFirst()
	f := UserFilter{Everywhere: true, Limit: longestPage}
	for {
		page, err := r.store.Users(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Items {
			fresh := page.Items[i]
			if newest.SealUser(&fresh); fresh.MAC != page.Items[i].MAC && r.vault.UserIntact(&page.Items[i]) {
				u.Users = append(u.Users, fresh.ID)
			}
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	slices.Sort(u.Users)
	sessions, links, err := newest.unmovedSignIns(ctx, r.store)
	if err != nil {
		return err
	}
	now := r.now()
	u.Sessions = len(slices.DeleteFunc(sessions, func(s Session) bool { return !s.live(now) }))
	u.Codes = len(slices.DeleteFunc(links, func(l Link) bool { return !now.Before(l.ExpiresAt) }))
	return nil
}

// unmovedSignIns returns the authentic sessions and codes that are under another pepper than the current
// one, as their digests then are too.
func (v *Vault) unmovedSignIns(ctx context.Context, from Reader) ([]Session, []Link, error) {
	sessions, err := from.AllSessions(ctx)
	if err != nil {
		return nil, nil, err
	}
	links, err := from.AllLinks(ctx)
	if err != nil {
		return nil, nil, err
	}
	sessions = slices.DeleteFunc(sessions, func(s Session) bool {
		fresh := s
		v.SealSession(&fresh)
		return fresh.MAC == s.MAC || !v.SessionIntact(&s)
	})
	links = slices.DeleteFunc(links, func(l Link) bool {
		fresh := l
		v.SealLink(&fresh)
		return fresh.MAC == l.MAC || !v.LinkIntact(&l)
	})
	return sessions, links, nil
}

// unmovedRequests counts what is remembered of requests from before the pepper in force, whose records
// do not tell their pepper. Once there is no other pepper they are lost already.
func (r *Registry) unmovedRequests(ctx context.Context) (int, error) {
	if len(r.vault.peppers) == 1 {
		return 0, nil
	}
	now := r.now()
	until := now.Add(onceFor)
	if r.vault.PepperVersion() == r.vault.NewestPepper() {
		text, err := r.store.Meta(ctx, pepperSince)
		if errors.Is(err, ErrNotFound) {
			return 0, nil // there was no other pepper since there are requests
		}
		if err != nil {
			return 0, err
		}
		if err := until.UnmarshalText(text); err != nil {
			return 0, fmt.Errorf("read since when the pepper is in force: %w", err)
		}
		until = until.Add(onceFor)
	} else {
		until = until.Add(time.Minute) // clocks may differ a little
	}
	return r.store.CountReplays(ctx, now, until)
}

// EndUnmoved ends the sessions and codes that are under old peppers, which nobody can present any more
// once those are dropped. What is forged stays, to be told as such.
func (r *Registry) EndUnmoved(ctx context.Context) error {
	return r.change(ctx, "end sessions under old peppers", func(ctx context.Context, tx Tx) error {
		sessions, links, err := r.vault.unmovedSignIns(ctx, tx)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if err := tx.DeleteSession(ctx, s.Digest); err != nil {
				return err
			}
		}
		for _, l := range links {
			if err := tx.DeleteLinks(ctx, l.User); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Registry) unmoved(c *Credential, newest uint32, now time.Time) bool {
	switch c.StatusAt(now) {
	case Active, Suspended, Pending:
	default:
		return false
	}
	return r.vault.CredentialIntact(c) && slices.ContainsFunc(c.Secrets, func(s StoredSecret) bool {
		ended := !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
		return s.Pepper != newest && !ended && r.vault.SecretIntact(c.ID, &s)
	})
}

// eachToken visits every stored token.
func (r *Registry) eachToken(ctx context.Context, visit func(Token) error) error {
	f := TokenFilter{Limit: longestPage}
	for {
		page, err := r.store.Tokens(ctx, f)
		if err != nil {
			return err
		}
		for _, t := range page.Items {
			if err := visit(t); err != nil {
				return fmt.Errorf("token %s: %w", t.ID, err)
			}
		}
		if page.Next == "" {
			return nil
		}
		f.Cursor = page.Next
	}
}
