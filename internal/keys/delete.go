package keys

import (
	"context"
	"slices"
	"time"
)

// Delete takes a credential away, in whatever state it is. A tombstone is left, which the audit can
// be held against and nobody else finds. With a Directory, the credential is unknown when Delete
// returns. Refusals: not_found, permission_denied, managed_elsewhere, version_conflict, and the
// store's. ifVersion: see Revoke.
func (r *Registry) Delete(ctx context.Context, a Actor, id CredentialID, ifVersion ...int64) error {
	do := act{doing: "delete key", own: KeysDelete, all: KeysDeleteAny, ifVersion: ifVersion}
	_, err := r.amend(ctx, a, id, do, func(_ context.Context, _ Tx, c *Credential, now time.Time) (note, error) {
		was := c.StatusAt(now)
		c.DeletedAt, c.Secrets = now, r.secretsOfDead(c)
		return note{"key.deleted", details("name", c.Name, "status", string(was))}, nil
	})
	return err
}

// secretsOfDead is what a tombstone keeps of a credential's secrets: no text, and of one under denial
// the digests, so that what was denied does not come back under another name.
func (r *Registry) secretsOfDead(c *Credential) []StoredSecret {
	if !underDenial(c.Status) {
		return nil
	}
	kept := slices.Clone(c.Secrets)
	for i := range kept {
		authentic := r.vault.SecretIntact(c.ID, &kept[i])
		kept[i].Sealed = nil
		if authentic {
			r.vault.SealSecret(c.ID, &kept[i])
		}
	}
	return kept
}
