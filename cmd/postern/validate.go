package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"postern/config"
)

func newValidate(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a configuration and print all its problems at once",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := g.config
			if len(args) == 1 {
				path = args[0]
			}
			cfg, warnings, err := config.Load(path, config.LoadOptions{Env: g.env})
			for _, w := range warnings {
				fmt.Fprintln(g.err, w.String())
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(g.out, "%s is valid: %d routes, %d APIs, %d plans, %d declared keys.\n",
				path, len(cfg.Routes), len(cfg.APIs), len(cfg.Plans), len(cfg.Access.Keys))
			return err
		},
	}
}
