package keys

import (
	"net/url"
	"time"

	"postern/limiter"
)

// Catalog is what the configuration declares about keys. It is immutable once handed over; a
// reload hands over a new one.
type Catalog struct {
	APIs        map[APIName]API
	Plans       map[PlanName]*Plan
	TenantPlans map[string]TenantPlan
	Roles       map[RoleName]Role // beside the built-in ones, or in place of those of tenants
	Policy      Policy
}

// API is a named set of scopes.
type API struct {
	Name        APIName
	Title       string
	Description string
	Scopes      map[Scope]string // scope → what it allows, for people
	Where       string           // file:line of the declaration
}

// Plan is a key's limits.
type Plan struct {
	Name   PlanName
	Limits []PlanLimit
	Zone   *time.Location // of its calendar limits
	Where  string         // file:line of the declaration
}

// PlanLimit is one limit of a plan and what it counts by: limiter.Credential, Owner or Tenant.
type PlanLimit struct {
	Limit limiter.Limit
	Per   limiter.Level
}

// TenantPlan is what an organisation has bought.
type TenantPlan struct {
	Keys        bool     // are keys included
	DefaultPlan PlanName // "" as the policy says
	Where       string   // file:line of the declaration
}

// Unlimited is the value of a cap that is not there.
const Unlimited = -1

// Visibility tells whether a secret can be seen again.
type Visibility string

// The visibilities.
const (
	Once       Visibility = "once"
	Revealable Visibility = "revealable"
)

// Policy is the installation's rules for keys, as section policy of gateway.yaml says them.
type Policy struct {
	KeysEnabled      bool
	DefaultPlan      PlanName // "": a plan must be named
	MaxKeysPerTenant int      // or Unlimited
	MaxKeysPerUser   int      // 1 to 1000, or Unlimited
	DefaultExpiry    Lifetime
	MaxExpiry        Lifetime
	SecretVisibility map[Kind]Visibility
	OwnerOf          map[Kind]OwnerType // who owns what a person generates
	NameRequired     bool
	ApprovalRequired bool
	TenantMayChange  []string
	Contact          Contact
}

// Contact is who can help with what a person may not do himself.
type Contact struct {
	Text string
	URL  *url.URL
}
