package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newKeysRotate(g *globals) *cobra.Command {
	var in struct {
		Overlap string `json:"overlap,omitempty"`
		Drop    bool   `json:"drop,omitempty"`
	}
	c := &cobra.Command{
		Use:   "rotate KEY_ID",
		Short: "Give a key a new text; that text, shown this once, is all that goes to standard output",
		Long: `Give a key a new text, beside which the old one works for the overlap. Id, scopes, limits
and usage stay. A key has at most two texts that work.`,
		Example: `  KEY=$(postern keys rotate key_2b9xQm4TzL0a --overlap 7d)
  KEY=$(postern keys rotate key_2b9xQm4TzL0a --overlap 0s)   # the old one leaked`,
		Args: exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := newClient(g)
			if err != nil {
				return err
			}
			path := "/v1/keys/" + url.PathEscape(args[0]) + "/rotate"
			return ask(cmd, g, api, http.MethodPost, path, in, func(made createdKey) error {
				fmt.Fprintf(g.err, "Key %s has a new text. ", made.ID)
				if old := made.oldSecret(); old != nil {
					fmt.Fprintf(g.err, "The old one, %s…, works until %s.\n", printable(old.Preview), when(old.ExpiresAt, "the key ends"))
				} else {
					fmt.Fprintln(g.err, "The old one does not work any more.")
				}
				_, err := fmt.Fprintln(g.out, made.Secret)
				return err
			})
		},
	}
	f := c.Flags()
	f.StringVar(&in.Overlap, "overlap", "", "how long the old text works beside the new one: 0s, 90m, 7d, or until when (default: 24h)")
	f.BoolVar(&in.Drop, "drop", false, "end the older of two texts that work, at once, to make room")
	return c
}
