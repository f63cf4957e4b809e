package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/keys"
)

// mostTries is how often an update is tried that loses against others or its connection.
const mostTries = 3

// Update implements keys.Store. fn must not call Update: it would wait for itself until ctx ends.
//
// Where a database is reached over a network, the answer to a commit may be lost, and then the store asks
// what became of it. If it cannot find out, the error is keys.ErrOutcomeUnknown.
func (s *Store) Update(ctx context.Context, fn func(ctx context.Context, tx keys.Tx) error) (keys.Seq, error) {
	for try := 1; ; try++ {
		seq, again, err := s.updateOnce(ctx, fn)
		if !again || try == mostTries || ctx.Err() != nil || s.closed.Load() {
			return seq, err
		}
	}
}

// updateOnce is one try. again tells that it certainly wrote nothing and may go well the next time.
func (s *Store) updateOnce(ctx context.Context, fn func(ctx context.Context, tx keys.Tx) error) (_ keys.Seq, again bool, err error) {
	btx, end, err := s.dialect.begin(ctx, s.write)
	if err != nil {
		return 0, s.dialect.transient(err), s.fail(ctx, "begin update", err)
	}
	defer end()
	// Covers every way out: an error, a panic in fn, and a goroutine that ends in fn. After the
	// commit it does nothing.
	defer btx.Rollback() // the outcome is already decided

	tx, err := s.begin(ctx, btx)
	if err != nil {
		return 0, s.dialect.transient(err), s.fail(ctx, "begin update", err)
	}
	defer tx.close()
	if err := fn(ctx, tx); err != nil {
		return 0, s.dialect.transient(err), err
	}
	if err := tx.finish(ctx); err != nil {
		return 0, s.dialect.transient(err), s.fail(ctx, "update", err)
	}
	if err := ctx.Err(); err != nil {
		return 0, false, s.fail(ctx, "update", err)
	}
	if err := btx.Commit(); err != nil {
		if s.dialect.definite(err) {
			return 0, s.dialect.transient(err), s.fail(ctx, "commit update", err)
		}
		if err := s.settle(ctx, tx, err); err != nil {
			return 0, false, fmt.Errorf("commit update: %w", err)
		}
	}
	s.bell.ring(tx.next)
	return tx.next, false, nil
}

// How long the store asks what became of a commit, and how often.
const (
	settleLimit = 3 * time.Second
	settlePause = 50 * time.Millisecond
)

// settle finds out what became of a commit whose answer was lost: nil when it happened. It does not end
// with ctx: who hung up may ask again, and must not be told the wrong thing then.
func (s *Store) settle(ctx context.Context, tx *transaction, lost error) error {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	for asking.Err() == nil {
		happened, over, err := s.outcome(asking, tx)
		switch {
		case err == nil && happened:
			return nil
		case err == nil && over:
			return fmt.Errorf("%w: the connection was lost, and nothing was written: %w", keys.ErrStoreUnavailable, lost)
		}
		select { // still going on, or not reached
		case <-asking.Done():
		case <-time.After(settlePause):
		}
	}
	return errors.Join(fmt.Errorf("%w: %w", keys.ErrStoreUnavailable, keys.ErrOutcomeUnknown), lost)
}

// outcome looks at a transaction that another connection began. In this order: once it is over, in whatever
// way, its mark is there or never will be.
func (s *Store) outcome(ctx context.Context, tx *transaction) (happened, over bool, err error) {
	var state string
	err = s.pool.QueryRowContext(ctx, s.dialect.placeholders(s.dialect.outcome), tx.name).Scan(&state)
	if err != nil && s.dialect.classify(err) != nil {
		return false, false, err
	}
	// An error of another kind: a server that was restored, or took over, knows of no such transaction.
	if err == nil && state == "in progress" {
		return false, false, nil
	}
	err = s.pool.QueryRowContext(ctx, s.dialect.placeholders(s.dialect.marked), tx.mark).Scan(&happened)
	return happened, true, err
}
