package main

import (
	"maps"
	"slices"

	"postern/admin"
	"postern/config"
)

// routeStates says in the admin API's words what the configuration says about routes.
func routeStates(cfg *config.Config) []admin.GatewayRoute {
	var out []admin.GatewayRoute
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		r := cfg.Routes[name]
		s := admin.GatewayRoute{
			Name: name, Hosts: append([]string{}, r.Match.Hosts...), Path: r.Match.Path, Public: r.Public, Enforce: r.Enforce,
			API: r.API, Scopes: map[string][]string{}, Limits: []string{}, Cost: r.Cost, ManagedBy: r.Where,
		}
		for method, scopes := range r.Scopes {
			s.Scopes[method] = append([]string{}, scopes...)
		}
		for _, l := range r.Limits {
			s.Limits = append(s.Limits, l.String())
		}
		for _, t := range r.Upstream.Targets {
			s.Upstreams = append(s.Upstreams, t.Redacted())
		}
		out = append(out, s)
	}
	return out
}
