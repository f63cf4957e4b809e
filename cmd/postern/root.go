package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// globals are the flags that every command has.
type globals struct {
	session
	config   string // path of gateway.yaml
	adminURL string
	adminCA  string // path of a PEM file
	output   string // table or json
}

const defaultConfig = "gateway.yaml"

// newRoot returns the whole command tree.
func newRoot(s session) *cobra.Command {
	g := &globals{session: s}
	root := &cobra.Command{
		Use:   "postern",
		Short: "API-key gateway: who may call your API, what for, and how much",
		Long: `Postern stands in front of any HTTP API and decides who may call it, what for, and how much.

  postern demo                      try it: gateway, admin API and an upstream on this machine
  postern init --upstream URL       make a configuration, secrets and a database here
  postern run                       run the gateway`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	flags := root.PersistentFlags()
	flags.StringVar(&g.config, "config", defaultConfig, "configuration `file`")
	flags.StringVar(&g.adminURL, "admin-url", "", "admin API to talk to (default: POSTERN_ADMIN_URL, else the profile beside the configuration)")
	flags.StringVar(&g.adminCA, "admin-ca", "", "PEM `file` of the authority that signed the admin API's certificate (default: POSTERN_ADMIN_CA, else the system's)")
	flags.StringVarP(&g.output, "output", "o", "table", "output `format` of lists and records: table or json")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if g.output != "table" && g.output != "json" {
			return usageError("unknown output format %q: use table or json", g.output)
		}
		return nil
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &failure{code: exitUsage, err: err}
	})
	root.AddCommand(
		newDemo(g),
		newInit(g),
		newRun(g),
		newValidate(g),
		newReload(g),
		newExplain(g),
		newKeys(g),
		newTokens(g),
		newPlans(g),
		newUsers(g),
		newTenants(g),
		newAudit(g),
		newHealth(g),
		newBackup(g),
		newRestore(g),
		newSecrets(g),
		newBench(g),
		newStore(g),
		newVersion(g),
	)
	return root
}

// exactArgs is cobra.ExactArgs with a sentence that says what is missing, as a usage error.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return usageError("unexpected argument %q", args[len(names)])
		}
		if len(args) < len(names) {
			return usageError("missing %s", names[len(args)])
		}
		return nil
	}
}

// knownCommand is for commands that only hold others: what is not one of them is a usage error.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usageError("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = usageError("unknown command %q for %q; did you mean %s?", args[0], cmd.CommandPath(), strings.Join(near, " or "))
	}
	return err
}

// group is a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(children...)
	return c
}
