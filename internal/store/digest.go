package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// digestsAtOnce bounds the text of one statement.
const digestsAtOnce = 500

// TakenDigests implements keys.Reader.
func (r *reader) TakenDigests(ctx context.Context, list []keys.Digest) ([]keys.Digest, error) {
	var taken []keys.Digest
	for some := range slices.Chunk(list, digestsAtOnce) {
		asked := make([][]byte, len(some))
		for i := range some {
			asked[i] = some[i][:]
		}
		var found [][]byte
		err := r.db.NewSelect().Table("secrets").Column("digest").Where("digest IN (?)", bun.List(asked)).Scan(ctx, &found)
		if err != nil {
			return nil, r.fail(ctx, "look for digests", err)
		}
		for _, d := range found {
			taken = append(taken, keys.Digest(d))
		}
	}
	return taken, nil
}

// storedSecrets returns the secrets of the stored version, or ErrConflict where the version is
// another one.
func (t *transaction) storedSecrets(ctx context.Context, id keys.CredentialID, version int64) ([]keys.StoredSecret, error) {
	var record []byte
	switch err := t.one(ctx, "SELECT record FROM credentials WHERE id = ? AND version = ?", []any{string(id), version}, &record); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, keys.ErrConflict
	case err != nil:
		return nil, err
	}
	c, err := parseRecord(record, nil)
	return c.Secrets, err
}

// without returns the secrets of list whose digests are not in other.
func without(list, other []keys.StoredSecret) []keys.StoredSecret {
	var out []keys.StoredSecret
	for i := range list {
		same := func(s keys.StoredSecret) bool { return s.Digest == list[i].Digest }
		if !slices.ContainsFunc(other, same) {
			out = append(out, list[i])
		}
	}
	return out
}

// takeDigests marks the digests of added as in use. When one is taken already, also by an
// earlier one of added, it takes none and returns ErrDuplicate.
func (t *transaction) takeDigests(ctx context.Context, added []keys.StoredSecret) error {
	for i := range added {
		n, err := t.exec(ctx, "INSERT INTO secrets (digest) VALUES (?) ON CONFLICT (digest) DO NOTHING", added[i].Digest[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.Join(fmt.Errorf("secret %q: %w", added[i].ID, keys.ErrDuplicate), t.giveDigests(ctx, added[:i]))
		}
	}
	return nil
}

// giveDigests frees digests that were in use.
func (t *transaction) giveDigests(ctx context.Context, gone []keys.StoredSecret) error {
	for i := range gone {
		if _, err := t.exec(ctx, "DELETE FROM secrets WHERE digest = ?", gone[i].Digest[:]); err != nil {
			return err
		}
	}
	return nil
}
