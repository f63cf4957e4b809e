package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// Options are what Open needs beside the address. The zero value works.
type Options struct {
	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: the system's clock; only used where a caller gave no time
}

// Store is an open system of record. It is safe for concurrent use, also beside other processes
// that have the same database open.
type Store struct {
	reader // on the pool of readers

	write *bun.DB // one connection, so that this process's writers queue here and not in SQLite
	read  *bun.DB
	bell  *bell
}

var (
	_ keys.Store = (*Store)(nil)
	_ keys.Tx    = (*transaction)(nil)
)

// Open opens the database that dsn names, creates it where it is absent, and migrates it to this
// program's schema. The dsn is sqlite:<absolute path>.
//
// It fails with a text for people when the folder is missing or not writable, when the file is not
// a database of ours, and when its schema is newer than the one after this program's own (one step
// ahead is accepted, so that a fleet can be upgraded node by node and stepped back once). A database
// that is locked beyond patience is ErrStoreUnavailable, a full disk ErrStorageFull.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	scheme, rest, ok := strings.Cut(dsn, ":")
	if !ok || scheme != "sqlite" {
		// The text may be a postgres address with a password in it: only the scheme is repeated.
		if !ok {
			scheme = "none"
		}
		return nil, fmt.Errorf("open store: scheme %q is not supported: write sqlite:<absolute path>", scheme)
	}
	p, err := openSQLite(rest, o.Log)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		write: bun.NewDB(p.write, p.dialect.bun),
		read:  bun.NewDB(p.read, p.dialect.bun),
		bell:  newBell(),
	}
	s.reader = reader{db: s.read, place: rest, dialect: p.dialect, log: o.Log, now: o.Now, closed: new(atomic.Bool), pool: p.read, index: &searchIndex{}}
	if err := s.prepare(ctx, p.write); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", rest, err), s.Close())
	}
	return s, nil
}

// prepare brings the schema up to date and learns the newest change number.
func (s *Store) prepare(ctx context.Context, db *sql.DB) error {
	fsys, err := s.dialect.migrations()
	if err != nil {
		return err
	}
	if err := s.migrate(ctx, db, fsys); err != nil {
		return err
	}
	_, err = s.Head(ctx)
	return err
}

// Update implements keys.Store. fn must not call Update: it would wait for itself until ctx ends.
func (s *Store) Update(ctx context.Context, fn func(ctx context.Context, tx keys.Tx) error) (keys.Seq, error) {
	btx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, s.fail(ctx, "begin update", err)
	}
	// Covers every way out: an error, a panic in fn, and a goroutine that ends in fn. After the
	// commit it does nothing.
	defer btx.Rollback() // the outcome is already decided

	tx, err := s.begin(ctx, btx)
	if err != nil {
		return 0, s.fail(ctx, "begin update", err)
	}
	defer tx.close()
	if err := fn(ctx, tx); err != nil {
		return 0, err
	}
	if err := tx.finish(ctx); err != nil {
		return 0, s.fail(ctx, "update", err)
	}
	if err := btx.Commit(); err != nil {
		return 0, s.fail(ctx, "commit update", err)
	}
	s.bell.ring(tx.next)
	return tx.next, nil
}

// Close releases the database; calls under way end with ErrStoreUnavailable or their result. Closing
// again does nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.bell.close()
	// The writer last: SQLite folds the log into the database file when the last connection goes,
	// and the readers may not write.
	if err := errors.Join(s.read.Close(), s.write.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
