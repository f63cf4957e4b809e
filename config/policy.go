package config

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"time"

	"postern/internal/keys"
)

// Policy is the installation's rules for keys.
type Policy struct {
	KeysEnabled      bool          `yaml:"keys_enabled" default:"true"`
	DefaultPlan      string        `yaml:"default_plan"` // "": a plan must be named
	MaxKeysPerTenant Cap           `yaml:"max_keys_per_tenant" default:"unlimited"`
	MaxKeysPerUser   Cap           `yaml:"max_keys_per_user" default:"unlimited"`
	DefaultExpiry    keys.Lifetime `yaml:"default_expiry" default:"never"`
	MaxExpiry        keys.Lifetime `yaml:"max_expiry" default:"never"`
	SecretVisibility Visibility    `yaml:"secret_visibility"`
	Owner            OwnerRule     `yaml:"owner"`
	Name             string        `yaml:"name" default:"required" enum:"required|optional"`
	Approval         string        `yaml:"approval" default:"none" enum:"none" later:"required"`
	Signup           string        `yaml:"signup" default:"off" enum:"off" later:"invite|open"`
	TenantMayChange  []string      `yaml:"tenant_may_change" default:"[keys_enabled, max_keys_per_user, default_expiry, max_expiry]"`
	Contact          Contact       `yaml:"contact"`
}

// Visibility tells for each kind whether a secret can be seen again: once or revealable.
type Visibility struct {
	APIKey string `yaml:"api_key" default:"once" enum:"once|revealable"`
	Client string `yaml:"client" default:"revealable" enum:"once|revealable"`
}

// OwnerRule tells for each kind who owns what a person generates: user or tenant.
type OwnerRule struct {
	APIKey string `yaml:"api_key" default:"user" enum:"user|tenant"`
	Client string `yaml:"client" default:"tenant" enum:"user|tenant"`
}

// Contact is who can help with what a person may not do himself.
type Contact struct {
	Text string     `yaml:"text" default:""`
	URL  ContactURL `yaml:"url" default:""`
}

// ContactURL is an absolute http, https or mailto URL, or "".
type ContactURL string

func (c *ContactURL) parse(_ *decoder, in string) error {
	if in == "" {
		return nil
	}
	u, err := url.Parse(in)
	web := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	mail := err == nil && u.Scheme == "mailto" && u.Opaque != ""
	if !web && !mail {
		return complaint{fmt.Sprintf("%s is not a link", show(in)), "write it as in https://example.com/help or mailto:help@example.com"}
	}
	*c = ContactURL(in)
	return nil
}

func (d *decoder) checkPolicy(c *Config) {
	d.checkPlanName(c, c.Policy.DefaultPlan, "policy", "default_plan")
	if !d.broken("policy", "default_expiry") && !d.broken("policy", "max_expiry") && outlives(c.Policy.DefaultExpiry, c.Policy.MaxExpiry) {
		p := path{"policy", "default_expiry"}
		if !d.written(p...) {
			p = path{"policy", "max_expiry"}
		}
		d.wrong(p, fmt.Sprintf("default_expiry %s ends after max_expiry %s", c.Policy.DefaultExpiry, c.Policy.MaxExpiry), "set default_expiry to at most max_expiry")
	}
	changeable := slices.DeleteFunc(fieldNames(fields(reflect.TypeFor[Policy]())), func(name string) bool {
		return name == "tenant_may_change" || name == "signup"
	})
	for i, name := range c.Policy.TenantMayChange {
		p := path{"policy", "tenant_may_change", index(i)}
		switch {
		case d.broken(p...):
		case !slices.Contains(changeable, name):
			d.wrong(p, fmt.Sprintf("%s is no setting that a tenant can change", show(name)), meant(name, changeable))
		case slices.Contains(c.Policy.TenantMayChange[:i], name):
			d.wrong(p, fmt.Sprintf("%s is listed twice", name), "keep one")
		}
	}
}

// outlives tells whether something with lifetime a can end after something made at the same time
// with lifetime b. A date and a length cannot be compared once and for all; then it says no.
func outlives(a, b keys.Lifetime) bool {
	switch {
	case b.Never():
		return false
	case a.Never():
		return true
	case a.Until.IsZero() != b.Until.IsZero():
		return false
	}
	// A month has 28 to 31 days, so lengths are compared from every day of a leap cycle.
	day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 4*365 + 1 {
		if a.End(day).After(b.End(day)) {
			return true
		}
		day = day.AddDate(0, 0, 1)
	}
	return false
}
