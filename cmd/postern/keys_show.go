package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newKeysShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show KEY_ID",
		Short: "Show one key; its text cannot be shown again",
		Args:  exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showKey(cmd, g, http.MethodGet, "/v1/keys/"+url.PathEscape(args[0]), nil)
		},
	}
}

// showKey prints the key that a call answers with.
func showKey(cmd *cobra.Command, g *globals, method, path string, in any) error {
	api, err := newClient(g)
	if err != nil {
		return err
	}
	return ask(cmd, g, api, method, path, in, func(k key) error {
		return writeTable(g.out, []string{"FIELD", "VALUE"}, [][]string{
			{"id", k.ID}, {"kind", k.Kind}, {"name", k.Name}, {"status", k.Status}, {"owner", k.Owner.Name},
			{"tenant", k.Tenant}, {"plan", k.Plan}, {"apis", strings.Join(k.APIs, ", ")},
			{"effective scopes", strings.Join(k.Scopes, " ")}, {"preview", k.Preview},
			{"created", when(&k.CreatedAt, "")}, {"updated", when(&k.UpdatedAt, "")}, {"expires", when(k.ExpiresAt, "never")},
			{"managed by", k.ManagedBy},
		})
	})
}
