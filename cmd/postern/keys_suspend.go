package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newKeysSuspend(g *globals) *cobra.Command {
	c := newKeysTurn(g, "suspend", "Take a key out of use until it is resumed")
	wait, turn := newFleetWait(c), c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		query, err := wait.query(cmd)
		switch {
		case err != nil:
			return err
		case query == nil:
			return turn(cmd, args)
		}
		reason := cmd.Flag("reason").Value.String()
		return denyKey(cmd, g, "/v1/keys/"+url.PathEscape(args[0])+"/suspend", because(reason), query)
	}
	return c
}

func newKeysResume(g *globals) *cobra.Command {
	return newKeysTurn(g, "resume", "Put a suspended key back into use")
}

// newKeysTurn is a command that turns a key's state for a reason.
func newKeysTurn(g *globals, verb, short string) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   verb + " KEY_ID",
		Short: short,
		Args:  exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showKey(cmd, g, http.MethodPost, "/v1/keys/"+url.PathEscape(args[0])+"/"+verb, because(reason))
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return c
}

// because is the body of a call that may have a reason.
func because(reason string) map[string]string {
	in := map[string]string{}
	if reason != "" {
		in["reason"] = reason
	}
	return in
}
