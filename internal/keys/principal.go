package keys

import (
	"net/netip"
	"time"
)

// Principal is a credential as the data path sees it: immutable, shared, with effective policy.
// What the configuration decides (Plan, Rights) follows a reload.
type Principal struct {
	ID         CredentialID
	Kind       Kind
	Tenant     TenantID
	Owner      string // as counters and identity headers name it: a user's id, or tenant:<id>
	AllowedIPs []netip.Prefix
	ExpiresAt  time.Time // zero: never
	Test       bool

	second bool   // authenticated with the second secret of a rollover
	entry  *entry // nil outside a directory
	plan   *planSlot
	rights *rightsSlot
}

// Plan returns the plan in force; nil when the configuration no longer has it.
func (p *Principal) Plan() *Plan {
	if p.plan == nil {
		return nil
	}
	return p.plan.plan.Load()
}

// PlanName returns the plan's name as the credential was given it.
func (p *Principal) PlanName() PlanName {
	if p.plan == nil {
		return ""
	}
	return p.plan.name
}

// Rights returns the rights in force: APIs held and effective scopes. Never nil.
func (p *Principal) Rights() *Rights {
	if p.rights == nil {
		return &Rights{}
	}
	return p.rights.rights.Load()
}

// NewPrincipal returns the principal that a stored credential would have under a catalog, outside
// any directory: it does not follow reloads, and nothing was proved.
func NewPrincipal(c Credential, cat *Catalog) *Principal {
	t := newPolicyTable(cat)
	p := t.principal(&c, t.tenant(c.Tenant))
	return &p
}

// subjectOf names an owner for counters and identity headers.
func subjectOf(o Owner, t *tenantSlot) string {
	if o.Type == OwnerUser {
		return o.ID
	}
	return t.subject
}
