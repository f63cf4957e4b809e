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
	group.Go(func() error {
		p.followMoves(ctx)
		return nil
	})
}

// mostMovesAtOnce bounds the secrets of one transaction.
const mostMovesAtOnce = 200

// followMoves writes the secrets that were used under an old pepper, until ctx ends. What cannot be
// written comes again with the secret's next use.
func (p *program) followMoves(ctx context.Context) {
	failing := false
	for {
		var moves []keys.Move
		select {
		case <-ctx.Done():
			return
		case m := <-p.directory.Moves():
			moves = append(moves, m)
		}
		sleep(ctx, 50*time.Millisecond) // more may come, and one write is cheaper than many
	more:
		for len(moves) < mostMovesAtOnce {
			select {
			case m := <-p.directory.Moves():
				moves = append(moves, m)
			default:
				break more
			}
		}
		err := p.registry.MoveSecrets(ctx, moves)
		if err != nil && !failing && ctx.Err() == nil {
			p.log.Error("secrets could not be moved to the current pepper; they move when they are next used", "error", err)
		}
		failing = err != nil
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
