package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
	"postern/limiter"
)

// checkpointChunk bounds the rows of one transaction. Admin writes queue behind it: a few ms.
const checkpointChunk = 500

var _ keys.CheckpointStore = (*Store)(nil)

var (
	saveCount = upsert{
		`INSERT INTO counts (subject, level, route, unit, starts_at, ends_at, used, tag) VALUES `, "(?, ?, ?, ?, ?, ?, ?, ?)",
		` ON CONFLICT (subject, level, route, unit, starts_at) DO UPDATE SET used = excluded.used, ends_at = excluded.ends_at, tag = excluded.tag
		WHERE counts.used < excluded.used`,
	}
	saveLastUse = upsert{
		`INSERT INTO last_used (credential, secret, used_at) VALUES `, "(?, ?, ?)",
		` ON CONFLICT (credential, secret) DO UPDATE SET used_at = excluded.used_at WHERE last_used.used_at < excluded.used_at`,
	}
)

const (
	pruneCounts = `DELETE FROM counts WHERE (subject, level, route, unit, starts_at) IN
		(SELECT subject, level, route, unit, starts_at FROM counts WHERE ends_at < ? ORDER BY ends_at LIMIT ?)`
)

// upsert is a statement for rows that may be there already: it begins, has each row, and ends so.
type upsert struct{ begin, row, end string }

// of is the statement for n rows.
func (u upsert) of(n int) string {
	return u.begin + strings.Repeat(u.row+", ", n-1) + u.row + u.end
}

// SaveCheckpoint implements keys.CheckpointStore. Rows are written in the order of their keys, so that two
// gateways which write the same ones wait for each other and not both.
func (s *Store) SaveCheckpoint(ctx context.Context, c keys.Checkpoint) error {
	const doing = "save checkpoint"
	for counts := range slices.Chunk(sortedCounts(c.Counts), checkpointChunk) {
		err := s.aside(ctx, saveCount, len(counts), func(i int) []any {
			n := &counts[i]
			return []any{n.Counter.Subject, n.Counter.Level.String(), n.Counter.Route, unitName(n.Unit), n.Span.Start, n.Span.End, n.Used, n.Tag}
		})
		if err != nil {
			return s.fail(ctx, doing, err)
		}
	}
	for uses := range slices.Chunk(sortedUses(c.Uses), checkpointChunk) {
		err := s.aside(ctx, saveLastUse, len(uses), func(i int) []any {
			u := &uses[i]
			return []any{string(u.Credential), string(u.Secret), micros(u.At)}
		})
		if err != nil {
			return s.fail(ctx, doing, err)
		}
		s.index.take(ctx, s.pool, s.dialect.placeholders, uses)
	}
	return nil
}

// sortedCounts are the counts by their keys, of equal ones the highest alone.
func sortedCounts(list []limiter.Count) []limiter.Count {
	list = slices.Clone(list)
	key := func(a, b limiter.Count) int {
		return cmp.Or(
			strings.Compare(a.Counter.Subject, b.Counter.Subject), cmp.Compare(a.Counter.Level, b.Counter.Level),
			strings.Compare(a.Counter.Route, b.Counter.Route), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Span.Start, b.Span.Start),
		)
	}
	slices.SortFunc(list, func(a, b limiter.Count) int { return cmp.Or(key(a, b), cmp.Compare(b.Used, a.Used)) })
	return slices.CompactFunc(list, func(a, b limiter.Count) bool { return key(a, b) == 0 })
}

// sortedUses are the uses by their keys, of equal ones the latest alone.
func sortedUses(list []keys.LastUse) []keys.LastUse {
	list = slices.Clone(list)
	key := func(a, b keys.LastUse) int {
		return cmp.Or(cmp.Compare(a.Credential, b.Credential), cmp.Compare(a.Secret, b.Secret))
	}
	slices.SortFunc(list, func(a, b keys.LastUse) int { return cmp.Or(key(a, b), b.At.Compare(a.At)) })
	return slices.CompactFunc(list, func(a, b keys.LastUse) bool { return key(a, b) == 0 })
}

