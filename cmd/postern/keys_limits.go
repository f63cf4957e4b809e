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
			if g.output == "json" {
				var all map[string]any
				if err := api.do(cmd.Context(), http.MethodGet, path, nil, nil, &all); err != nil {
					return err
				}
				return writeJSON(g.out, all)
			}
			var of struct {
				Limits []keyLimit `json:"limits"`
			}
			if err := api.do(cmd.Context(), http.MethodGet, path, nil, nil, &of); err != nil {
				return err
			}
			return writeLimits(g.out, of.Limits)
		},
	}
}
