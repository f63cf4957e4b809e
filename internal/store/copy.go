package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/keys"
)

// ErrNotEmpty says that the database that was to be copied into holds something.
var ErrNotEmpty = errors.New("the database is not empty")

// ErrInUse says that a gateway has the database open.
var ErrInUse = errors.New("the database is in use")

// ofGateways are the tables about gateways that run, and what each of them has counted: nothing of them
// belongs into another database as it is.
var ofGateways = []string{"nodes", "shares", "counts"}

// CopiedTable is what was copied of one table.
type CopiedTable struct {
	Name string
	Rows int64
}

// copyRows is how many rows are written by one statement.
const copyRows = 500

// CopyTo copies everything that is stored, as it is at one instant, into another database that is empty,
// in one transaction: every table but ofGateways, the audit chains as they are, and the newest change number. Before the
// commit what was written is read again and compared, row by row, with what was read. Both must have the
// same schema.
//
// ErrNotEmpty when to holds anything, ErrInUse when gateways have this database open, as far as it can tell.
// keys.ErrOutcomeUnknown may be told of the commit, as of an update's.
func (s *Store) CopyTo(ctx context.Context, to *Store) ([]CopiedTable, error) {
	const doing = "copy store"
	if err := s.alone(ctx); err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	// The connections for the schema: a million rows take longer than a statement of others may.
	from, err := s.schema.BeginTx(ctx, s.dialect.snapshot)
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	defer from.Rollback() // nothing was written
	into, err := to.schema.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nil, to.fail(ctx, doing, err)
	}
	defer into.Rollback() // after the commit it does nothing
	var empty keys.Seq
	tx := &transaction{mark: to.newMark()}
	if err := into.QueryRowContext(ctx, to.dialect.lockHead).Scan(&empty, &tx.name); err != nil {
		return nil, to.fail(ctx, doing, err)
	}
	tables, err := sameTables(ctx, s.dialect, from, to.dialect, into)
	if err != nil {
		return nil, to.fail(ctx, doing, err)
	}
	if err := isEmpty(ctx, into, tables, empty); err != nil {
		return nil, to.fail(ctx, doing, err)
	}
	var copied []CopiedTable
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		read, err := copyTable(ctx, from, into, to.dialect, name, tables[name])
		if err != nil {
			return nil, fmt.Errorf("%s: table %s: %w", doing, name, to.fail(ctx, "write", err))
		}
		var written rowSum
		if err := eachRow(ctx, into, name, tables[name], func(row []any) error { return written.add(row) }); err != nil {
			return nil, fmt.Errorf("%s: table %s: %w", doing, name, to.fail(ctx, "read again", err))
		}
		if read != written {
			return nil, fmt.Errorf("%s: table %s: of %d rows that were read the other database has %d, or others: nothing was kept", doing, name, read.rows, written.rows)
		}
		copied = append(copied, CopiedTable{Name: name, Rows: read.rows})
	}
	if to.dialect.marked != "" {
		if _, err := into.ExecContext(ctx, to.dialect.leaveMark, tx.mark); err != nil {
			return nil, to.fail(ctx, doing, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, to.fail(ctx, doing, err)
	}
	if err := into.Commit(); err != nil {
		if to.dialect.definite(err) {
			return nil, to.fail(ctx, doing, err)
		}
		if err := to.settle(ctx, tx, err); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
	}
	return copied, nil
}

// alone tells whether gateways have the database open, where that can be told.
func (s *Store) alone(ctx context.Context) error {
	if s.dialect.others == "" {
		return nil
	}
	var others int
	if err := s.schema.QueryRowContext(ctx, s.dialect.others).Scan(&others); err != nil {
		return err
	}
	if others > 0 {
		return fmt.Errorf("%w by other programs of ours: stop every gateway first", ErrInUse)
	}
	return s.silent(ctx)
}

// heardLately is within which time a gateway that has not left must have beaten to count as running: ten
// heartbeats of a store that can be shared.
const heardLately = 10 * time.Second

// silent tells whether gateways beat in the database: one whose address sets another application_name is
// seen by nothing else.
func (s *Store) silent(ctx context.Context) error {
	nodes, now, err := s.Nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if age := now.Sub(n.SeenAt); n.LeftAt.IsZero() && age <= heardLately {
			return fmt.Errorf("%w: the gateway %s on host %q was heard of %s ago: stop every gateway first; after one that was killed wait %s",
				ErrInUse, n.ID, n.Host, age.Round(time.Millisecond), heardLately)
		}
	}
	return nil
}

