package keys

import (
	"context"
	"errors"
	"slices"
)

// pepperDropped is the reason that the audit gives for what ends with an old pepper.
const pepperDropped = "its secret was under a pepper that was dropped"

// EndedSecrets is what lost secrets together with the old peppers.
type EndedSecrets struct {
	Revoked []CredentialID // had no other secret in force
	Kept    []CredentialID // work on with their other secret
	Tokens  []TokenID      // revoked
	// Declared ones are the configuration's: their hash is in the file, from which their secret comes back.
	Declared []CredentialID
}

// EndUnmovedSecrets ends what Unmoved found: secrets that nobody can be recognised by once the old
// peppers are dropped. A credential with another secret in force keeps that one; others are revoked, and
// so are tokens. What has moved meanwhile stays as it is. Each that ends has its audit entry.
func (r *Registry) EndUnmovedSecrets(ctx context.Context, a Actor, u Unmoved) (EndedSecrets, error) {
	if !a.provider() || !a.Permissions.Has(KeysRevokeAny) || !a.Permissions.Has(TokensManage) {
		return EndedSecrets{}, r.denied(KeysRevokeAny)
	}
	var all EndedSecrets
	for ids := range slices.Chunk(u.Credentials, declareChunk) {
		var ended EndedSecrets
		err := r.change(ctx, "end secrets under old peppers", func(ctx context.Context, tx Tx) error {
			ended = EndedSecrets{}
			for _, id := range ids {
				if err := r.endUnmovedKey(ctx, tx, a, id, &ended); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return all, err
		}
		all.Revoked, all.Kept = append(all.Revoked, ended.Revoked...), append(all.Kept, ended.Kept...)
		all.Declared = append(all.Declared, ended.Declared...)
	}
	for ids := range slices.Chunk(u.Tokens, declareChunk) {
		var ended []TokenID
		err := r.change(ctx, "end tokens under old peppers", func(ctx context.Context, tx Tx) error {
			ended = nil
			for _, id := range ids {
				if done, err := r.endUnmovedToken(ctx, tx, a, id); err != nil {
					return err
				} else if done {
					ended = append(ended, id)
				}
			}
			return nil
		})
		if err != nil {
			return all, err
		}
		all.Tokens = append(all.Tokens, ended...)
	}
	return all, nil
}

// endUnmovedKey ends the secrets of one credential. A revoked one keeps them, as every revoked one does:
// it is known by them, and nobody else can have them.
func (r *Registry) endUnmovedKey(ctx context.Context, tx Tx, a Actor, id CredentialID, ended *EndedSecrets) error {
	newest, now := r.vault.NewestPepper(), r.instant()
	c, err := tx.Credential(ctx, id, false)
	if errors.Is(err, ErrNotFound) || err == nil && !r.unmoved(&c, newest, now) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.ManagedBy != "" {
		ended.Declared = append(ended.Declared, c.ID)
		return nil
	}
	var kept []StoredSecret
	detail := details("name", c.Name, "reason", pepperDropped)
	inForce := false
	for _, s := range c.Secrets {
		intact := r.vault.SecretIntact(c.ID, &s)
		switch {
		case s.endedAt(now):
		case s.Pepper != newest && intact:
			detail["secret"], detail["preview"] = string(s.ID), s.Preview
		default:
			kept = append(kept, s)
			inForce = inForce || intact
		}
	}
	action := "key.secret_dropped"
	if inForce {
		c.Secrets = kept
		ended.Kept = append(ended.Kept, c.ID)
	} else {
		action = "key.revoked"
		detail = details("name", c.Name, "reason", pepperDropped)
		c.Status, c.RevokedAt, c.Hold = Revoked, now, NoHold
		ended.Revoked = append(ended.Revoked, c.ID)
	}
	if err := r.rewrite(ctx, tx, &c, now); err != nil {
		return err
	}
	return r.record(ctx, tx, a, string(c.Tenant), action, string(c.ID), detail)
}

// endUnmovedToken revokes a token that is still under another pepper than the newest.
func (r *Registry) endUnmovedToken(ctx context.Context, tx Tx, a Actor, id TokenID) (bool, error) {
	t, err := tx.Token(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && !r.unmovedToken(&t) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.RevokedAt, t.Version = r.instant(), t.Version+1
	r.vault.SealToken(&t)
	if err := tx.PutToken(ctx, t); err != nil {
		return false, err
	}
	return true, r.record(ctx, tx, a, t.chain(), "token.revoked", string(t.ID), details("name", t.Name, "reason", pepperDropped))
}

// unmovedToken tells whether an authentic token in force is under another pepper than the newest.
func (r *Registry) unmovedToken(t *Token) bool {
	return t.Pepper != r.vault.NewestPepper() && t.live(r.now()) && r.vault.TokenIntact(t)
}
