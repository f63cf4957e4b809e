package store

import (
	"context"
	"fmt"
	"time"
)

// TakeLease makes holder the only one who holds the lease of that name, for length from now on by
// the database's clock, and tells whether it did: it does not while somebody else's lasts. Who holds
// it already renews it so. A lease that runs out is free, so that a holder that was killed keeps
// nobody out for longer.
func (s *Store) TakeLease(ctx context.Context, name, holder string, length time.Duration) (bool, error) {
	now := s.dialect.now
	result, err := s.write.ExecContext(ctx, `INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, `+now+` + ?)
		ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, expires_at = EXCLUDED.expires_at
		WHERE leases.holder = EXCLUDED.holder OR leases.expires_at <= `+now, name, holder, length.Microseconds())
	doing := fmt.Sprintf("take lease %q", name)
	if err != nil {
		return false, s.fail(ctx, doing, err)
	}
	n, err := result.RowsAffected()
	return n == 1, s.fail(ctx, doing, err)
}

// EndLease gives a lease back. It does nothing when holder does not hold it.
func (s *Store) EndLease(ctx context.Context, name, holder string) error {
	_, err := s.write.ExecContext(ctx, "DELETE FROM leases WHERE name = ? AND holder = ?", name, holder)
	return s.fail(ctx, fmt.Sprintf("end lease %q", name), err)
}
