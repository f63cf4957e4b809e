package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postern/internal/keys"
)

// applicationID marks our files, see the first migration ("Pstn").
const applicationID = 0x5073746e

// busyTimeout is how long a writer waits for another process's transaction, in ms. An offline
// command's takes milliseconds; the largest import a few seconds.
const (
	busyTimeout  = "10000"
	busyPatience = 10 * time.Second // the same
)

// openSQLite makes the file (0600) and its connection pools. It does not touch the schema.
func openSQLite(path string, log *slog.Logger) (pools, error) {
	if !filepath.IsAbs(path) {
		return pools{}, fmt.Errorf("path %q is not absolute: write sqlite:<absolute path>", path)
	}
	if err := makeFile(path, log); err != nil {
		return pools{}, err
	}
	write, err := sqlitePool(path, 1, url.Values{
		// Take the write lock when a transaction begins: one that starts as a reader and then
		// writes fails at once, without waiting, if another writer came between.
		"_txlock": {"immediate"},
		"_pragma": append(sqlitePragmas(),
			"cache_size(-65536)",           // KiB; an import inserts random keys, which touch pages everywhere
			"wal_autocheckpoint(8000)",     // pages, 32 MB
			"journal_size_limit(67108864)", // what an import made of the log is given back
		),
	})
	if err != nil {
		return pools{}, err
	}
	read, err := sqlitePool(path, max(4, 2*runtime.GOMAXPROCS(0)), url.Values{
		"_query_only": {"1"},
		"_pragma":     sqlitePragmas(),
	})
	if err != nil {
		return pools{}, errors.Join(err, write.Close())
	}
	return pools{write: write, read: read, schema: write, dialect: sqliteDialect(), place: path}, nil
}

// makeFile creates the database file where it is absent, readable by its owner alone, and takes the
// rights of others away from one that is there. SQLite gives its log the same mode.
//
// An existing file is never opened here: closing any descriptor of a file drops the POSIX locks
// that SQLite holds on it elsewhere in this process (fcntl(2)).
func makeFile(path string, log *slog.Logger) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("create %s: %w: the folder %s does not exist; create it, or set data_dir", path, keys.ErrStoreUnavailable, filepath.Dir(path))
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("create %s: %w: %w: the folder must be writable for this user, also for the log that SQLite keeps beside the file",
			path, storageOf(err), err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at %s: %w: %w", path, keys.ErrStoreUnavailable, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file: write sqlite:<path of the database file>", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, info.Mode().Perm()&0o700); err != nil {
			return fmt.Errorf("take the rights of other users from %s: %w", path, err)
		}
		log.Warn("the database was accessible to other users; their rights were taken away", "path", path, "mode", info.Mode().Perm().String())
	}
	return nil
}

// sqlitePragmas are the settings of every connection. They travel in the connection string, so
// that one the pool makes later has them too.
func sqlitePragmas() []string {
	return []string{
		"temp_store(MEMORY)",  // no copies of rows in /tmp
		"trusted_schema(OFF)", // the schema of a file from elsewhere runs no functions
		"cell_size_check(ON)", // notice a damaged page before it is used
	}
}

// sqlitePool opens connections to path with the query parameters that every connection shares and
// those given.
func sqlitePool(path string, size int, q url.Values) (*sql.DB, error) {
	q.Set("_busy_timeout", busyTimeout)
	q.Set("_journal_mode", "WAL")
	q.Set("_synchronous", "FULL") // a commit is on the disk when it returns
	q.Set("_foreign_keys", "1")
	q.Set("_defensive", "1")
	q.Set("_dqs", "0")
	q.Set("_error_rc", "1")
	name := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

func sqliteDialect() dialect {
	return dialect{
		name:         "sqlite",
		bun:          sqlitedialect.New(),
		goose:        goose.DialectSQLite3,
		begin:        beginSQLite,
		snapshot:     &sql.TxOptions{ReadOnly: true},
		lockHead:     "SELECT seq, '' FROM head WHERE id = 1", // BEGIN IMMEDIATE holds the lock already
		moveHead:     "UPDATE head SET seq = ? WHERE id = 1 AND seq = ?",
		contains:     "instr(record, ?) > 0",
		now:          "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
		placeholders: func(query string) string { return query },
		classify:     classifySQLite,
		damaged:      damagedSQLite,
		transient:    func(error) bool { return false }, // busy_timeout has waited already
		definite:     func(error) bool { return true },
		foreign:      foreignSQLite,
		tables: `SELECT t.name, c.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
			WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND t.name <> 'goose_db_version'`,
		reach:      reachSQLite,
		lockSchema: func(context.Context, *sql.DB, *slog.Logger) (func(), error) { return func() {}, nil },
	}
}

func beginSQLite(ctx context.Context, db *bun.DB) (bun.Tx, func(), error) {
	tx, err := db.BeginTx(ctx, nil)
	return tx, func() {}, err
}

// foreignSQLite tells whether the file holds another program's tables.
func foreignSQLite(ctx context.Context, db *sql.DB) error {
	// A first start that was killed may have left goose's table alone. Both are asked in one statement:
	// between two of them somebody else may make the tables of ours.
	const look = `SELECT application_id, (SELECT count(*) FROM sqlite_schema
		WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' AND tbl_name <> 'goose_db_version') FROM pragma_application_id`
	var id, tables int
	if err := db.QueryRowContext(ctx, look).Scan(&id, &tables); err != nil {
		return err
	}
	if id != applicationID && (id != 0 || tables > 0) {
		return fmt.Errorf("the file is another program's SQLite database (application id %d, %d tables): name a file of its own in store", id, tables)
	}
	return nil
}

// reachSQLite opens a connection, and waits for others as every statement does. While several open a
// new database at once, one of them turns the write-ahead log on, and the others are told that the
// file is busy without any wait: busy_timeout does not hold there.
func reachSQLite(ctx context.Context, db *sql.DB) error {
	const pause = 10 * time.Millisecond
	for begin := time.Now(); ; {
		err := db.PingContext(ctx)
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_BUSY || time.Since(begin) > busyPatience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// damagedSQLite tells whether the file is broken, or no database at all.
func damagedSQLite(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// classifySQLite sorts by the primary result code and, where a code covers several cases, by the
// extended one (sqlite.org/rescode.html).
func classifySQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return keys.ErrStorageFull
	case sqlite3.SQLITE_IOERR:
		switch e.Code() {
		case sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC,
			sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP:
			return keys.ErrStorageFull
		}
		return keys.ErrStoreUnavailable
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return keys.ErrStoreUnavailable
	case sqlite3.SQLITE_CONSTRAINT:
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
			return keys.ErrDuplicate
		}
	}
	return nil
}
