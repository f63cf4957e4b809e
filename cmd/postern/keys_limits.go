package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func newKeysLimits(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "limits KEY_ID",
		Short: "Show where each limit of a key stands now",
		Args:  exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := newClient(g)
			if err != nil {
				return err
			}
			path := "/v1/keys/" + url.PathEscape(args[0]) + "/limits"
			type limits struct {
				Limits []keyLimit `json:"limits"`
			}
			return ask(cmd, g, api, http.MethodGet, path, nil, func(of limits) error { return writeLimits(g.out, of.Limits) })
		},
	}
}
