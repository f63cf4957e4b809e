package store

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// loadChunk is how many change numbers a reader takes at a time: long enough that starting a query
// costs nothing, short enough that readers end together and a context's end is noticed.
const loadChunk = 16384

// Load implements keys.Store. Credentials are visited by several goroutines at once, after the last
// tenant. A record that cannot be read is logged and left out: it would let nobody in.
func (s *Store) Load(ctx context.Context, v keys.LoadVisitor) (keys.Seq, error) {
	const doing = "load credentials"
	readers, seq, err := s.snapshots(ctx, min(runtime.GOMAXPROCS(0), 8))
	if err != nil {
		return 0, s.fail(ctx, doing, err)
	}
	defer release(readers)
	if err := loadTenants(ctx, readers[0], v); err != nil {
		return 0, s.fail(ctx, doing, err)
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64 // the first change number that no reader has taken
	var wg sync.WaitGroup
	for _, tx := range readers {
		wg.Go(func() {
			l := loader{tx: tx, words: newWords(), visit: v.Credential, store: s}
			for first := next.Add(loadChunk) - loadChunk; first <= int64(seq) && ctx.Err() == nil; first = next.Add(loadChunk) - loadChunk {
				if err := l.chunk(ctx, first); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	s.bell.ring(seq)
	return seq, nil
}

// snapshots begins n read transactions that see the same state of the database, and returns its
// change number. Where the first cannot hand its state to the others, the way there is to hold all
// writers off until each has made its first read, from which on a reader sees nothing newer.
func (s *Store) snapshots(ctx context.Context, n int) (readers []bun.Tx, seq keys.Seq, err error) {
	if s.dialect.export != "" {
		return s.exported(ctx, n)
	}
	lock, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, 0, err
	}
	defer lock.Rollback() // nothing was written
	var name string
	if err := lock.Tx.QueryRowContext(ctx, s.dialect.lockHead).Scan(&seq, &name); err != nil {
		return nil, 0, err
	}
	for range n {
		tx, err := s.read.BeginTx(ctx, s.dialect.snapshot)
		if err != nil {
			release(readers)
			return nil, 0, err
		}
		readers = append(readers, tx)
		sees, err := head(ctx, tx)
		if err == nil && sees != seq {
			err = fmt.Errorf("a reader sees change %d under the lock on %d", sees, seq)
		}
		if err != nil {
			release(readers)
			return nil, 0, err
		}
	}
	return readers, seq, nil
}

// exported is snapshots where a transaction can hand its state to others.
func (s *Store) exported(ctx context.Context, n int) (readers []bun.Tx, seq keys.Seq, err error) {
	defer func() {
		if err != nil {
			release(readers)
		}
	}()
	var name string
	for i := range n {
		tx, err := s.read.BeginTx(ctx, s.dialect.snapshot)
		if err != nil {
			return readers, 0, err
		}
		readers = append(readers, tx)
		if i == 0 {
			if err := tx.Tx.QueryRowContext(ctx, s.dialect.export).Scan(&name); err != nil {
				return readers, 0, err
			}
			if seq, err = head(ctx, tx); err != nil {
				return readers, 0, err
			}
		} else if _, err := tx.ExecContext(ctx, "SET TRANSACTION SNAPSHOT ?", name); err != nil {
			return readers, 0, err
		}
	}
	return readers, seq, nil
}

func release(readers []bun.Tx) {
	for _, tx := range readers {
		_ = tx.Rollback() // nothing was written
	}
}

// loadTenants visits every tenant.
func loadTenants(ctx context.Context, tx bun.Tx, v keys.LoadVisitor) error {
	var rows []tenantRow
	if err := tx.NewSelect().Model(&rows).Column(tenantColumns...).Order("id").Scan(ctx); err != nil {
		return err
	}
	for i := range rows {
		t, err := rows[i].tenant()
		if err != nil {
			return err
		}
		if err := v.Tenant(t); err != nil {
			return err
		}
	}
	return nil
}

// loader reads chunks of credentials on one of the snapshots.
type loader struct {
	tx    bun.Tx
	words *words
	visit func(keys.Credential) error
	store *Store
}

// chunk visits the live credentials whose last change is one of the loadChunk from first on. It reads one column,
// the record, and by database/sql alone: a column costs as much as all of our own work on a row.
func (l *loader) chunk(ctx context.Context, first int64) error {
	query := l.store.dialect.placeholders("SELECT record FROM credentials WHERE change_seq >= ? AND change_seq < ? AND deleted = 0")
	// Without the context's cancellation, which the driver would watch anew for every row.
	args := append(slices.Clone(l.store.dialect.prepared), first, first+loadChunk)
	rows, err := l.tx.Tx.QueryContext(context.WithoutCancel(ctx), query, args...)
	if err != nil {
		return l.store.fail(ctx, "read rows", err)
	}
	defer rows.Close() // rows.Err tells
	var record sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&record); err != nil {
			return l.store.fail(ctx, "read rows", err)
		}
		c, err := parseRecord(record, l.words)
		if err != nil {
			l.store.log.ErrorContext(ctx, "a stored credential cannot be read; it lets nobody in", "error", err)
			continue
		}
		if err := l.visit(c); err != nil {
			return err
		}
	}
	return l.store.fail(ctx, "read rows", rows.Err())
}
