package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"
)

// copySQLite writes the database at path into the empty file to. VACUUM INTO reads in one
// transaction, which in WAL mode holds no writer up, and writes what is live, so that nothing that
// was deleted is in the copy.
func copySQLite(ctx context.Context, path, to string) (err error) {
	db, err := sqlitePool(path, 1, url.Values{"_pragma": sqlitePragmas()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	return err
}

// openCopy opens a copy for reading alone, without the files that SQLite keeps beside a database in
// use.
func openCopy(path string) (*sql.DB, error) {
	name := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"mode": {"ro"}, "immutable": {"1"}}.Encode()}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}
