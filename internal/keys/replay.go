package keys

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Replayed is what Replay found in the audit that a backup does not know of.
type Replayed struct {
	Revoked   []CredentialID // these have been brought back: revoked, suspended, denied or deleted again
	Suspended []CredentialID
	Denied    []CredentialID
	Deleted   []CredentialID
	Tokens    []TokenID // revoked again
	People    ReplayedPeople

	Lost    []CredentialID // generated after the backup, and not in it
	Rotated []CredentialID // given a new secret, which is lost; the old one is in force again
	Resumed []CredentialID // suspended in the backup and resumed later; they stay suspended
	Edited  []CredentialID // as in the backup, perhaps with more rights than they had later
	Altered []string       // ids whose stored record was altered behind our back, and is refused anyway
	Others  map[string]int // how often anything else was done, by action; none of it was brought back
}

// Replay puts the denials of later, verified audit entries into force again after a restore: what was
// revoked, suspended, denied or deleted since stays so. Denial wins: nothing that the backup refuses is
// let in. Each has an audit entry of its own that tells when it was done first.
func (r *Registry) Replay(ctx context.Context, a Actor, later []AuditEntry) (Replayed, error) {
	if !a.provider() || !a.Permissions.Has(KeysRevokeAny) || !a.Permissions.Has(TokensManage) {
		return Replayed{}, r.denied(KeysRevokeAny)
	}
	p := planReplay(later)
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(p.keys)), declareChunk) {
		err := r.change(ctx, "put later denials into force", func(ctx context.Context, tx Tx) error {
			for _, id := range ids {
				for _, e := range p.keys[id].inOrder() {
					if err := r.replayKey(ctx, tx, a, e, p); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return Replayed{}, err
		}
	}
	err := r.change(ctx, "put later denials into force", func(ctx context.Context, tx Tx) error {
		if err := r.replayPeople(ctx, tx, a, p); err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(p.tokens)) {
			if err := r.replayToken(ctx, tx, a, p.tokens[id], p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Replayed{}, err
	}
	return p.sorted(), nil
}

// replay is what later entries come to.
type replay struct {
	Replayed
	keys   map[CredentialID]keyDenials
	people map[UserID]*personDenials
	tokens map[TokenID]AuditEntry
	lost   map[CredentialID]bool
}

// keyDenials is what was done to a key: the denial that weighs most, and its deletion. The zero entry
// stands for none.
type keyDenials struct{ denied, deleted AuditEntry }

func (d keyDenials) inOrder() []AuditEntry {
	return slices.DeleteFunc([]AuditEntry{d.denied, d.deleted}, func(e AuditEntry) bool { return e.Action == "" })
}

// weightOfDenial orders the ways to refuse a key; 0 is no denial.
func weightOfDenial(action string) int {
	switch action {
	case "key.suspended":
		return 1
	case "key.denied":
		return 2
	case "key.revoked":
		return 3
	}
	return 0
}

func planReplay(later []AuditEntry) *replay {
	p := &replay{keys: map[CredentialID]keyDenials{}, people: map[UserID]*personDenials{}, tokens: map[TokenID]AuditEntry{}, lost: map[CredentialID]bool{}}
	p.Others = map[string]int{}
	for _, e := range later {
		id := CredentialID(e.Target)
		d := p.keys[id]
		switch e.Action {
		case "key.suspended", "key.denied", "key.revoked":
			if weightOfDenial(e.Action) > weightOfDenial(d.denied.Action) {
				d.denied = e
			}
			p.keys[id] = d
		case "key.deleted":
			d.deleted = e
			p.keys[id] = d
		case "key.resumed":
			if d.denied.Action == "key.suspended" {
				d.denied = AuditEntry{} // as in the backup
				p.keys[id] = d
			} else {
				p.Resumed = append(p.Resumed, id)
			}
		case "key.rotated":
			p.Rotated = append(p.Rotated, id)
		case "key.generated", "key.imported":
			p.lost[id] = true
		case "token.revoked":
			p.tokens[TokenID(e.Target)] = e
		case "key.edited":
			p.Edited = append(p.Edited, id)
		case "audit.exported", "secrets.rotated", "store.restored", "config.reloaded", "key.revealed",
			"session.opened", "session.confirmed", "session.refused", "session.closed", "session.ended":
			// These changed nothing that a restore keeps.
		default:
			if !p.person(e) {
				p.Others[e.Action]++
			}
		}
	}
	for id := range p.lost {
		delete(p.keys, id)
		p.Lost = append(p.Lost, id)
	}
	return p
}

func (p *replay) sorted() Replayed {
	for _, ids := range []*[]CredentialID{&p.Revoked, &p.Suspended, &p.Denied, &p.Deleted, &p.Lost, &p.Rotated, &p.Resumed, &p.Edited} {
		slices.Sort(*ids)
		*ids = slices.DeleteFunc(slices.Compact(*ids), func(id CredentialID) bool { return ids != &p.Lost && p.lost[id] })
	}
	p.People.sort()
	slices.Sort(p.Tokens)
	slices.Sort(p.Altered)
	p.Tokens, p.Altered = slices.Compact(p.Tokens), slices.Compact(p.Altered)
	return p.Replayed
}

// replayKey does again to one key what was done to it.
func (r *Registry) replayKey(ctx context.Context, tx Tx, a Actor, e AuditEntry, p *replay) error {
	c, err := tx.Credential(ctx, CredentialID(e.Target), false)
	if errors.Is(err, ErrNotFound) {
		return nil // deleted in the backup already
	}
	if err != nil {
		return err
	}
	if !r.vault.CredentialIntact(&c) {
		p.Altered = append(p.Altered, e.Target)
		return nil
	}
	now := r.instant()
	switch e.Action {
	case "key.suspended":
		p.Suspended = append(p.Suspended, c.ID)
		hold := holdOf(e)
		if c.Status != Active && (c.Status != Suspended || c.Hold.weight() >= hold.weight()) {
			return nil
		}
		c.Status, c.Hold = Suspended, hold
	case "key.denied":
		p.Denied = append(p.Denied, c.ID)
		c.Status, c.Hold = Denied, NoHold
	case "key.revoked":
		p.Revoked = append(p.Revoked, c.ID)
		if c.Status == Revoked {
			return nil
		}
		c.Status, c.Hold, c.RevokedAt = Revoked, NoHold, e.Time.UTC().Truncate(time.Microsecond)
	case "key.deleted":
		p.Deleted = append(p.Deleted, c.ID)
		c.DeletedAt, c.Secrets = now, r.secretsOfDead(&c)
	}
	if err := r.rewrite(ctx, tx, &c, now); err != nil {
		return err
	}
	return r.record(ctx, tx, a, string(c.Tenant), e.Action, string(c.ID), replayDetails(c.Name, e))
}

// holdOf is how much the word of the one weighs who suspended a key. Where the entry does not tell, it is
// the word of the one who restores: who suspended the key may have had as much to say.
func holdOf(e AuditEntry) Hold {
	if h := Hold(e.Detail["hold"]); h != NoHold {
		return h
	}
	return HoldProvider
}

func (r *Registry) replayToken(ctx context.Context, tx Tx, a Actor, e AuditEntry, p *replay) error {
	t, err := tx.Token(ctx, TokenID(e.Target))
	if errors.Is(err, ErrNotFound) {
		return nil // made after the backup: nobody has it
	}
	if err != nil {
		return err
	}
	if !r.vault.TokenIntact(&t) {
		p.Altered = append(p.Altered, e.Target)
		return nil
	}
	p.Tokens = append(p.Tokens, t.ID)
	if !t.RevokedAt.IsZero() {
		return nil
	}
	t.RevokedAt, t.Version = e.Time.UTC().Truncate(time.Microsecond), t.Version+1
	r.vault.SealToken(&t)
	if err := tx.PutToken(ctx, t); err != nil {
		return err
	}
	return r.record(ctx, tx, a, t.chain(), e.Action, string(t.ID), replayDetails(t.Name, e))
}

// replayDetails tells of the entry that is done again.
func replayDetails(name string, e AuditEntry) map[string]string {
	return details("name", name, "reason", e.Detail["reason"], "hold", e.Detail["hold"], "restored", "true", "first_at", endText(e.Time),
		"first_by", string(e.Actor.Type)+":"+e.Actor.ID)
}

// RecordRestore notes in the provider's chain that the store was put back to an earlier state. Every
// session and one-time code ends: they may have ended, or been used, since.
func (r *Registry) RecordRestore(ctx context.Context, a Actor, made time.Time, detail map[string]string) error {
	return r.change(ctx, "record the restore", func(ctx context.Context, tx Tx) error {
		ever := r.instant().AddDate(1000, 0, 0)
		if err := tx.Forget(ctx, ever, ever, ever); err != nil {
			return err
		}
		d := details("backup_of", endText(made))
		maps.Copy(d, detail)
		return r.record(ctx, tx, a, ProviderChain, "store.restored", "store", d)
	})
}
