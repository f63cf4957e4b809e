package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// pollEvery is how soon a change of another process is looked for.
const pollEvery = 500 * time.Millisecond

// Head implements keys.Store.
func (s *Store) Head(ctx context.Context) (keys.Seq, error) {
	seq, err := head(ctx, s.read)
	if err != nil {
		return 0, s.fail(ctx, "read the newest change number", err)
	}
	s.bell.ring(seq)
	return seq, nil
}

func head(ctx context.Context, db bun.IDB) (seq keys.Seq, err error) {
	err = db.QueryRowContext(ctx, "SELECT seq FROM head WHERE id = 1").Scan(&seq)
	return seq, err
}

// Changes implements keys.Store. A record that cannot be read comes with its id, its version and
// no MAC, so that it does not hold up the changes after it and nobody gets in by it.
func (s *Store) Changes(ctx context.Context, after keys.Seq, most int) ([]keys.Change, error) {
	const doing = "read changes"
	// One snapshot for both tables: a change committed between two reads would let a tenant's
	// number pass a credential's that was not seen.
	tx, err := s.read.BeginTx(ctx, s.dialect.snapshot)
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	defer tx.Rollback() // nothing was written

	most = max(most, 1)
	var credentials []credentialRow
	err = tx.NewSelect().Model(&credentials).Column(credentialColumns...).Where("change_seq > ?", int64(after)).
		Order("change_seq").Limit(int64(most)).Scan(ctx)
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	var tenants []tenantRow
	err = tx.NewSelect().Model(&tenants).Column(tenantColumns...).Where("change_seq > ?", int64(after)).
		Order("change_seq").Limit(int64(most)).Scan(ctx)
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}

	changes := make([]keys.Change, 0, len(credentials)+len(tenants))
	for i := range credentials {
		row := &credentials[i]
		c, err := row.credential()
		if err != nil {
			s.log.ErrorContext(ctx, "a stored credential cannot be read; it lets nobody in", "error", err)
			c = row.husk()
		}
		changes = append(changes, keys.Change{Seq: row.ChangeSeq, Credential: &c})
	}
	for i := range tenants {
		t, err := tenants[i].tenant()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		changes = append(changes, keys.Change{Seq: tenants[i].ChangeSeq, Tenant: &t})
	}
	slices.SortFunc(changes, func(a, b keys.Change) int { return cmp.Compare(a.Seq, b.Seq) })
	if len(changes) > most {
		clear(changes[most:])
		changes = changes[:most]
	}
	if n := len(changes); n > 0 {
		s.bell.ring(changes[n-1].Seq)
		return changes, nil
	}
	// In the same snapshot, which began after the number was read, so that it cannot be an older one.
	newest, err := head(ctx, tx)
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	if newest < after {
		return nil, fmt.Errorf("%s: %w: its newest change is %d, and change %d was read before", doing, keys.ErrStoreWentBack, newest, after)
	}
	return changes, nil
}

// Wait implements keys.Store. It returns nil in every case but one: ErrStoreUnavailable from a
// closed store, where a caller that went on would spin.
func (s *Store) Wait(ctx context.Context, after keys.Seq) error {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		newest, rung := s.bell.listen()
		if s.closed.Load() {
			return s.fail(ctx, "wait for changes", keys.ErrStoreUnavailable)
		}
		if newest > after {
			return nil
		}
		select {
		case <-rung:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// bell tells waiters within the process of a new change number.
type bell struct {
	mu     sync.Mutex
	newest keys.Seq
	rung   chan struct{} // closed and replaced by each ring
}

func newBell() *bell { return &bell{rung: make(chan struct{})} }

// ring makes seq known; a number that is not newer wakes nobody.
func (b *bell) ring(seq keys.Seq) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq <= b.newest {
		return
	}
	b.newest = seq
	close(b.rung)
	b.rung = make(chan struct{})
}

// listen returns the newest number known and a channel that closes at the next one.
func (b *bell) listen() (keys.Seq, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest, b.rung
}

// close wakes everybody for good.
func (b *bell) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.rung)
	b.rung = make(chan struct{})
}
