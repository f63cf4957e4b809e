package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// checkUse warns of what is in order by itself but probably not what was meant.
func (d *decoder) checkUse(c *Config) {
	if len(d.problems) > 0 {
		return // half a configuration uses little
	}
	if len(c.Routes) == 0 {
		d.warn(place{line: 1, column: 1}, nil, "there is no route, so every request is answered 404", "add one under routes")
	}
	for _, name := range names(c.APIs) {
		if !c.usesAPI(name) {
			d.warnKey(path{"apis", name}, fmt.Sprintf("no route asks for API %s or a scope of it", name))
		}
	}
	guarded := false
	for _, name := range names(c.Routes) {
		r := c.Routes[name]
		guarded = guarded || !r.Public
		if r.Public && len(r.Limits) == 0 {
			d.warnKey(path{"routes", name}, "is public and has no limits, so anybody may call it as often as he likes")
		}
	}
	if guarded && len(c.Plans) == 0 {
		d.warn(place{line: 1, column: 1}, nil, "there is no plan, so no key can be made for the routes that ask for one", "add one under plans")
	}
	if c.Store.None() {
		d.checkDeclaredOnly(c, guarded)
	}
	for i, p := range c.TrustedProxies {
		if p.Bits() == 0 {
			at := path{"trusted_proxies", index(i)}
			d.warn(d.place(at), at, "trusts everybody to say which address a call comes from", "list the proxies' own addresses")
		}
	}
	if at := (path{"admin", "behind_tls_proxy"}); c.Admin.BehindTLSProxy && len(c.TrustedProxies) == 0 && !d.broken("trusted_proxies") {
		d.warn(d.place(at), at, "everybody then comes from the proxy's address, so whoever tries a password there holds up all others",
			"list the proxy under trusted_proxies")
	}
	if len(c.TLS.Domains) > 0 && c.Listen.Gateway.port() != "443" && c.Listen.HTTP.port() != "80" {
		at := path{"tls", "domains"}
		d.warn(d.place(at), at, "the CA calls each domain at port 443 or 80, and Postern listens on neither",
			"listen on :443 or :80, or have one of them forwarded to "+cmp.Or(string(c.Listen.HTTP), string(c.Listen.Gateway)))
	}
	for name, k := range c.Access.Keys {
		if at := (path{"access", "keys", name, "expires_at"}); !k.ExpiresAt.IsZero() && k.ExpiresAt.Before(time.Now()) {
			d.warn(d.place(at), at, "has passed, so the key is refused", "")
		}
	}
}

// checkDeclaredOnly is for store: none, where everything that will ever be is in the file.
func (d *decoder) checkDeclaredOnly(c *Config, guarded bool) {
	if guarded && len(c.Access.Keys) == 0 {
		d.warn(d.place(path{"store"}), path{"store"}, "without a store and without access.keys nobody can call", "declare keys under access.keys")
	}
	used := map[string]bool{c.Policy.DefaultPlan: true}
	for _, k := range c.Access.Keys {
		used[k.Plan] = true
	}
	for _, name := range names(c.Plans) {
		if !used[name] {
			d.warnKey(path{"plans", name}, "no key uses this plan")
		}
	}
}

func (d *decoder) warnKey(p path, what string) { d.warn(d.keyPlace(p), p, what, "") }

func (c *Config) usesAPI(name string) bool {
	for _, r := range c.Routes {
		if r.API == name {
			return true
		}
		for _, scopes := range r.Scopes {
			if slices.ContainsFunc(scopes, func(s string) bool { _, its := c.APIs[name].Scopes[s]; return its }) {
				return true
			}
		}
	}
	return false
}

// names lists the keys of a map in order.
func names[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
