package keys

import "maps"

// Joined returns the catalog with what only an earlier one has: its plans, and its APIs with their
// scopes. While one configuration takes the place of another, requests are decided by the routes of
// either, and under this catalog neither misses anything.
func (c *Catalog) Joined(earlier *Catalog) *Catalog {
	out := *c
	out.Plans = maps.Clone(c.Plans)
	for name, plan := range earlier.Plans {
		if _, stays := out.Plans[name]; !stays {
			out.Plans[name] = plan
		}
	}
	out.APIs = maps.Clone(c.APIs)
	for name, old := range earlier.APIs {
		api, stays := out.APIs[name]
		if !stays {
			out.APIs[name] = old
			continue
		}
		scopes := maps.Clone(api.Scopes)
		for scope, text := range old.Scopes {
			if _, stays := scopes[scope]; !stays {
				scopes[scope] = text
			}
		}
		api.Scopes = scopes
		out.APIs[name] = api
	}
	return &out
}
