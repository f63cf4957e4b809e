package main

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newUsersList(g *globals) *cobra.Command {
	var search, tenant, role string
	c := &cobra.Command{
		Use:   "list",
		Short: "List people, oldest first",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"search": search, "tenant": tenant, "role": role} {
				if value != "" {
					query.Set(name, value)
				}
			}
			client, err := newClient(g)
			if err != nil {
				return err
			}
			return listAll(cmd, g, client, "/v1/users", query, 0, []string{"ID", "EMAIL", "NAME", "TENANT", "ROLES", "STATUS", "CREATED"},
				func(u user) []string {
					return []string{u.ID, u.Email, u.Name, u.place(), strings.Join(u.Roles, ", "), u.status(), when(&u.CreatedAt, "")}
				})
		},
	}
	f := c.Flags()
	f.StringVar(&search, "search", "", "part of a name, e-mail or id, in any case")
	f.StringVar(&tenant, "tenant", "", "organisation, or provider for the provider's people (default: all)")
	f.StringVar(&role, "role", "", "only people with this role")
	return c
}

func newUsersShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show USER",
		Short: "Show one person",
		Args:  exactArgs(userArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, path, err := findUser(cmd, g, args[0])
			if err != nil {
				return err
			}
			return showUser(cmd, g, api, "GET", path, nil)
		},
	}
}
