package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newKeysShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show KEY_ID",
		Short: "Show one key; its text cannot be shown again",
		Args:  exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showKey(cmd, g, http.MethodGet, "/v1/keys/"+url.PathEscape(args[0]), nil)
		},
	}
}

// showKey prints the key that a call answers with.
func showKey(cmd *cobra.Command, g *globals, method, path string, in any) error {
	api, err := newClient(g)
	if err != nil {
		return err
	}
	return ask(cmd, g, api, method, path, in, func(k key) error {
		return writeTable(g.out, []string{"FIELD", "VALUE"}, k.fields())
	})
}

// fields are the rows of a key's table. What few keys have is there only where it says something, and
// the secrets only during a rollover.
func (k key) fields() [][]string {
	rows := [][]string{
		{"id", k.ID}, {"kind", k.Kind}, {"name", k.Name}, {"status", k.Status}, {"owner", k.Owner.Name},
		{"tenant", k.Tenant}, {"plan", k.Plan}, {"apis", strings.Join(k.APIs, ", ")},
		{"effective scopes", strings.Join(k.Scopes, " ")}, {"preview", k.Preview},
		{"created", when(&k.CreatedAt, "")}, {"updated", when(&k.UpdatedAt, "")}, {"expires", when(k.ExpiresAt, "never")},
		{"last used", when(k.LastUsedAt, "never")}, {"managed by", k.ManagedBy},
	}
	var metadata []string
	for name, value := range k.Metadata {
		metadata = append(metadata, name+"="+value)
	}
	slices.Sort(metadata)
	for _, row := range [][]string{
		{"description", k.Description}, {"application type", k.ApplicationType}, {"redirect URIs", strings.Join(k.RedirectURIs, " ")},
		{"allowed IPs", strings.Join(k.AllowedIPs, " ")}, {"metadata", strings.Join(metadata, " ")}, {"external id", k.ExternalID},
	} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	if len(k.Secrets) > 1 {
		for _, s := range k.Secrets {
			rows = append(rows, []string{"secret " + s.ID, s.Preview + ", last used " + when(s.LastUsedAt, "never") + ", ends " + when(s.ExpiresAt, "with the key")})
		}
	}
	return rows
}
