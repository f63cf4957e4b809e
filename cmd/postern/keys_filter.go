package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

// keyFilter are the flags that select keys, by the names that the admin API has for them.
type keyFilter map[string]*string

func newKeyFilter(c *cobra.Command) keyFilter {
	f := c.Flags()
	return keyFilter{
		"search":         f.String("search", "", "part of a name, id or owner, in any case"),
		"status":         f.String("status", "", "pending, active, suspended, expired, revoked or denied"),
		"owner":          f.String("owner", "", "owner's id, or tenant for those that belong to the organisation"),
		"kind":           f.String("kind", "", "api_key or client"),
		"api":            f.String("api", "", "API granted to the key"),
		"tenant":         f.String("tenant", "", "organisation"),
		"expires_before": f.String("expires-before", "", "RFC 3339 time"),
		"unused_for":     f.String("unused-for", "", "how long a key was made, and not used, such as 90d or 6mo"),
	}
}

// given returns what the command line names.
func (k keyFilter) given() map[string]string {
	given := map[string]string{}
	for name, value := range k {
		if *value != "" {
			given[name] = *value
		}
	}
	return given
}

// query is what the command line names, as parameters.
func (k keyFilter) query() url.Values {
	query := url.Values{}
	for name, value := range k.given() {
		query.Set(name, value)
	}
	return query
}
