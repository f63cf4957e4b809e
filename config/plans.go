package config

import (
	"fmt"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// API is a named set of scopes.
type API struct {
	Name        string            `yaml:"-"`
	Where       string            `yaml:"-"`     // file:line
	Title       string            `yaml:"title"` // the name when not written
	Description string            `yaml:"description"`
	Scopes      map[string]string `yaml:"scopes" names:"scope"` // scope to what it allows, for people
}

// Plan is a key's limits.
type Plan struct {
	Name     string         `yaml:"-"`
	Where    string         `yaml:"-"` // file:line
	Limits   PlanLimits     `yaml:"limits" required:"limits: [2/s, 1000/day]"`
	TimeZone *time.Location `yaml:"time_zone" default:"UTC"` // of its calendar limits
}

// PlanLimits are a plan's limits; empty only where the file says unlimited in so many letters.
type PlanLimits []PlanLimit

// PlanLimit is one limit and what it counts by: limiter.Credential, Owner or Tenant.
type PlanLimit struct {
	Limit limiter.Limit
	Per   limiter.Level
}

// TenantPlan is what an organisation has bought.
type TenantPlan struct {
	Name        string `yaml:"-"`
	Where       string `yaml:"-"` // file:line
	Keys        bool   `yaml:"keys" required:"keys: true"`
	DefaultPlan string `yaml:"default_plan"` // "" as the policy says
}

// limitForm is the long form of a plan's limit: { limit: 500/day, per: owner }.
type limitForm struct {
	Limit limiter.Limit `yaml:"limit" required:"limit: 500/day"`
	Per   string        `yaml:"per" default:"key" enum:"key|owner|tenant"`
}

func (ls *PlanLimits) decode(d *decoder, n *node, p path) {
	if n.kind == scalar && n.text == "unlimited" {
		return
	}
	if n.kind == scalar && keys.Nearest(n.text, []string{"unlimited"}) != "" {
		d.problem(n.at, p, fmt.Sprintf("%s is not known here", show(n.text)), "did you mean unlimited?")
		return
	}
	if n.kind == list && len(n.items) == 0 {
		d.problem(n.at, p, "lists no limit", "write limits: unlimited if that is what you mean")
		return
	}
	if !d.isKind(n, list, p) {
		return
	}
	*ls = make(PlanLimits, len(n.items))
	for i, item := range n.items {
		at := p.to(index(i))
		switch {
		case item.kind == broken:
			d.spoiled = append(d.spoiled, at)
		case item.kind == mapping && item.joined == "":
			(*ls)[i] = d.longLimit(item, at)
		default:
			if in, ok := d.text(item, at); ok {
				l, err := parseLimit(in)
				d.accept(err, at, item)
				(*ls)[i].Limit = l
			}
		}
	}
	for i, l := range *ls {
		for j, earlier := range (*ls)[:i] {
			if d.broken(p.to(index(i))...) || d.broken(p.to(index(j))...) {
				continue
			}
			if l.Per == earlier.Per && l.Limit.SameWindow(earlier.Limit) {
				d.problem(n.items[i].at, p.to(index(i)), fmt.Sprintf("%s and %s have the same window", asWritten(n.items[i], l.Limit), asWritten(n.items[j], earlier.Limit)), "keep one limit for each window and per")
			}
		}
	}
}

// asWritten is a limit in the file's own words: 10/60s, which the limiter writes 10/min.
func asWritten(n *node, l limiter.Limit) string {
	if n != nil && n.kind == scalar {
		return n.text
	}
	return l.String()
}

func (d *decoder) longLimit(n *node, p path) PlanLimit {
	var form limitForm
	d.section(elem(&form), n, p)
	out := PlanLimit{Limit: form.Limit}
	switch form.Per {
	case "owner":
		out.Per = limiter.Owner
	case "tenant":
		out.Per = limiter.Tenant
	default:
		out.Per = limiter.Credential
	}
	return out
}

func (d *decoder) checkPlans(c *Config) {
	for name, a := range c.APIs {
		a.Name, a.Where = name, d.where(path{"apis", name})
		if a.Title == "" {
			a.Title = name
		}
	}
	for name, p := range c.Plans {
		p.Name, p.Where = name, d.where(path{"plans", name})
	}
	for name, t := range c.TenantPlans {
		t.Name, t.Where = name, d.where(path{"tenant_plans", name})
		d.checkPlanName(c, t.DefaultPlan, "tenant_plans", name, "default_plan")
	}
}

// checkPlanName complains about a plan that is not declared; "" names none.
func (d *decoder) checkPlanName(c *Config, plan string, p ...string) {
	if _, known := c.Plans[plan]; known || plan == "" || d.broken(p...) {
		return
	}
	d.wrong(p, fmt.Sprintf("there is no plan %s", show(plan)), meant(plan, names(c.Plans)))
}

// checkAPIName complains about an API that is not declared.
func (d *decoder) checkAPIName(c *Config, api string, p ...string) {
	if _, known := c.APIs[api]; known || d.broken(p...) {
		return
	}
	d.wrong(p, fmt.Sprintf("there is no API %s", show(api)), meant(api, names(c.APIs)))
}

// checkScope complains about a scope that no API declares.
func (d *decoder) checkScope(c *Config, scope string, p ...string) {
	var all []string
	for _, a := range c.APIs {
		if _, known := a.Scopes[scope]; known {
			return
		}
		all = append(all, names(a.Scopes)...)
	}
	switch {
	case d.broken(p...):
	case !validScope(scope):
		bad := badScope(scope)
		d.wrong(p, bad.what, bad.next)
	default:
		d.wrong(p, fmt.Sprintf("no API has a scope %s", show(scope)), meant(scope, all))
	}
}
