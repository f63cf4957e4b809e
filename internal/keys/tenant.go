package keys

import "time"

// Tenant is the stored record of an organisation.
type Tenant struct {
	ID        TenantID
	Name      string
	Plan      string         // tenant plan, "" for none (then eligible)
	Settings  TenantSettings // what the organisation changed of the installation's policy
	CreatedAt time.Time
	UpdatedAt time.Time
	Version   int64
}

// TenantSettings override the installation's Policy; nil, and a kind that is not there, mean as the
// policy says.
type TenantSettings struct {
	KeysEnabled      *bool               `json:"keys_enabled,omitempty"`
	DefaultPlan      *PlanName           `json:"default_plan,omitempty"`
	MaxKeysPerTenant *int                `json:"max_keys_per_tenant,omitempty"` // or Unlimited
	MaxKeysPerUser   *int                `json:"max_keys_per_user,omitempty"`   // or Unlimited
	DefaultExpiry    *Lifetime           `json:"default_expiry,omitempty"`
	MaxExpiry        *Lifetime           `json:"max_expiry,omitempty"`
	SecretVisibility map[Kind]Visibility `json:"secret_visibility,omitempty"`
	OwnerOf          map[Kind]OwnerType  `json:"owner,omitempty"`
	NameRequired     *bool               `json:"name_required,omitempty"`
}

// PolicyFor is the policy in force for an organisation: the installation's, with the default plan of
// what it has bought, and then with what was changed for it.
func (c *Catalog) PolicyFor(t Tenant) Policy {
	p, s := c.Policy, t.Settings
	if plan := c.TenantPlans[t.Plan].DefaultPlan; t.Plan != "" && plan != "" {
		p.DefaultPlan = plan
	}
	override(&p.KeysEnabled, s.KeysEnabled)
	override(&p.DefaultPlan, s.DefaultPlan)
	override(&p.MaxKeysPerTenant, s.MaxKeysPerTenant)
	override(&p.MaxKeysPerUser, s.MaxKeysPerUser)
	override(&p.DefaultExpiry, s.DefaultExpiry)
	override(&p.MaxExpiry, s.MaxExpiry)
	override(&p.NameRequired, s.NameRequired)
	p.SecretVisibility = overrideKinds(p.SecretVisibility, s.SecretVisibility)
	p.OwnerOf = overrideKinds(p.OwnerOf, s.OwnerOf)
	return p
}

func override[T any](to *T, with *T) {
	if with != nil {
		*to = *with
	}
}

// overrideKinds never changes the map it is given: that is the catalog's.
func overrideKinds[T any](of, with map[Kind]T) map[Kind]T {
	if len(with) == 0 {
		return of
	}
	out := make(map[Kind]T, len(of)+len(with))
	for k, v := range of {
		out[k] = v
	}
	for k, v := range with {
		out[k] = v
	}
	return out
}
