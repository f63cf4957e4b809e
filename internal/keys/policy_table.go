package keys

import (
	"slices"
	"sync"
	"sync/atomic"
)

// policyTable holds what many credentials share and the configuration decides: their plans, rights
// and tenants. Each credential points at a slot; a reload computes the few slots again instead of
// a million credentials.
type policyTable struct {
	mu      sync.Mutex // guards the maps and catalog; slots are read without it
	catalog *Catalog
	plans   map[PlanName]*planSlot
	rights  map[string]*rightsSlot
	tenants map[TenantID]*tenantSlot
	uses    useList
}

type planSlot struct {
	name PlanName
	plan atomic.Pointer[Plan]
}

type rightsSlot struct {
	key    string
	refs   int // credentials that point here, so that unused combinations do not pile up
	apis   []APIName
	extra  []Scope
	rights atomic.Pointer[Rights]
}

type tenantSlot struct {
	id      TenantID
	subject string // tenant:<id>, see Principal.Owner
	record  Tenant // Version 0: not known (yet)
	gate    atomic.Uint32
	uses    *useList // of the whole directory
}

// What a tenant's gate says to all its credentials. The zero value lets nobody through: a tenant
// that is not known cannot be known to have keys enabled.
const (
	gateDisabled uint32 = iota
	gateNotEligible
	gateOpen
)

func newPolicyTable(cat *Catalog) *policyTable {
	if cat == nil {
		cat = &Catalog{}
	}
	return &policyTable{
		catalog: cat,
		plans:   map[PlanName]*planSlot{},
		rights:  map[string]*rightsSlot{},
		tenants: map[TenantID]*tenantSlot{},
	}
}

// setCatalog puts a configuration in force for every slot.
func (t *policyTable) setCatalog(cat *Catalog) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.catalog = cat
	for _, s := range t.plans {
		s.plan.Store(cat.Plans[s.name])
	}
	for _, s := range t.rights {
		s.rights.Store(rightsUnder(cat, s.apis, s.extra))
	}
	for _, s := range t.tenants {
		s.gate.Store(gateUnder(cat, s.record))
	}
}

func (t *policyTable) current() *Catalog {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.catalog
}

// setTenant puts a tenant's record in force unless a newer one is.
func (t *policyTable) setTenant(record Tenant) {
	s := t.tenant(record.ID)
	t.mu.Lock()
	defer t.mu.Unlock()
	if record.Version <= s.record.Version {
		return
	}
	s.record = record
	s.gate.Store(gateUnder(t.catalog, record))
}

// tenant returns the tenant's slot; one that is not known has a closed gate.
func (t *policyTable) tenant(id TenantID) *tenantSlot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.tenants[id]
	if s == nil {
		s = &tenantSlot{id: id, subject: "tenant:" + string(id), uses: &t.uses}
		t.tenants[id] = s
	}
	return s
}

// principal makes the data path's view of a credential. Its rights slot must be released when the
// principal leaves the directory.
func (t *policyTable) principal(c *Credential, tenant *tenantSlot) Principal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Principal{
		ID:         c.ID,
		plan:       t.planSlot(c.Plan),
		rights:     t.rightsSlot(c.APIs, c.Scopes),
		expires:    expiryMicro(c.ExpiresAt),
		Test:       c.Test,
		anywhere:   len(c.AllowedIPs) == 0,
		AllowedIPs: c.AllowedIPs,
		Owner:      subjectOf(c.Owner, tenant),
		Tenant:     tenant.id,
		Kind:       c.Kind,
	}
}

// planSlot is called with mu held.
func (t *policyTable) planSlot(name PlanName) *planSlot {
	s := t.plans[name]
	if s == nil {
		s = &planSlot{name: name}
		s.plan.Store(t.catalog.Plans[name])
		t.plans[name] = s
	}
	return s
}

// rightsSlot is called with mu held.
func (t *policyTable) rightsSlot(apis []APIName, extra []Scope) *rightsSlot {
	var buf [256]byte
	key := encodeList(encodeList(buf[:0], apis), extra)
	s := t.rights[string(key)]
	if s == nil {
		s = &rightsSlot{key: string(key), apis: slices.Clone(apis), extra: slices.Clone(extra)}
		s.rights.Store(rightsUnder(t.catalog, apis, extra))
		t.rights[s.key] = s
	}
	s.refs++
	return s
}

// release gives up one reference to a rights slot.
func (t *policyTable) release(s *rightsSlot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.refs--; s.refs == 0 {
		delete(t.rights, s.key)
	}
}

// gateUnder tells what a tenant's settings and plan mean under a catalog. A tenant plan that the
// catalog does not have includes no keys.
func gateUnder(cat *Catalog, t Tenant) uint32 {
	switch {
	case t.Version == 0 || !cat.PolicyFor(t).KeysEnabled:
		return gateDisabled
	case !eligible(cat, t):
		return gateNotEligible
	default:
		return gateOpen
	}
}

// eligible tells whether keys are part of what the tenant has bought; without a tenant plan they are.
func eligible(cat *Catalog, t Tenant) bool {
	return t.Plan == "" || cat.TenantPlans[t.Plan].Keys
}
