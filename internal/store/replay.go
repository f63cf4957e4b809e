package store

import (
	"context"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

type replayRow struct {
	bun.BaseModel `bun:"table:replays"`

	RequestKey []byte
	Request    []byte
	Target     string
	ExpiresAt  int64
}

// swept is how many ended records each new one takes out: more than one, so that they get fewer.
const swept = 10

// Replay implements keys.ReplayReader.
func (r *reader) Replay(ctx context.Context, key keys.Digest) (keys.Replay, error) {
	const doing = "read replay"
	var row replayRow
	if err := r.db.NewSelect().Model(&row).Where("request_key = ?", key[:]).Scan(ctx); err != nil {
		return keys.Replay{}, r.fail(ctx, doing, err)
	}
	p := keys.Replay{Key: key, Target: row.Target, ExpiresAt: instant(row.ExpiresAt)}
	if len(row.Request) != len(p.Request) {
		return keys.Replay{}, r.fail(ctx, doing, errors.Join(keys.ErrNotFound, errDamaged))
	}
	p.Request = keys.Digest(row.Request)
	return p, nil
}

// CountReplays implements keys.ReplayReader.
func (r *reader) CountReplays(ctx context.Context, after, until time.Time) (int, error) {
	n, err := r.db.NewSelect().Model((*replayRow)(nil)).Where("expires_at > ?", micros(after)).Where("expires_at <= ?", micros(until)).Count(ctx)
	return int(n), r.fail(ctx, "count replays", err)
}

// PutReplay implements keys.ReplayWriter.
func (t *transaction) PutReplay(ctx context.Context, p keys.Replay, now time.Time) error {
	const doing = "write replay"
	_, err := t.exec(ctx, `DELETE FROM replays WHERE request_key IN
		(SELECT request_key FROM replays WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`, micros(now), swept)
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	_, err = t.exec(ctx, `INSERT INTO replays (request_key, request, target, expires_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (request_key) DO UPDATE SET request = EXCLUDED.request, target = EXCLUDED.target, expires_at = EXCLUDED.expires_at`,
		p.Key[:], p.Request[:], p.Target, micros(p.ExpiresAt))
	return t.fail(ctx, doing, err)
}
