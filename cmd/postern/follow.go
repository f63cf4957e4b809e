package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"postern/config"
	"postern/internal/keys"
)

// hangups returns the SIGHUPs of the process from now on; until it is called, one ends the process.
// The second result gives them back.
func hangups() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	return signals, func() { signal.Stop(signals) }
}

// follow has the configuration read again at each SIGHUP and whenever its file changes, until ctx
// ends. What comes while a reload runs makes one more.
func (r *reloader) follow(ctx context.Context, signals <-chan os.Signal) {
	var group errgroup.Group
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-signals:
				_, _ = r.Reload(ctx, keys.LocalActor("SIGHUP")) // it is in the log
			}
		}
	})
	group.Go(func() error {
		config.Watch(ctx, r.program.cfg.File, r.program.cfg.Digest, func() {
			_, _ = r.Reload(ctx, keys.ConfigurationActor()) // it is in the log
		})
		return nil
	})
	_ = group.Wait() // neither fails
}
