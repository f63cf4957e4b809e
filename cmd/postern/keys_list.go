package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

func newKeysList(g *globals) *cobra.Command {
	var search, status, owner, kind, api, tenant, sort, expiresBefore string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List keys, newest first",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{
				"search": search, "status": status, "owner": owner, "kind": kind, "api": api, "tenant": tenant,
				"sort": sort, "expires_before": expiresBefore,
			} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if sort == "" {
				query.Set("sort", "-created_at") // people look for what is new; the API's own default is the oldest first
			}
			client, err := newClient(g)
			if err != nil {
				return err
			}
			return listAll(cmd, g, client, "/v1/keys", query, limit,
				[]string{"ID", "NAME", "OWNER", "PLAN", "STATUS", "CREATED", "EXPIRES"},
				func(k key) []string {
					return []string{k.ID, k.Name, k.Owner.Name, k.Plan, k.Status, when(&k.CreatedAt, ""), when(k.ExpiresAt, "never")}
				})
		},
	}
	f := c.Flags()
	f.StringVar(&search, "search", "", "part of a name, id or owner, in any case")
	f.StringVar(&status, "status", "", "pending, active, suspended, expired, revoked or denied")
	f.StringVar(&owner, "owner", "", "owner's id")
	f.StringVar(&kind, "kind", "", "api_key or client")
	f.StringVar(&api, "api", "", "API granted to the key")
	f.StringVar(&tenant, "tenant", "", "organisation")
	f.StringVar(&sort, "sort", "", "created_at, name, expires_at or updated_at; with - before it downwards (default: -created_at)")
	f.StringVar(&expiresBefore, "expires-before", "", "RFC 3339 time")
	f.IntVar(&limit, "limit", 0, "at most so many (default: all)")
	return c
}
