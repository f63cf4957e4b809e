package main

import (
	"context"
	"errors"
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
for drain.delay, and gives running requests drain.timeout to end. A second signal cuts that short.
The configuration is read again when its file changes, on SIGHUP, and by postern reload.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := config.Load(g.config, config.LoadOptions{Env: g.env})
			for _, w := range warnings {
				fmt.Fprintln(g.err, w.String())
			}
			if err != nil {
				return err
			}
			signals, giveBack := hangups()
			defer giveBack()
			lock, err := lockForGateway(string(cfg.DataDir))
			if err != nil {
				return err
			}
			defer lock.Close()
			p, err := build(cmd.Context(), cfg, g.session, g.err)
			if err != nil {
				return err
			}
			if err := tellFirstSignIn(cmd.Context(), g, p); err != nil {
				return errors.Join(err, p.close())
			}
			cut, forget := cutOnSecondSignal()
			defer forget()
			following, stop := context.WithCancel(cmd.Context())
			defer stop()
			go p.reloader.follow(following, signals)
			return p.serve(cmd.Context(), cut)
		},
	}
}

// cutOnSecondSignal returns a context that ends when a second signal arrives: the first has ended
// the command's own context and begun the drain. The process is never ended here, so that whatever
// the command has to clean up is cleaned up. The second result takes the watch back.
func cutOnSecondSignal() (context.Context, func()) {
	cut, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range 2 {
			select {
			case <-signals:
			case <-cut.Done():
				return
			}
		}
		cancel()
	}()
	return cut, func() {
		signal.Stop(signals)
		cancel()
	}
}

// tellFirstSignIn says which command lets somebody sign in, while nobody can. It never prints a code:
// what this command prints is kept as a log, and so is a record where that is JSON.
func tellFirstSignIn(ctx context.Context, g *globals, p *program) error {
	if p.registry == nil {
		return nil
	}
	there, err := p.registry.HasAdministrator(ctx)
	if err != nil || there {
		return err
	}
	command := "postern users invite --first" + configFlag(g)
	if !asText(p.cfg.Log.Format, g.terminal) {
		p.log.Info("nobody can sign in yet", "to_be_the_first", command)
		return nil
	}
	_, err = fmt.Fprintf(g.err, "Nobody can sign in yet. To be the first, type: %s\n", command)
	return err
}

// configFlag is the flag that names the configuration, where it is not the usual one.
func configFlag(g *globals) string {
	if g.config == defaultConfig {
		return ""
	}
	return " --config " + shellQuote(g.config)
}
