package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun/schema"
)

//go:embed migrations
var migrationFiles embed.FS

// dialect is what differs between databases. A further one is a file beside sqlite.go that fills
// this in, and a folder of migrations.
type dialect struct {
	name  string // of the folder under migrations
	bun   schema.Dialect
	goose goose.Dialect
	// snapshot makes a read transaction see one state of the database from its first read on.
	snapshot *sql.TxOptions
	// lockHead reads the change number and holds every other writer off until the transaction
	// ends.
	lockHead string
	// now is the database's clock as an expression: microseconds since 1970.
	now string
	// placeholders rewrites the ? of a prepared statement into the database's own.
	placeholders func(query string) string
	// classify finds out what a driver's error means to our callers: one of the keys.Err… or nil
	// when it means nothing to them.
	classify func(err error) error
	// damaged tells whether a driver's error says that the database itself is broken.
	damaged func(err error) bool
	// foreign returns an error that says so when the database belongs to another program.
	foreign func(ctx context.Context, db *sql.DB) error
}

// migrations returns the dialect's migration files.
func (d dialect) migrations() (fs.FS, error) {
	sub, err := fs.Sub(migrationFiles, "migrations/"+d.name)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return sub, nil
}