// sameTables are the tables of both databases with their columns, in order.
func sameTables(ctx context.Context, a dialect, from *sql.Tx, b dialect, into *sql.Tx) (map[string][]string, error) {
	here, err := tablesOf(ctx, a, from)
	if err != nil {
		return nil, err
	}
	there, err := tablesOf(ctx, b, into)
	if err != nil {
		return nil, err
	}
	if !maps.EqualFunc(here, there, slices.Equal) {
		return nil, errors.New("the two databases have different schemas: use the same release of Postern on both")
	}
	return here, nil
}

func tablesOf(ctx context.Context, d dialect, tx *sql.Tx) (map[string][]string, error) {
	rows, err := tx.QueryContext(ctx, d.tables)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // rows.Err tells
	tables := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		if !slices.Contains(ofGateways, table) {
			tables[table] = append(tables[table], column)
		}
	}
	for _, columns := range tables {
		slices.Sort(columns)
	}
	return tables, rows.Err()
}

// isEmpty looks at every table but the head, whose one row is there from the beginning.
func isEmpty(ctx context.Context, tx *sql.Tx, tables map[string][]string, head keys.Seq) error {
	if head != 0 {
		return fmt.Errorf("%w: it is at change %d", ErrNotEmpty, head)
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if name == "head" {
			continue
		}
		var some bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+name+")").Scan(&some); err != nil {
			return err
		}
		if some {
			return fmt.Errorf("%w: its table %s holds something", ErrNotEmpty, name)
		}
	}
	return nil
}

// copyTable writes every row of a table, and returns what was read.
func copyTable(ctx context.Context, from, into *sql.Tx, d dialect, name string, columns []string) (rowSum, error) {
	var read rowSum
	if _, err := into.ExecContext(ctx, "DELETE FROM "+name); err != nil { // the head's first row
		return read, err
	}
	one := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	insert := upsert{"INSERT INTO " + name + " (" + strings.Join(columns, ", ") + ") VALUES ", one, ""}
	values := slices.Clone(d.prepared)
	pending := 0
	flush := func() error {
		if pending == 0 {
			return nil
		}
		if pending < copyRows && d.once != nil {
			values[0] = d.once
		}
		_, err := into.ExecContext(ctx, d.placeholders(insert.of(pending)), values...)
		values, pending = append(values[:0], d.prepared...), 0
		return err
	}
	err := eachRow(ctx, from, name, columns, func(row []any) error {
		if err := read.add(row); err != nil {
			return err
		}
		values, pending = append(values, row...), pending+1
		if pending < copyRows {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return read, err
}

// eachRow visits every row of a table; the values are the visitor's own.
func eachRow(ctx context.Context, tx *sql.Tx, name string, columns []string, visit func([]any) error) error {
	rows, err := tx.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+name)
	if err != nil {
		return err
	}
	defer rows.Close() // rows.Err tells
	for rows.Next() {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			return err
		}
		for i := range row {
			if b, ok := row[i].([]byte); ok && b == nil {
				row[i] = []byte{} // nil would be NULL
			}
		}
		if err := visit(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// rowSum is what rows add up to, in whatever order they come: the sum of their SHA-256.
type rowSum struct {
	rows int64
	sum  [4]uint64
}

func (s *rowSum) add(row []any) error {
	var b []byte
	for _, value := range row {
		switch v := value.(type) {
		case int64:
			b = binary.AppendVarint(append(b, 'n'), v)
		case string:
			b = appendString(append(b, 't'), v)
		case []byte:
			b = appendString(append(b, 'b'), string(v))
		default:
			return fmt.Errorf("a value of type %T was not expected", value)
		}
	}
	digest := sha256.Sum256(b)
	for i := range s.sum {
		s.sum[i] += binary.LittleEndian.Uint64(digest[8*i:])
	}
	s.rows++
	return nil
}
