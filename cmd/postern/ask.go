package main

import (
	"encoding/json"

	"github.com/spf13/cobra"
)

// ask calls the API and prints what it answers: all of it as JSON, or by print, which gets the part of
// it that people read.
func ask[T any](cmd *cobra.Command, g *globals, api *client, method, path string, in any, print func(T) error) error {
	if g.output == "json" {
		var all json.RawMessage
		if err := api.do(cmd.Context(), method, path, nil, in, &all); err != nil {
			return err
		}
		return writeJSON(g.out, all)
	}
	var answer T
	if err := api.do(cmd.Context(), method, path, nil, in, &answer); err != nil {
		return err
	}
	return print(answer)
}
