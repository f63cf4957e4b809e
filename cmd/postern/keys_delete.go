package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newKeysDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "delete KEY_ID",
		Short: "Take a key away; only the audit log still tells of it",
		Args:  exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(g)
			if err != nil {
				return err
			}
			if err := client.do(cmd.Context(), http.MethodDelete, "/v1/keys/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(g.err, "Key %s is deleted.\n", args[0])
			return nil
		},
	}
}
