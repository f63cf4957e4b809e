package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"postern/limiter"
)

// RenewShare writes a gateway's line in the list of those that share the limits and reads all living
// ones, in one step as limiter.Roster wants it, by the database's clock. Lines of gateways that are gone
// are removed. Ids are of the form of keys.NodeID.
func (s *Store) RenewShare(ctx context.Context, id string, reckoned []string) ([]limiter.Peer, error) {
	doing := fmt.Sprintf("renew the share of %s", id)
	peers, err := s.renewShare(ctx, id, reckoned)
	return peers, s.fail(ctx, doing, err)
}

func (s *Store) renewShare(ctx context.Context, id string, reckoned []string) ([]limiter.Peer, error) {
	lease, now := limiter.Lease.Microseconds(), s.dialect.now
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // after the commit it does nothing
	for _, statement := range []string{
		"UPDATE shares SET renewed_at = 0 WHERE node = ''", // the lock
		// A line from the future is one from before the clock was set back.
		"DELETE FROM shares WHERE node <> '' AND (renewed_at <= " + now + " - ? OR renewed_at >= " + now + " + ?)",
	} {
		args := []any{lease, lease}[:strings.Count(statement, "?")]
		if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
			return nil, err
		}
	}
	var rows []struct {
		Node     string
		Reckoned string
		Lost     int64
	}
	err = tx.NewSelect().Table("shares").Column("node", "reckoned", "lost").Where("node <> '' AND node <> ?", id).Scan(ctx, &rows)
	if err != nil {
		return nil, err
	}
	alive, peers := []string{id}, make([]limiter.Peer, 0, len(rows)+1)
	for _, row := range rows {
		alive = append(alive, row.Node)
		peers = append(peers, limiter.Peer{ID: row.Node, Sees: strings.Fields(row.Reckoned), Lost: row.Lost != 0})
	}
	own := limiter.Peer{ID: id, Sees: []string{id}}
	for _, other := range reckoned {
		if !slices.Contains(alive, other) {
			own.Lost = true
		} else if other != id {
			own.Sees = append(own.Sees, other)
		}
	}
	lost := 0
	if own.Lost {
		lost = 1
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO shares (node, renewed_at, reckoned, lost) VALUES (?, `+now+`, ?, ?)
		ON CONFLICT (node) DO UPDATE SET renewed_at = EXCLUDED.renewed_at, reckoned = EXCLUDED.reckoned, lost = EXCLUDED.lost`,
		id, strings.Join(own.Sees, " "), lost)
	if err != nil {
		return nil, err
	}
	return append(peers, own), tx.Commit()
}
