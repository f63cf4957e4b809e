package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"postern/internal/keys"
)

// moveSecrets brings what is stored under an old pepper or keyset key under the current one, while the
// gateway serves: what needs no text at once, a little at a time, and each secret when it is used.
func (p *program) moveSecrets(ctx context.Context, group *errgroup.Group) {
	if !p.install.vault.Superseded() {
		return
	}
	group.Go(func() error {
		began := time.Now()
		err := p.registry.Reseal(ctx, func(took time.Duration) { sleep(ctx, max(took, 20*time.Millisecond)) })
		switch {
		case ctx.Err() != nil:
		case err != nil:
			p.log.Error("what is stored under old secrets could not all be resealed; the next start goes on with it", "error", err)
		default:
			p.log.Info("nothing is sealed with old secrets any more", "took_ms", time.Since(began).Milliseconds())
		}
		return nil
	})
	moves := &moveFollower{program: p, last: make(chan struct{}), done: make(chan struct{})}
	p.moves.Store(moves)
	group.Go(func() error {
		moves.run(ctx)
		return nil
	})
}

// mostMovesAtOnce bounds the secrets of one transaction.
const mostMovesAtOnce = 200

// moveFollower writes the secrets that were used under an old pepper. What cannot be written comes
// again with the secret's next use.
type moveFollower struct {
	program *program
	last    chan struct{} // closed when no more are used
	done    chan struct{}
	failing bool
}

// run writes until ctx ends, or finish is called and nothing waits any more.
func (f *moveFollower) run(ctx context.Context) {
	defer close(f.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.last:
			for f.write(ctx, nil) {
			}
			return
		case m := <-f.program.directory.Moves():
			select { // more may come, and one write is cheaper than many
			case <-f.last:
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			f.write(ctx, []keys.Move{m})
		}
	}
}

// write writes these and what waits beside them, as many as one transaction takes, and tells whether it
// wrote any.
func (f *moveFollower) write(ctx context.Context, moves []keys.Move) bool {
more:
	for len(moves) < mostMovesAtOnce {
		select {
		case m := <-f.program.directory.Moves():
			moves = append(moves, m)
		default:
			break more
		}
	}
	if len(moves) == 0 {
		return false
	}
	err := f.program.registry.MoveSecrets(ctx, moves)
	if err != nil && !f.failing && ctx.Err() == nil {
		f.program.log.Error("secrets could not be moved to the current pepper; they move when they are next used", "error", err)
	}
	f.failing = err != nil
	return err == nil
}

// finish writes what waits, when nothing is admitted any more and the change feed still runs: a secret
// that was used just now must not look unused to whoever finishes the rotation. A nil follower has
// nothing.
func (f *moveFollower) finish() {
	if f == nil {
		return
	}
	const patience = 5 * time.Second
	close(f.last)
	select {
	case <-f.done:
	case <-time.After(patience):
		f.program.log.Warn("secrets used in the last moments were not moved to the current pepper; they move when they are next used")
	}
}

// sleep returns after d, or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
