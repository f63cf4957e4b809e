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

// TenantSettings override the installation's Policy; nil means as the policy says.
type TenantSettings struct {
	KeysEnabled *bool `json:"keys_enabled,omitempty"`
}

// PolicyFor is the policy in force for an organisation: the installation's, with what the
// organisation changed of it.
func (c *Catalog) PolicyFor(t Tenant) Policy {
	p := c.Policy
	if t.Settings.KeysEnabled != nil {
		p.KeysEnabled = *t.Settings.KeysEnabled
	}
	return p
}
