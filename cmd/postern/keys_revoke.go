package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newKeysRevoke(g *globals) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "revoke KEY_ID",
		Short: "End a key for good: requests with it fail within a second",
		Args:  exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]string{}
			if reason != "" {
				in["reason"] = reason
			}
			return showKey(cmd, g, http.MethodPost, "/v1/keys/"+url.PathEscape(args[0])+"/revoke", in)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return c
}
