package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newKeysReveal(g *globals) *cobra.Command {
	var secretID string
	c := &cobra.Command{
		Use:   "reveal KEY_ID",
		Short: "Show a secret that is kept, alone on standard output; needs a person's session, no token ever may",
		Long: `Show a secret that is kept (policy.secret_visibility: revealable) again. The server writes each
time to the audit log. Only people see secrets, their own or their organisation's, after confirming
who they are; an admin token is refused.`,
		Args: exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := newClient(g)
			if err != nil {
				return err
			}
			in := map[string]string{}
			if secretID != "" {
				in["secret_id"] = secretID
			}
			type revealed struct {
				Secret string `json:"secret"`
			}
			return ask(cmd, g, api, http.MethodPost, "/v1/keys/"+url.PathEscape(args[0])+"/reveal", in, func(shown revealed) error {
				_, err := fmt.Fprintln(g.out, shown.Secret)
				return err
			})
		},
	}
	c.Flags().StringVar(&secretID, "secret-id", "", "one of the key's secrets (default: the newest)")
	return c
}
