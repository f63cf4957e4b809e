package keys

import (
	"net/netip"
	"time"
	"unsafe"
)

// Principal is a credential as the data path sees it: immutable, shared, with effective policy.
// What the configuration decides (Plan, Rights) follows a reload.
type Principal struct {
	ID         CredentialID
	id         [16]byte // where the text of ID stands when it fits, see keepID
	plan       *planSlot
	rights     *rightsSlot
	expires    int64 // µs since the Unix epoch; 0: never
	Test       bool
	anywhere   bool // there are no AllowedIPs
	second     bool // authenticated with the second secret of a rollover
	AllowedIPs []netip.Prefix
	Owner      string // as counters and identity headers name it: a user's id, or tenant:<id>
	Tenant     TenantID
	Kind       Kind
	entry      *entry // nil outside a directory
}

// ExpiresAt is when the credential ends; zero for never.
func (p *Principal) ExpiresAt() time.Time {
	if p.expires == 0 {
		return time.Time{}
	}
	return time.UnixMicro(p.expires).UTC()
}

// keepID lets the text of ID stand beside what else a request reads of the principal, which must be
// where it will stay and is immutable from then on.
func (p *Principal) keepID() {
	if n := copy(p.id[:], p.ID); n > 0 && n == len(p.ID) {
		p.ID = CredentialID(unsafe.String(&p.id[0], n))
	}
}

// AllowedAnywhere tells whether AllowedIPs is empty, which nearly always it is, without a look at it.
func (p *Principal) AllowedAnywhere() bool { return p.anywhere || len(p.AllowedIPs) == 0 }

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
