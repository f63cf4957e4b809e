package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newKeysEdit(g *globals) *cobra.Command {
	var metadata map[string]string
	var dropMetadata []string
	c := &cobra.Command{
		Use:   "edit KEY_ID",
		Short: "Change a key; its text stays the same",
		Example: `  postern keys edit key_2b9xQm4TzL0a --name nightly --expires-in 90d
  postern keys edit key_2b9xQm4TzL0a --api orders --api bills --allow-ip ''`,
		Long: `Change a key; its text stays the same. What is not named stays as it is; an empty value
clears. --api, --scope, --redirect-uri and --allow-ip name the whole list that shall be.`,
		Args: exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
	}
	f := c.Flags()
	texts := map[string]*string{
		"name":             f.String("name", "", "what people call the key"),
		"description":      f.String("description", "", "what it is for"),
		"plan":             f.String("plan", "", "plan with the key's limits; empty for the default (operators)"),
		"expires_in":       f.String("expires-in", "", "how long it lives from now, such as 90d, 6mo or never, or the end, such as 2027-01-31"),
		"application_type": f.String("application-type", "", "internal or public (clients)"),
	}
	lists := map[string]*[]string{
		"apis":          f.StringSlice("api", nil, "API the key may call, with all its scopes; repeat for more"),
		"scopes":        f.StringSlice("scope", nil, "further scope; repeat for more"),
		"redirect_uris": f.StringSlice("redirect-uri", nil, "redirect URI of a public application; repeat for more"),
		"allowed_ips":   f.StringSlice("allow-ip", nil, "address or network that may use the key; repeat for more"),
	}
	f.StringToStringVar(&metadata, "metadata", nil, "name=value to set beside what is there; repeat for more")
	f.StringSliceVar(&dropMetadata, "drop-metadata", nil, "name of metadata to take away; repeat for more")
	flags := map[string]string{"apis": "api", "scopes": "scope", "redirect_uris": "redirect-uri", "allowed_ips": "allow-ip"}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		patch := map[string]any{}
		for field, value := range texts {
			if !f.Changed(strings.ReplaceAll(field, "_", "-")) {
				continue
			}
			patch[field] = *value
			if *value == "" && field != "expires_in" {
				patch[field] = nil
			}
		}
		for field, list := range lists {
			if f.Changed(flags[field]) {
				patch[field] = withoutEmpty(*list)
			}
		}
		if facts := metadataPatch(metadata, dropMetadata); len(facts) > 0 {
			patch["metadata"] = facts
		}
		if len(patch) == 0 {
			return usageError("nothing to change: name at least one field, see --help")
		}
		return showKey(cmd, g, http.MethodPatch, "/v1/keys/"+url.PathEscape(args[0]), patch)
	}
	return c
}

// withoutEmpty makes --api ” the empty list.
func withoutEmpty(list []string) []string {
	out := []string{}
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func metadataPatch(set map[string]string, drop []string) map[string]any {
	facts := map[string]any{}
	for name, value := range set {
		facts[name] = value
	}
	for _, name := range drop {
		facts[name] = nil
	}
	return facts
}
