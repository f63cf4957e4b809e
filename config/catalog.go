package config

import (
	"maps"
	"net/url"
	"slices"

	"postern/internal/keys"
)

// Catalog returns what the configuration declares about keys, in the domain's own terms.
func (c *Config) Catalog() *keys.Catalog {
	out := &keys.Catalog{
		APIs:        make(map[keys.APIName]keys.API, len(c.APIs)),
		Plans:       make(map[keys.PlanName]*keys.Plan, len(c.Plans)),
		TenantPlans: make(map[string]keys.TenantPlan, len(c.TenantPlans)),
		Roles:       c.roles(),
		Policy:      c.Policy.domain(),
	}
	for name, a := range c.APIs {
		scopes := make(map[keys.Scope]string, len(a.Scopes))
		for scope, text := range a.Scopes {
			scopes[keys.Scope(scope)] = text
		}
		out.APIs[keys.APIName(name)] = keys.API{Name: keys.APIName(name), Title: a.Title, Description: a.Description, Scopes: scopes, Where: a.Where}
	}
	for name, p := range c.Plans {
		plan := &keys.Plan{Name: keys.PlanName(name), Zone: p.TimeZone, Where: p.Where}
		for _, l := range p.Limits {
			plan.Limits = append(plan.Limits, keys.PlanLimit{Limit: l.Limit, Per: l.Per})
		}
		out.Plans[plan.Name] = plan
	}
	for name, t := range c.TenantPlans {
		out.TenantPlans[name] = keys.TenantPlan{Keys: t.Keys, DefaultPlan: keys.PlanName(t.DefaultPlan), Where: t.Where}
	}
	return out
}

func (p *Policy) domain() keys.Policy {
	out := keys.Policy{
		KeysEnabled:      p.KeysEnabled,
		DefaultPlan:      keys.PlanName(p.DefaultPlan),
		MaxKeysPerTenant: int(p.MaxKeysPerTenant),
		MaxKeysPerUser:   int(p.MaxKeysPerUser),
		DefaultExpiry:    p.DefaultExpiry,
		MaxExpiry:        p.MaxExpiry,
		SecretVisibility: map[keys.Kind]keys.Visibility{
			keys.APIKey: keys.Visibility(p.SecretVisibility.APIKey),
			keys.Client: keys.Visibility(p.SecretVisibility.Client),
		},
		OwnerOf: map[keys.Kind]keys.OwnerType{
			keys.APIKey: keys.OwnerType(p.Owner.APIKey),
			keys.Client: keys.OwnerType(p.Owner.Client),
		},
		NameRequired:     p.Name == "required",
		ApprovalRequired: p.Approval == "required",
		TenantMayChange:  slices.Clone(p.TenantMayChange),
	}
	out.Contact = p.Contact.Domain()
	return out
}

// Domain returns the contact in the domain's own terms.
func (c Contact) Domain() keys.Contact {
	out := keys.Contact{Text: c.Text}
	if c.URL != "" {
		out.URL, _ = url.Parse(string(c.URL)) // it was checked when it was read
	}
	return out
}

// Declared returns access.keys in the domain's own terms, sorted by name.
func (c *Config) Declared() []keys.Declared {
	var out []keys.Declared
	for _, name := range slices.Sorted(maps.Keys(c.Access.Keys)) {
		k := c.Access.Keys[name]
		d := keys.Declared{
			Name: name, Hash: k.Hash, Kind: keys.Kind(k.Kind), Tenant: keys.TenantID(k.Tenant),
			Plan: keys.PlanName(k.Plan), ExpiresAt: k.ExpiresAt.Time, Where: k.Where,
		}
		for _, a := range k.APIs {
			d.APIs = append(d.APIs, keys.APIName(a))
		}
		for _, s := range k.Scopes {
			d.Scopes = append(d.Scopes, keys.Scope(s))
		}
		out = append(out, d)
	}
	return out
}
