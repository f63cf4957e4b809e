package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func newTenantsSettings(g *globals) *cobra.Command {
	var set, clear []string
	c := &cobra.Command{
		Use:   "settings TENANT [--set NAME=VALUE]... [--clear NAME]...",
		Short: "Show or change an organisation's rules for keys",
		Long: `Show or change an organisation's rules for keys: keys_enabled, default_plan, max_keys_per_tenant,
max_keys_per_user, default_expiry, max_expiry, secret_visibility.api_key and .client, owner.api_key
and .client, and name. --clear goes back to what the configuration says.`,
		Example: `  postern tenants settings acme
  postern tenants settings acme --set keys_enabled=false
  postern tenants settings acme --set max_keys_per_user=2 --clear max_expiry`,
		Args: exactArgs(tenantArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := settingsInput(set, clear)
			if err != nil {
				return err
			}
			method := http.MethodGet
			var body any
			if len(in) > 0 {
				method, body = http.MethodPatch, in
			}
			api, err := newClient(g)
			if err != nil {
				return err
			}
			var out map[string]struct {
				Value     any    `json:"value"`
				Source    string `json:"source"`
				MayChange bool   `json:"may_change"`
			}
			if err := api.do(cmd.Context(), method, "/v1/tenants/"+url.PathEscape(args[0])+"/settings", nil, body, &out); err != nil {
				return err
			}
			if g.output == "json" {
				return writeJSON(g.out, out)
			}
			var rows [][]string
			for name, s := range out {
				for _, row := range settingRows(name, s.Value) {
					rows = append(rows, append(row, s.Source, strconv.FormatBool(s.MayChange)))
				}
			}
			slices.SortFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
			return writeTable(g.out, []string{"SETTING", "VALUE", "FROM", "YOU MAY CHANGE IT"}, rows)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&set, "set", nil, "new `name=value`; repeat for more")
	f.StringArrayVar(&clear, "clear", nil, "`name` of a setting to take back from the configuration; repeat for more")
	return c
}

// settingsInput makes the merge of name=value pairs. Values are numbers, true and false where they look
// so, else words.
func settingsInput(set, clear []string) (map[string]any, error) {
	in := map[string]any{}
	put := func(name string, value any) {
		outer, inner, nested := strings.Cut(name, ".")
		if !nested {
			in[name] = value
			return
		}
		m, ok := in[outer].(map[string]any)
		if !ok {
			m = map[string]any{}
			in[outer] = m
		}
		m[inner] = value
	}
	for _, pair := range set {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usageError("--set: %q is not name=value", pair)
		}
		if n, err := strconv.Atoi(text); err == nil {
			put(name, n)
		} else if text == "true" || text == "false" {
			put(name, text == "true")
		} else {
			put(name, text)
		}
	}
	for _, name := range clear {
		put(name, nil)
	}
	return in, nil
}

// settingRows is a setting as the table shows it: one that differs by kind has a row for each.
func settingRows(name string, value any) [][]string {
	byKind, ok := value.(map[string]any)
	if !ok {
		if value == nil {
			value = "none"
		}
		return [][]string{{name, fmt.Sprint(value)}}
	}
	var rows [][]string
	for kind, v := range byKind {
		rows = append(rows, []string{name + "." + kind, fmt.Sprint(v)})
	}
	return rows
}
