package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"syscall"

	"postern/internal/keys"
)

// fail is the one place where a database's error becomes one that callers act on: it says what was
// being done and wraps both the meaning and the cause. A context's end stays what it is, so that a
// caller who hung up is not told that the database is gone.
func (r *reader) fail(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		// The driver and database/sql report an abort in several words of their own.
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case r.closed.Load():
		return fmt.Errorf("%s: %w: the store is closed", doing, keys.ErrStoreUnavailable)
	case known(err):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%s: %w", doing, keys.ErrNotFound)
	case errors.Is(err, sql.ErrConnDone), errors.Is(err, driver.ErrBadConn):
		return fmt.Errorf("%s: %w: %w", doing, keys.ErrStoreUnavailable, err)
	}
	if r.dialect.damaged(err) {
		return fmt.Errorf("%s: %w: the database %s is damaged: stop Postern, keep a copy of the file, and restore it from a backup: %w",
			doing, keys.ErrStoreUnavailable, r.place, err)
	}
	if meaning := r.dialect.classify(err); meaning != nil {
		return fmt.Errorf("%s: %w: %w", doing, meaning, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// known tells whether the error already has its meaning.
func known(err error) bool {
	for _, k := range []error{
		keys.ErrNotFound, keys.ErrStoreUnavailable, keys.ErrStorageFull, keys.ErrDuplicate, keys.ErrConflict, keys.ErrBadCursor,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// storageOf is the meaning of an error of the file system.
func storageOf(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return keys.ErrStorageFull
	}
	return keys.ErrStoreUnavailable
}