// aside writes n rows in a transaction of its own that does not lock the head: no change number is handed
// out, and whoever hands them out in another process need not wait for it where the database locks by rows.
func (s *Store) aside(ctx context.Context, u upsert, n int, args func(i int) []any) error {
	tx, end, err := s.dialect.begin(ctx, s.write)
	if err != nil {
		return err
	}
	defer end()
	defer tx.Rollback() // after the commit it does nothing
	if kept := s.dialect.prepared; kept != nil {
		// In one statement, for the sake of the way to the server.
		all := slices.Clone(kept)
		for i := range n {
			all = append(all, args(i)...)
		}
		if n < checkpointChunk {
			all[0] = s.dialect.once // its text is met rarely again
		}
		if _, err := tx.Tx.ExecContext(context.WithoutCancel(ctx), s.dialect.placeholders(u.of(n)), all...); err != nil {
			return err
		}
		return tx.Commit()
	}
	stmt, err := tx.Tx.PrepareContext(ctx, s.dialect.placeholders(u.of(1)))
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }() // the transaction's end closes it too
	for i := range n {
		// As in transaction.exec: watching the context costs more than the statement.
		if _, err := stmt.ExecContext(context.WithoutCancel(ctx), args(i)...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Counts implements keys.CheckpointStore.
func (s *Store) Counts(ctx context.Context, endAfter time.Time, visit func([]limiter.Count) error) error {
	var last countKey
	for more := true; more; {
		n, err := s.someCounts(ctx, endAfter, &last, visit)
		if err != nil {
			return err
		}
		more = n == readChunk
	}
	return nil
}

// countKey is where reading counts has come to: they are read in the order of their keys.
type countKey struct {
	subject, level, route, unit string
	start                       int64
}

// someCounts visits counts after those of last, and returns how many there were.
func (s *Store) someCounts(ctx context.Context, endAfter time.Time, last *countKey, visit func([]limiter.Count) error) (n int, err error) {
	const doing = "read counts"
	query := s.dialect.placeholders(`SELECT subject, level, route, unit, starts_at, ends_at, used, tag FROM counts
		WHERE ends_at > ? AND (subject, level, route, unit, starts_at) > (?, ?, ?, ?, ?)
		ORDER BY subject, level, route, unit, starts_at LIMIT ` + strconv.Itoa(readChunk))
	rows, err := s.read.DB.QueryContext(ctx, query, micros(endAfter), last.subject, last.level, last.route, last.unit, last.start)
	if err != nil {
		return 0, s.fail(ctx, doing, err)
	}
	defer rows.Close() // rows.Err tells
	batch := make([]limiter.Count, 0, checkpointChunk)
	for ; rows.Next(); n++ {
		c, err := scanCount(rows, last)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				return n, s.fail(ctx, doing, err)
			}
			s.log.ErrorContext(ctx, "a stored count cannot be read and is left out", "error", err)
			continue
		}
		if batch = append(batch, c); len(batch) == cap(batch) {
			if err := visit(batch); err != nil {
				return n, err
			}
			batch = batch[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return n, s.fail(ctx, doing, err)
	}
	return n, visit(batch)
}

func scanCount(rows *sql.Rows, last *countKey) (limiter.Count, error) {
	var n limiter.Count
	if err := rows.Scan(&last.subject, &last.level, &last.route, &last.unit, &last.start, &n.Span.End, &n.Used, &n.Tag); err != nil {
		return n, err
	}
	level, unit := last.level, last.unit
	n.Counter.Subject, n.Counter.Route, n.Span.Start = last.subject, last.route, last.start
	levels := []limiter.Level{limiter.Credential, limiter.Owner, limiter.Tenant, limiter.Route}
	units := []limiter.Unit{limiter.Day, limiter.Month}
	l := slices.IndexFunc(levels, func(l limiter.Level) bool { return l.String() == level })
	u := slices.IndexFunc(units, func(u limiter.Unit) bool { return unitName(u) == unit })
	if l < 0 || u < 0 || n.Used < 0 || n.Span.Start >= n.Span.End {
		return n, fmt.Errorf("count of %q: %w: level %q, unit %q, %d in [%d, %d)", n.Counter.Subject, errDamaged, level, unit, n.Used, n.Span.Start, n.Span.End)
	}
	n.Counter.Level, n.Unit = levels[l], units[u]
	return n, nil
}

func unitName(u limiter.Unit) string { return limiter.Limit{Unit: u}.Label() }

// LastUses implements keys.Reader.
func (r *reader) LastUses(ctx context.Context, ids []keys.CredentialID) ([]keys.LastUse, error) {
	const doing = "read last uses"
	texts := make([]string, 0, len(ids))
	for _, id := range ids {
		if !odd(string(id)) {
			texts = append(texts, string(id))
		}
	}
	var uses []keys.LastUse
	for some := range slices.Chunk(texts, maxPage) {
		var rows []struct {
			Credential, Secret string
			UsedAt             int64
		}
		err := r.db.NewSelect().Table("last_used").Column("credential", "secret", "used_at").
			Where("credential IN (?)", bun.List(some)).Order("credential", "secret").Scan(ctx, &rows)
		if err != nil {
			return nil, r.fail(ctx, doing, err)
		}
		for _, row := range rows {
			uses = append(uses, keys.LastUse{
				Credential: keys.CredentialID(row.Credential), Secret: keys.SecretID(row.Secret), At: instant(row.UsedAt),
			})
		}
	}
	return uses, nil
}

// PruneCounts implements keys.CheckpointStore.
func (s *Store) PruneCounts(ctx context.Context, endedBefore time.Time) (more bool, err error) {
	res, err := s.write.DB.ExecContext(ctx, s.dialect.placeholders(pruneCounts), micros(endedBefore), checkpointChunk)
	if err != nil {
		return false, s.fail(ctx, "delete old counts", err)
	}
	n, err := res.RowsAffected()
	return n == checkpointChunk, s.fail(ctx, "delete old counts", err)
}
