package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// transaction is keys.Tx. A refused Put leaves nothing behind, and the transaction can go on: rows
// that would collide are found by ON CONFLICT and counted, because an error of the database would
// end a PostgreSQL transaction.
type transaction struct {
	reader
	tx    bun.Tx
	head  keys.Seq // when it began
	next  keys.Seq // the number of the last change so far
	name  string   // the database's for this transaction; "" where it has none
	mark  []byte   // what it leaves to be found by; nil where it has none
	stmts map[string]*sql.Stmt
}

// begin takes the lock that excludes every other writer and reads the newest change number.
func (s *Store) begin(ctx context.Context, btx bun.Tx) (*transaction, error) {
	t := &transaction{tx: btx, stmts: make(map[string]*sql.Stmt)}
	t.reader = s.reader
	t.reader.db, t.reader.pool, t.reader.index = btx, nil, nil
	if err := btx.Tx.QueryRowContext(ctx, s.dialect.lockHead).Scan(&t.head, &t.name); err != nil {
		return nil, fmt.Errorf("lock the head: %w", err)
	}
	t.next = t.head
	t.mark = s.newMark()
	return t, nil
}

// newMark makes what a transaction leaves to be found by; nil where none is needed.
func (s *Store) newMark() []byte {
	if s.dialect.marked == "" {
		return nil
	}
	mark := make([]byte, 16)
	_, _ = rand.Read(mark) // never fails
	return mark
}

// number hands out the next change number. Every changed record has one of its own, so that the
// feed can be cut after any of them.
func (t *transaction) number() keys.Seq {
	t.next++
	return t.next
}

// finish writes the newest change number, and the mark.
func (t *transaction) finish(ctx context.Context) error {
	args := []any{int64(t.next), int64(t.head)}
	if t.mark != nil {
		args = append(args, t.mark)
	} else if t.next == t.head {
		return nil
	}
	n, err := t.exec(ctx, t.dialect.moveHead, args...)
	if err == nil && n != 1 {
		err = fmt.Errorf("the head moved from %d under the lock", t.head)
	}
	return err
}

// stmt prepares a statement once per transaction. The hot writes go around the query builder,
// which writes values into the text and so has the database parse each anew: with prepared
// statements an import of thousands is three times as fast.
func (t *transaction) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := t.stmts[query]; ok {
		return s, nil
	}
	s, err := t.tx.Tx.PrepareContext(ctx, t.dialect.placeholders(query))
	if err != nil {
		return nil, err
	}
	t.stmts[query] = s
	return s, nil
}

// exec runs a prepared statement and returns how many rows it changed.
func (t *transaction) exec(ctx context.Context, query string, args ...any) (int64, error) {
	// No statement of ours waits or runs long under the lock, so the context is looked at between
	// them: to watch it during each, the driver starts a goroutine.
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	quiet := context.WithoutCancel(ctx)
	var res sql.Result
	if kept := t.dialect.prepared; kept != nil {
		var err error
		if res, err = t.tx.Tx.ExecContext(quiet, t.dialect.placeholders(query), append(kept[:len(kept):len(kept)], args...)...); err != nil {
			return 0, err
		}
		return res.RowsAffected()
	}
	s, err := t.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	if res, err = s.ExecContext(quiet, args...); err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one reads a row by a prepared statement.
func (t *transaction) one(ctx context.Context, query string, args []any, to ...any) error {
	if kept := t.dialect.prepared; kept != nil {
		return t.tx.Tx.QueryRowContext(ctx, t.dialect.placeholders(query), append(kept[:len(kept):len(kept)], args...)...).Scan(to...)
	}
	s, err := t.stmt(ctx, query)
	if err != nil {
		return err
	}
	return s.QueryRowContext(ctx, args...).Scan(to...)
}

// close gives the prepared statements back; database/sql also does when the transaction ends.
func (t *transaction) close() {
	for _, s := range t.stmts {
		_ = s.Close() // nothing was left to write
	}
}

// affected turns a statement's outcome into the answer of a Put: an insertion or replacement that
// touched no row met one that was there, or another version.
func (t *transaction) affected(ctx context.Context, doing string, res sql.Result, err, none error) error {
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w", doing, none)
	}
	return nil
}
