package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// Snapshot says what a backup of a database holds.
type Snapshot struct {
	Schema int64             // version
	Seq    keys.Seq          // newest change
	Heads  []keys.AuditEntry // the end of each audit chain
	Canary []byte            // of the pepper; nil before one was kept
}

// Backup copies the database that dsn names, as it is at one instant, into the empty file to, and
// tells what the copy holds. Programs that have the database open go on reading and writing. The
// database is neither migrated nor changed. What was deleted from it is not in the copy.
//
// The error wraps fs.ErrNotExist where there is no database.
func Backup(ctx context.Context, dsn, to string) (Snapshot, error) {
	path, ok := strings.CutPrefix(dsn, "sqlite:")
	if !ok {
		return Snapshot{}, errors.New("back up store: only sqlite:<absolute path> can be backed up this way")
	}
	if _, err := os.Stat(path); err != nil {
		return Snapshot{}, fmt.Errorf("back up store: %w", err)
	}
	to, err := filepath.Abs(to) // SQLite would take some relative names for addresses
	if err != nil {
		return Snapshot{}, fmt.Errorf("back up store: %w", err)
	}
	d := sqliteDialect()
	if err := copySQLite(ctx, path, to); err != nil {
		if meaning := d.classify(err); meaning != nil {
			err = fmt.Errorf("%w: %w", meaning, err)
		}
		return Snapshot{}, fmt.Errorf("back up store %s: %w", path, err)
	}
	s, err := look(ctx, to, d)
	if err != nil {
		return Snapshot{}, fmt.Errorf("read the copy of %s: %w", path, err)
	}
	return s, nil
}

// look reads what a copy holds.
func look(ctx context.Context, path string, d dialect) (s Snapshot, err error) {
	db, err := openCopy(path)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := d.foreign(ctx, db); err != nil {
		return s, err
	}
	r := reader{db: bun.NewDB(db, d.bun), place: path, dialect: d, log: slog.New(slog.DiscardHandler), now: time.Now, closed: new(atomic.Bool)}
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&s.Schema); err != nil {
		return s, r.fail(ctx, "read the schema's version", err)
	}
	if s.Seq, err = head(ctx, r.db); err != nil {
		return s, r.fail(ctx, "read the newest change number", err)
	}
	if s.Heads, err = r.AuditHeads(ctx); err != nil {
		return s, err
	}
	s.Canary, err = r.Meta(ctx, keys.PepperCanaryName)
	if errors.Is(err, keys.ErrNotFound) {
		err = nil
	}
	return s, err
}
