package main

import (
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// tenant is what the admin API says of an organisation.
type tenant struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Plan      *string   `json:"plan"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func (t tenant) plan() string {
	if t.Plan == nil {
		return "none"
	}
	return *t.Plan
}

const tenantArgument = "the organisation's id, such as acme"

func newTenants(g *globals) *cobra.Command {
	return group("tenants", "Create, list and change organisations and their rules for keys",
		newTenantsList(g), newTenantsCreate(g), newTenantsShow(g), newTenantsEdit(g), newTenantsSettings(g))
}

func newTenantsList(g *globals) *cobra.Command {
	var search string
	c := &cobra.Command{
		Use:   "list",
		Short: "List organisations, oldest first",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if search != "" {
				query.Set("search", search)
			}
			client, err := newClient(g)
			if err != nil {
				return err
			}
			return listAll(cmd, g, client, "/v1/tenants", query, 0, []string{"ID", "NAME", "PLAN", "CREATED"},
				func(t tenant) []string { return []string{t.ID, t.Name, t.plan(), when(&t.CreatedAt, "")} })
		},
	}
	c.Flags().StringVar(&search, "search", "", "part of a name or id, in any case")
	return c
}

func newTenantsCreate(g *globals) *cobra.Command {
	in := map[string]string{}
	var id, name, plan string
	c := &cobra.Command{
		Use:     "create --name NAME [--id ID] [--plan PLAN]",
		Short:   "Create an organisation",
		Example: `  postern tenants create --name 'Acme Ltd' --id acme --plan business`,
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for field, value := range map[string]string{"id": id, "name": name, "plan": plan} {
				if value != "" {
					in[field] = value
				}
			}
			return showTenant(cmd, g, http.MethodPost, "/v1/tenants", in)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "what people call it")
	f.StringVar(&id, "id", "", "how it is named everywhere else (default: made of the name)")
	f.StringVar(&plan, "plan", "", "tenant plan, what it has bought (default: none)")
	return c
}

func newTenantsShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show TENANT",
		Short: "Show one organisation",
		Args:  exactArgs(tenantArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showTenant(cmd, g, http.MethodGet, "/v1/tenants/"+url.PathEscape(args[0]), nil)
		},
	}
}

func newTenantsEdit(g *globals) *cobra.Command {
	var name, plan string
	var noPlan bool
	c := &cobra.Command{
		Use:   "edit TENANT [--name NAME] [--plan PLAN | --no-plan]",
		Short: "Change an organisation's name, or what it has bought",
		Args:  exactArgs(tenantArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{}
			if cmd.Flags().Changed("name") {
				in["name"] = name
			}
			if cmd.Flags().Changed("plan") {
				in["plan"] = plan
			}
			if noPlan {
				if plan != "" {
					return usageError("--no-plan stands beside --plan: give one of them")
				}
				in["plan"] = nil
			}
			if len(in) == 0 {
				return usageError("nothing to change: give --name, --plan or --no-plan")
			}
			return showTenant(cmd, g, http.MethodPatch, "/v1/tenants/"+url.PathEscape(args[0]), in)
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "", "what people call it")
	f.StringVar(&plan, "plan", "", "tenant plan, what it has bought")
	f.BoolVar(&noPlan, "no-plan", false, "it has bought nothing in particular")
	return c
}

// showTenant prints the organisation that a call answers with.
func showTenant(cmd *cobra.Command, g *globals, method, path string, in any) error {
	api, err := newClient(g)
	if err != nil {
		return err
	}
	return ask(cmd, g, api, method, path, in, func(t tenant) error {
		return writeTable(g.out, []string{"FIELD", "VALUE"}, [][]string{
			{"id", t.ID}, {"name", t.Name}, {"plan", t.plan()}, {"created", when(&t.CreatedAt, "")}, {"updated", when(&t.UpdatedAt, "")},
		})
	})
}
