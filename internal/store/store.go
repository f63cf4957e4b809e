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
	// Name is what PostgreSQL's own lists call this program; "" for a gateway, see Store.CopyTo.
	Name string
}

// Store is an open system of record. It is safe for concurrent use, also beside other processes
// that have the same database open.
type Store struct {
	reader // on the pool of readers

	write    *bun.DB
	read     *bun.DB
	schema   *sql.DB // may be that of write
	bell     *bell
	listener *listener // nil where the database does not notify
}

var (
	_ keys.Store = (*Store)(nil)
	_ keys.Tx    = (*transaction)(nil)
)

// Open opens the database that dsn names, creates it where it is absent, and migrates it to this
// program's schema. The dsn is sqlite:<absolute path>, or postgres://… for a database that is there.
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
	p, err := openPools(dsn, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		write:  bun.NewDB(p.write, p.dialect.bun),
		read:   bun.NewDB(p.read, p.dialect.bun),
		schema: p.schema,
		bell:   newBell(),
	}
	s.reader = reader{db: s.read, place: p.place, dialect: p.dialect, log: o.Log, now: o.Now, closed: new(atomic.Bool), pool: p.read, index: &searchIndex{}}
	if err := s.prepare(ctx, p.schema); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", p.place, err), s.Close())
	}
	if p.listen != nil {
		s.listener = startListener(p.listen, s.bell, o.Log)
	}
	return s, nil
}

// openPools finds the database by the scheme of its address.
func openPools(dsn string, o Options) (pools, error) {
	scheme, rest, ok := strings.Cut(dsn, ":")
	switch {
	case ok && scheme == "sqlite":
		return openSQLite(rest, o.Log)
	case ok && postgresScheme(scheme):
		return openPostgres(dsn, o)
	case !ok:
		scheme = "none"
	}
	// The text may hold a password: only the scheme is repeated.
	return pools{}, fmt.Errorf("scheme %q is not supported: write sqlite:<absolute path> or postgres://…", scheme)
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

// Close releases the database; calls under way end with ErrStoreUnavailable or their result. Closing
// again does nothing.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.bell.close()
	if s.listener != nil {
		s.listener.end()
	}
	// The writer last: SQLite folds the log into the database file when the last connection goes,
	// and the readers may not write.
	if err := errors.Join(s.read.Close(), s.write.Close(), s.schema.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
