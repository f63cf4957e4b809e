package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
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
	// begin starts a transaction that writes. The second result is called when it is over.
	begin func(ctx context.Context, db *bun.DB) (bun.Tx, func(), error)
	// snapshot makes a read transaction see one state of the database from its first read on.
	snapshot *sql.TxOptions
	// export asks a transaction of that kind for the name by which others see the same state; ""
	// where there is no such thing.
	export string
	// lockHead reads the change number and holds every other writer off until the transaction
	// ends. Its second column names the transaction, see outcome.
	lockHead string
	// moveHead writes a change number in the place of another one, and changes one row. With outcome it
	// also leaves the transaction's mark, the third argument, whether the number moves or not.
	moveHead string
	// now is the database's clock as an expression: microseconds since 1970.
	now string
	// contains is a condition: the bytes are a part of the column record.
	contains string
	// prepared stands before the arguments of a statement that the driver itself shall keep prepared.
	// Without, such statements are prepared by each transaction.
	// once stands there in its place where the text is not met again.
	prepared []any
	once     any
	// placeholders rewrites the ? of a prepared statement into the database's own.
	placeholders func(query string) string
	// classify finds out what a driver's error means to our callers: one of the keys.Err… or nil
	// when it means nothing to them.
	classify func(err error) error
	// damaged tells whether a driver's error says that the database itself is broken.
	damaged func(err error) bool
	// transient tells whether an update that ended so before its commit is worth another try.
	transient func(err error) bool
	// definite tells whether a commit that ended so certainly did not happen. Of others outcome asks, by
	// the transaction's name, and answers "in progress" or that it is over in some way; then marked asks
	// whether its mark is there. Both are "" where all are definite.
	definite        func(err error) bool
	outcome, marked string
	leaveMark       string // writes a mark alone
	// foreign returns an error that says so when the database belongs to another program.
	foreign func(ctx context.Context, db *sql.DB) error
	// tables asks for every table of ours that holds something to keep, and for its columns.
	tables string
	// others asks how many connections other programs of ours have; "" where nobody can tell.
	others string
	// reach opens a connection, or finds out why there is none.
	reach func(ctx context.Context, db *sql.DB) error
	// lockSchema waits until no other program migrates the database; the result lets the next one.
	lockSchema func(ctx context.Context, db *sql.DB, log *slog.Logger) (func(), error)
}

// pools are a database's connections: some that write, some that only read, and those for the schema,
// which may be the first again. listen is how to make the one that hears of other processes' changes, or
// nil where there is no such thing.
type pools struct {
	write, read, schema *sql.DB
	listen              *pgx.ConnConfig
	dialect             dialect
	place               string // where the database is, for people
}

// migrations returns the dialect's migration files.
func (d dialect) migrations() (fs.FS, error) {
	sub, err := fs.Sub(migrationFiles, "migrations/"+d.name)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return ofRelease(sub)
}
