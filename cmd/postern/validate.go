package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/keys"
)

// declaredKey is one of access.keys, with the id that the file does not show.
type declaredKey struct {
	Name  string `json:"name"`
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Where string `json:"where"`
}

func newValidate(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a configuration and print all its problems at once",
		Long: `Check a configuration and print all its problems at once, with line and column; the exit code is
then 3. A valid one is summed up, with the id of each declared key: clients sign in with theirs.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError("unexpected argument %q", args[1])
			}
			return nil
		},
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
			// What the data path refuses is a problem of the configuration too.
			if _, err := gatewayPolicy(cfg); err != nil {
				return &failure{code: exitConfig, err: err}
			}
			return printValid(g, path, cfg)
		},
	}
}

func printValid(g *globals, path string, cfg *config.Config) error {
	declared := []declaredKey{}
	for _, d := range cfg.Declared() {
		id := keys.DeclaredID(d.Kind, d.Tenant, d.Name)
		declared = append(declared, declaredKey{d.Name, string(id), string(d.Kind), d.Where})
	}
	if g.output == "json" {
		return writeJSON(g.out, map[string]any{
			"file": path, "routes": len(cfg.Routes), "apis": len(cfg.APIs), "plans": len(cfg.Plans), "declared_keys": declared,
		})
	}
	fmt.Fprintf(g.out, "%s is valid: %s, %s, %s, %s.\n", path, counted(len(cfg.Routes), "route"),
		counted(len(cfg.APIs), "API"), counted(len(cfg.Plans), "plan"), counted(len(declared), "declared key"))
	if len(declared) == 0 {
		return nil
	}
	rows := make([][]string, len(declared))
	for i, d := range declared {
		rows[i] = []string{d.Name, d.ID, d.Kind, d.Where}
	}
	return writeTable(g.out, []string{"DECLARED", "ID", "KIND", "WHERE"}, rows)
}
