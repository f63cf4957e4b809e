package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

var _ keys.NodeStore = (*Store)(nil)

type nodeRow struct {
	bun.BaseModel `bun:"table:nodes"`

	ID            string `bun:",pk"`
	Boot          string `bun:",pk"`
	Place         string
	StartedAt     int64
	SeenAt        int64
	Beats         int64
	Applied       keys.Seq
	AppliedAt     int64
	MaxStale      int64 // µs
	Version       string
	Configuration string
	Pepper        int64
	Host          string
	Address       string
	AdminURL      string `bun:"admin_url"`
	Sees          string // ids, with blanks between
	LeftAt        int64
}

// RegisterNode implements keys.NodeStore.
func (s *Store) RegisterNode(ctx context.Context, n keys.Node) error {
	const doing = "register node"
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.fail(ctx, doing, err)
	}
	defer tx.Rollback() // after the commit it does nothing
	_, err = tx.ExecContext(ctx, "DELETE FROM nodes WHERE (place = ? AND place <> '') OR (id = ? AND boot = ?)", n.Place, string(n.ID), n.Boot)
	if err != nil {
		return s.fail(ctx, doing, err)
	}
	// The clock is read once: PostgreSQL's goes on within a statement. Of two with one id the later one starts
	// later, also within the clock's resolution or when it was set back: see Fleet.Register.
	_, err = tx.ExecContext(ctx, `INSERT INTO nodes (id, boot, place, started_at, seen_at, beats, applied, applied_at, max_stale,
		version, configuration, pepper, host, address, admin_url, sees, left_at)
		SELECT ?, ?, ?, CASE WHEN before.started < clock.now THEN clock.now ELSE before.started + 1 END, clock.now, 0, 0, clock.now,
			?, ?, ?, ?, ?, ?, ?, ?, ? FROM (SELECT `+s.dialect.now+` AS now) AS clock,
			(SELECT COALESCE(MAX(started_at), 0) AS started FROM nodes WHERE id = ?) AS before`,
		string(n.ID), n.Boot, n.Place, n.MaxStale.Microseconds(), n.Version, n.Configuration, int64(n.Pepper), n.Host, n.Address, n.AdminURL,
		seesText(n.Sees), micros(time.Time{}), string(n.ID))
	if err != nil {
		return s.fail(ctx, doing, err)
	}
	return s.fail(ctx, doing, tx.Commit())
}

// Heartbeat implements keys.NodeStore.
func (s *Store) Heartbeat(ctx context.Context, n keys.Node) error {
	const doing = "write heartbeat"
	result, err := s.write.ExecContext(ctx, `UPDATE nodes SET seen_at = clock.now, beats = beats + 1,
		applied_at = CASE WHEN applied < ? THEN clock.now ELSE applied_at END, applied = CASE WHEN applied < ? THEN ? ELSE applied END,
		configuration = ?, pepper = ?, sees = ? FROM (SELECT `+s.dialect.now+` AS now) AS clock
		WHERE id = ? AND boot = ? AND left_at = ?`,
		int64(n.Applied), int64(n.Applied), int64(n.Applied), n.Configuration, int64(n.Pepper), seesText(n.Sees),
		string(n.ID), n.Boot, micros(time.Time{}))
	if err != nil {
		return s.fail(ctx, doing, err)
	}
	rows, err := result.RowsAffected()
	if err == nil && rows == 0 {
		return fmt.Errorf("%s of %s: %w", doing, n.ID, keys.ErrNotFound)
	}
	return s.fail(ctx, doing, err)
}

// DeregisterNode implements keys.NodeStore.
func (s *Store) DeregisterNode(ctx context.Context, id keys.NodeID, boot string) error {
	_, err := s.write.ExecContext(ctx, "UPDATE nodes SET left_at = "+s.dialect.now+" WHERE id = ? AND boot = ? AND left_at = ?",
		string(id), boot, micros(time.Time{}))
	return s.fail(ctx, "deregister node", err)
}

// ForgetNode implements keys.NodeStore.
func (s *Store) ForgetNode(ctx context.Context, n keys.Node) error {
	_, err := s.write.ExecContext(ctx, "DELETE FROM nodes WHERE id = ? AND boot = ? AND beats = ? AND seen_at = ?",
		string(n.ID), n.Boot, n.Beats, micros(n.SeenAt))
	return s.fail(ctx, "forget node", err)
}

// Nodes implements keys.NodeStore. The time is read in a statement of its own in the same transaction:
// the rows need not be there to tell it.
func (s *Store) Nodes(ctx context.Context) ([]keys.Node, time.Time, error) {
	const doing = "read nodes"
	fail := func(err error) ([]keys.Node, time.Time, error) { return nil, time.Time{}, s.fail(ctx, doing, err) }
	tx, err := s.read.BeginTx(ctx, s.dialect.snapshot)
	if err != nil {
		return fail(err)
	}
	defer tx.Rollback() // nothing was written
	var rows []nodeRow
	if err := tx.NewSelect().Model(&rows).Order("id", "started_at", "boot").Scan(ctx); err != nil {
		return fail(err)
	}
	var now int64
	if err := tx.QueryRowContext(ctx, "SELECT "+s.dialect.now).Scan(&now); err != nil {
		return fail(err)
	}
	nodes := make([]keys.Node, len(rows))
	for i := range rows {
		nodes[i] = rows[i].node()
	}
	return nodes, instant(now), nil
}

func (row *nodeRow) node() keys.Node {
	n := keys.Node{
		ID: keys.NodeID(row.ID), Boot: row.Boot, Place: row.Place, StartedAt: instant(row.StartedAt), SeenAt: instant(row.SeenAt), Beats: row.Beats,
		Applied: row.Applied, AppliedAt: instant(row.AppliedAt), MaxStale: time.Duration(row.MaxStale) * time.Microsecond, Version: row.Version,
		Configuration: row.Configuration, Pepper: uint32(row.Pepper), Host: row.Host, Address: row.Address, AdminURL: row.AdminURL, LeftAt: instant(row.LeftAt),
	}
	for id := range strings.FieldsSeq(row.Sees) {
		n.Sees = append(n.Sees, keys.NodeID(id))
	}
	return n
}

func seesText(ids []keys.NodeID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = string(id)
	}
	return strings.Join(words, " ")
}
