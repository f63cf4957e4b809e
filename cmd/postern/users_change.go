package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newUsersRoles(g *globals) *cobra.Command {
	var add, remove, set []string
	c := &cobra.Command{
		Use:   "roles USER [--add ROLE]... [--remove ROLE]... | [--set ROLE]...",
		Short: "Show or assign a person's roles",
		Example: `  postern users roles ada@example.com
  postern users roles ada@example.com --add developer`,
		Args: exactArgs(userArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(set) > 0 && len(add)+len(remove) > 0 {
				return usageError("--set stands beside --add or --remove: it names all the roles already")
			}
			api, path, err := findUser(cmd, g, args[0])
			if err != nil {
				return err
			}
			var has struct {
				Roles       []string `json:"roles"`
				Permissions []string `json:"permissions"`
			}
			if err := api.do(cmd.Context(), http.MethodGet, path+"/roles", nil, nil, &has); err != nil {
				return err
			}
			if len(set)+len(add)+len(remove) > 0 {
				wanted := set
				if len(set) == 0 {
					wanted = append(slices.DeleteFunc(has.Roles, func(r string) bool { return slices.Contains(remove, r) }), add...)
				}
				in := map[string][]string{"roles": append([]string{}, wanted...)}
				if err := api.do(cmd.Context(), http.MethodPut, path+"/roles", nil, in, &has); err != nil {
					return err
				}
			}
			if g.output == "json" {
				return writeJSON(g.out, has)
			}
			return writeTable(g.out, []string{"FIELD", "VALUE"}, [][]string{
				{"roles", strings.Join(has.Roles, ", ")}, {"permissions", strings.Join(has.Permissions, " ")},
			})
		},
	}
	f := c.Flags()
	f.StringSliceVar(&add, "add", nil, "role to give; repeat for more")
	f.StringSliceVar(&remove, "remove", nil, "role to take; repeat for more")
	f.StringSliceVar(&set, "set", nil, "all the roles there shall be; repeat for more")
	return c
}

func newUsersKeyAccess(g *globals) *cobra.Command {
	var grant, remove bool
	c := &cobra.Command{
		Use:   "key-access USER [--grant | --remove]",
		Short: "Show, grant or remove a person's access to keys; removing suspends his keys at once",
		Example: `  postern users key-access ada@example.com
  postern users key-access ada@example.com --remove`,
		Args: exactArgs(userArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			if grant && remove {
				return usageError("--grant and --remove exclude each other")
			}
			method, done := http.MethodGet, ""
			switch {
			case grant:
				method, done = http.MethodPut, "granted; keys that work again: %d"
			case remove:
				method, done = http.MethodDelete, "removed; keys suspended: %d"
			}
			var out struct {
				Allowed bool `json:"allowed"`
				Keys    int  `json:"keys"`
			}
			if err := changeUser(cmd, g, args[0], method, "/key-access", nil, &out); err != nil {
				return err
			}
			if g.output == "json" {
				return writeJSON(g.out, out)
			}
			if done == "" {
				return writeTable(g.out, []string{"FIELD", "VALUE"}, [][]string{{"key access", accessWord(out.Allowed)}})
			}
			_, err := fmt.Fprintf(g.err, "Access to keys "+done+".\n", out.Keys)
			return err
		},
	}
	c.Flags().BoolVar(&grant, "grant", false, "grant it; keys that removing it suspended work again")
	c.Flags().BoolVar(&remove, "remove", false, "remove it, and suspend the person's keys")
	return c
}

func newUsersDisable(g *globals) *cobra.Command {
	return setDisabled(g, "disable USER", "Keep a person from signing in, and end his sessions", true)
}

func newUsersEnable(g *globals) *cobra.Command {
	return setDisabled(g, "enable USER", "Let a disabled person sign in again", false)
}

func setDisabled(g *globals, use, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactArgs(userArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, path, err := findUser(cmd, g, args[0])
			if err != nil {
				return err
			}
			return showUser(cmd, g, api, http.MethodPatch, path, map[string]bool{"disabled": disabled})
		},
	}
}

func newUsersDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "delete USER",
		Short: "Remove a person for good and revoke the keys he owns",
		Args:  exactArgs(userArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := changeUser(cmd, g, args[0], http.MethodDelete, "", nil, nil); err != nil {
				return err
			}
			_, err := fmt.Fprintf(g.err, "%s is deleted; the keys that the person owned are revoked.\n", printable(args[0]))
			return err
		},
	}
}

// changeUser calls the API about the person that an argument names.
func changeUser(cmd *cobra.Command, g *globals, who, method, below string, in, out any) error {
	api, path, err := findUser(cmd, g, who)
	if err != nil {
		return err
	}
	return api.do(cmd.Context(), method, path+below, nil, in, out)
}
