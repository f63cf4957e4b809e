package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/internal/keys"
)

// checkObserving warns where a route that only observes cannot let odd requests pass, because they
// could reach past what another route enforces, or past the route's own path.
func (d *decoder) checkObserving(c *Config) {
	enforcing := map[string]path{} // a target of such a route, by server
	names := d.inOrder(slices.Collect(maps.Keys(c.Routes)), "routes")
	for _, name := range names {
		for i, target := range c.Routes[name].Upstream.Targets {
			if at := (path{"routes", name, "upstream", "targets", index(i)}); c.Routes[name].Enforce && !d.broken(at...) {
				if _, known := enforcing[keys.ServerOf(target)]; !known {
					enforcing[keys.ServerOf(target)] = at
				}
			}
		}
	}
	for _, name := range names {
		r := c.Routes[name]
		if r.Enforce || d.broken("routes", name, "enforce") {
			continue
		}
		for i, target := range r.Upstream.Targets {
			at := path{"routes", name, "upstream", "targets", index(i)}
			if d.broken(at...) {
				continue
			}
			if other, shared := enforcing[keys.ServerOf(target)]; shared {
				d.warn(d.place(at), at, fmt.Sprintf("route %s (%s), which enforces, has the same target; so odd requests, as with // or .. in the path, are refused here too", other[1], d.where(other)),
					"let all routes to it observe until none of their callers would be refused, or accept that")
			}
			if strings.Trim(target.Path, "/") != "" {
				d.warn(d.place(at), at, "has a base path, which odd requests, as with // or .. in the path, could leave; so they are refused here too", "")
			}
		}
		if at := (path{"routes", name, "strip_prefix"}); r.StripPrefix && !d.broken(at...) {
			d.warn(d.keyPlace(at), at, "changes paths, so odd requests, as with // or .. in the path, are refused here too", "")
		}
	}
}
