package store

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// mostSessions is how many of a person's sessions are listed.
const mostSessions = 1000

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`

	Digest      []byte `bun:",pk"`
	ID          string
	UserID      string
	Address     string
	CreatedAt   int64
	SeenAt      int64
	ConfirmedAt int64
	MAC         []byte `bun:"mac"`
}

// session never fails: one whose digest or MAC has another length authenticates as little as any other
// forged one.
func (row *sessionRow) session() keys.Session {
	s := keys.Session{
		ID: keys.SessionID(row.ID), User: keys.UserID(row.UserID), Address: row.Address, CreatedAt: instant(row.CreatedAt),
		SeenAt: instant(row.SeenAt), ConfirmedAt: instant(row.ConfirmedAt),
	}
	if len(row.Digest) == len(s.Digest) && len(row.MAC) == len(s.MAC) {
		s.Digest, s.MAC = keys.Digest(row.Digest), keys.RowMAC(row.MAC)
	}
	return s
}

// SessionByDigest implements keys.PeopleReader.
func (r *reader) SessionByDigest(ctx context.Context, d keys.Digest) (keys.Session, error) {
	var row sessionRow
	if err := r.db.NewSelect().Model(&row).Where("digest = ?", d[:]).Scan(ctx); err != nil {
		return keys.Session{}, r.fail(ctx, "read session", err)
	}
	return row.session(), nil
}

// Sessions implements keys.PeopleReader.
func (r *reader) Sessions(ctx context.Context, u keys.UserID) ([]keys.Session, error) {
	if odd(string(u)) {
		return nil, nil
	}
	var rows []sessionRow
	err := r.db.NewSelect().Model(&rows).Where("user_id = ?", string(u)).Order("created_at DESC", "id").Limit(mostSessions).Scan(ctx)
	if err != nil {
		return nil, r.fail(ctx, fmt.Sprintf("list sessions of %q", u), err)
	}
	list := make([]keys.Session, len(rows))
	for i := range rows {
		list[i] = rows[i].session()
	}
	return list, nil
}

// AllSessions implements keys.PeopleReader.
func (r *reader) AllSessions(ctx context.Context) ([]keys.Session, error) {
	var rows []sessionRow
	if err := r.db.NewSelect().Model(&rows).Order("created_at", "id").Scan(ctx); err != nil {
		return nil, r.fail(ctx, "list all sessions", err)
	}
	list := make([]keys.Session, len(rows))
	for i := range rows {
		list[i] = rows[i].session()
	}
	return list, nil
}

// PutSession implements keys.PeopleTx.
func (t *transaction) PutSession(ctx context.Context, s keys.Session) error {
	doing := fmt.Sprintf("write session %q", s.ID)
	if odd(string(s.ID), string(s.User), s.Address) {
		return fmt.Errorf("%s: a text holds a NUL or is no UTF-8", doing)
	}
	taken, err := t.db.NewSelect().Table("sessions").Where("id = ?", string(s.ID)).Where("digest <> ?", s.Digest[:]).Exists(ctx)
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	if taken {
		return fmt.Errorf("%s: %w", doing, keys.ErrDuplicate)
	}
	_, err = t.exec(ctx, `INSERT INTO sessions (digest, id, user_id, address, created_at, seen_at, confirmed_at, mac)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET id = EXCLUDED.id, user_id = EXCLUDED.user_id,
		address = EXCLUDED.address, created_at = EXCLUDED.created_at, seen_at = EXCLUDED.seen_at,
		confirmed_at = EXCLUDED.confirmed_at, mac = EXCLUDED.mac`,
		s.Digest[:], string(s.ID), string(s.User), s.Address, micros(s.CreatedAt), micros(s.SeenAt), micros(s.ConfirmedAt), s.MAC[:])
	return t.fail(ctx, doing, err)
}

// DeleteSession implements keys.PeopleTx.
func (t *transaction) DeleteSession(ctx context.Context, d keys.Digest) error {
	_, err := t.exec(ctx, "DELETE FROM sessions WHERE digest = ?", d[:])
	return t.fail(ctx, "delete session", err)
}

// DeleteSessions implements keys.PeopleTx.
func (t *transaction) DeleteSessions(ctx context.Context, u keys.UserID) (int, error) {
	n, err := t.exec(ctx, "DELETE FROM sessions WHERE user_id = ?", string(u))
	return int(n), t.fail(ctx, fmt.Sprintf("delete sessions of %q", u), err)
}

// Forget implements keys.PeopleTx.
func (t *transaction) Forget(ctx context.Context, opened, seen, now time.Time) error {
	const doing = "forget what is over"
	if _, err := t.exec(ctx, "DELETE FROM sessions WHERE created_at < ? OR seen_at < ?", micros(opened), micros(seen)); err != nil {
		return t.fail(ctx, doing, err)
	}
	_, err := t.exec(ctx, "DELETE FROM links WHERE expires_at < ?", micros(now))
	return t.fail(ctx, doing, err)
}
