package main

import (
	"github.com/spf13/cobra"
)

func newKeysList(g *globals) *cobra.Command {
	var sort string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List keys, newest first",
		Args:  exactArgs(),
	}
	f := c.Flags()
	filter := newKeyFilter(c)
	f.StringVar(&sort, "sort", "-created_at", "created_at, name, expires_at or updated_at; with - before it downwards")
	f.IntVar(&limit, "limit", 0, "at most so many; 0 for all")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		query := filter.query()
		query.Set("sort", sort) // people look for what is new; the API's own default is the oldest first
		client, err := newClient(g)
		if err != nil {
			return err
		}
		return listAll(cmd, g, client, "/v1/keys", query, limit,
			[]string{"ID", "NAME", "OWNER", "PLAN", "STATUS", "CREATED", "EXPIRES"},
			func(k key) []string {
				return []string{k.ID, k.Name, k.Owner.Name, k.Plan, k.Status, when(&k.CreatedAt, ""), when(k.ExpiresAt, "never")}
			})
	}
	return c
}
