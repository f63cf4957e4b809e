package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"postern/config"
)

func newRun(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the gateway until it is told to stop",
		Long: `Run the gateway until it is told to stop (SIGINT or SIGTERM): it then reports not ready, serves
for drain.delay, and gives running requests drain.timeout to end. A second signal ends it at once.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := config.Load(g.config, config.LoadOptions{Env: g.env})
			for _, w := range warnings {
				fmt.Fprintln(g.err, w.String())
			}
			if err != nil {
				return err
			}
			lock, err := lockDataDir(string(cfg.DataDir))
			if err != nil {
				return err
			}
			defer lock.Close()
			p, err := build(cmd.Context(), cfg, g.session, g.err)
			if err != nil {
				return err
			}
			defer exitOnSecondSignal(cmd.Context())()
			return p.serve(cmd.Context())
		},
	}
}

// exitOnSecondSignal ends the process when a signal arrives during the drain that the first one
// began. The result takes that back.
func exitOnSecondSignal(first context.Context) func() {
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
			return
		case <-first.Done():
		}
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(again)
		select {
		case <-again:
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	return func() { close(done) }
}
