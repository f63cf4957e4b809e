package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

type linkRow struct {
	bun.BaseModel `bun:"table:links"`

	UserID    string `bun:",pk"`
	Digest    []byte
	CreatedBy string
	CreatedAt int64
	ExpiresAt int64
	MAC       []byte `bun:"mac"`
}

// link never fails: one whose digest or MAC has another length does not authenticate.
func (row *linkRow) link() keys.Link {
	l := keys.Link{
		User: keys.UserID(row.UserID), CreatedBy: row.CreatedBy, CreatedAt: instant(row.CreatedAt), ExpiresAt: instant(row.ExpiresAt),
	}
	if len(row.Digest) == len(l.Digest) && len(row.MAC) == len(l.MAC) {
		l.Digest, l.MAC = keys.Digest(row.Digest), keys.RowMAC(row.MAC)
	}
	return l
}

// LinkByDigest implements keys.PeopleReader.
func (r *reader) LinkByDigest(ctx context.Context, d keys.Digest) (keys.Link, error) {
	var row linkRow
	if err := r.db.NewSelect().Model(&row).Where("digest = ?", d[:]).Scan(ctx); err != nil {
		return keys.Link{}, r.fail(ctx, "read one-time code", err)
	}
	return row.link(), nil
}

// AllLinks implements keys.PeopleReader.
func (r *reader) AllLinks(ctx context.Context) ([]keys.Link, error) {
	var rows []linkRow
	if err := r.db.NewSelect().Model(&rows).Order("user_id").Scan(ctx); err != nil {
		return nil, r.fail(ctx, "list one-time codes", err)
	}
	list := make([]keys.Link, len(rows))
	for i := range rows {
		list[i] = rows[i].link()
	}
	return list, nil
}

// PutLink implements keys.PeopleTx.
func (t *transaction) PutLink(ctx context.Context, l keys.Link) error {
	doing := fmt.Sprintf("write one-time code of %q", l.User)
	if odd(string(l.User), l.CreatedBy) {
		return fmt.Errorf("%s: a text holds a NUL or is no UTF-8", doing)
	}
	if err := t.DeleteLinks(ctx, l.User); err != nil {
		return err
	}
	n, err := t.exec(ctx, `INSERT INTO links (user_id, digest, created_by, created_at, expires_at, mac) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (digest) DO NOTHING`,
		string(l.User), l.Digest[:], l.CreatedBy, micros(l.CreatedAt), micros(l.ExpiresAt), l.MAC[:])
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w", doing, keys.ErrDuplicate)
	}
	return nil
}

// DeleteLinks implements keys.PeopleTx.
func (t *transaction) DeleteLinks(ctx context.Context, u keys.UserID) error {
	_, err := t.exec(ctx, "DELETE FROM links WHERE user_id = ?", string(u))
	return t.fail(ctx, fmt.Sprintf("delete one-time codes of %q", u), err)
}
