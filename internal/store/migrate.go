package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"postern/internal/keys"
)

// How long a migration that cannot have its tables is tried, and how long it leaves them to others in
// between.
const (
	migrationPatience = time.Minute
	migrationPause    = 200 * time.Millisecond
)

// migrate applies the pending migrations of fsys, each in one transaction together with the note
// that it was applied, so that a process killed at any point leaves whole ones only.
//
// goose silently accepts a database with versions that it has no files for, so the comparison is
// ours: one version ahead is what the next release's nodes make of a shared database during an
// upgrade, and is used as it is; anything further is refused.
func (r *reader) migrate(ctx context.Context, db *sql.DB, fsys fs.FS) error {
	if err := r.dialect.reach(ctx, db); err != nil {
		return r.fail(ctx, "connect to the database", err)
	}
	unlock, err := r.dialect.lockSchema(ctx, db, r.log)
	if err != nil {
		return r.fail(ctx, "wait for others that migrate the schema", err)
	}
	defer unlock()
	if err := r.dialect.foreign(ctx, db); err != nil {
		return r.fail(ctx, "look at the database", err)
	}
	p, err := goose.NewProvider(r.dialect.goose, db, fsys, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	begun, gaveWay := time.Now(), false
	for before := int64(-1); ; {
		have, want, err := p.GetVersions(ctx)
		switch {
		case err != nil:
			return r.fail(ctx, "read the schema's version", err)
		case have > want+1:
			return fmt.Errorf("the database's schema is version %d, and this program understands versions up to %d: "+
				"it was used by a newer release; start that release, or restore a backup made before the upgrade", have, want+1)
		case have >= want:
			return nil
		case have == before:
			return fmt.Errorf("migrate the schema: %w: version %d did not come about", keys.ErrStoreUnavailable, want)
		}
		before = have
		if _, err := p.Up(ctx); err != nil {
			// Gateways that run go first, see schemaLockLimit: nothing was changed yet.
			if r.dialect.transient(err) && time.Since(begun) < migrationPatience {
				if !gaveWay {
					r.log.InfoContext(ctx, "the schema's migration waits for those who use the database", "reason", err)
					gaveWay = true
				}
				select {
				case <-ctx.Done():
					return r.fail(ctx, "migrate the schema", ctx.Err())
				case <-time.After(migrationPause):
				}
				before = -1
				continue
			}
			// Another process may have been quicker with the same step: then the schema has moved
			// on, and what is left is done in the next round.
			if now, _, verr := p.GetVersions(ctx); verr != nil || now == have {
				return r.fail(ctx, "migrate the schema", err)
			}
			continue
		}
		r.log.InfoContext(ctx, "the database's schema was migrated", "from", have, "to", want)
	}
}
