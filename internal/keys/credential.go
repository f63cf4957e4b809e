package keys

import (
	"net/netip"
	"time"
)

// Kind is what a credential is: a key, or an application's id and secret.
type Kind string

// The kinds of credential.
const (
	APIKey Kind = "api_key"
	Client Kind = "client"
)

// Status is a credential's state at an instant. Only active credentials are admitted.
type Status string

// The states. Expired is never stored: an active or suspended credential is expired from its
// ExpiresAt on.
const (
	Pending   Status = "pending"
	Active    Status = "active"
	Suspended Status = "suspended"
	Expired   Status = "expired"
	Revoked   Status = "revoked"
	Denied    Status = "denied"
)

// Hold tells whose word a suspension is: it is lifted by nobody who has less to say.
type Hold string

// The holds, in the order of their weight. NoHold is also that of a suspension by those who may
// suspend their own credentials alone.
const (
	NoHold       Hold = ""
	HoldTenant   Hold = "tenant"   // the organisation's administrators and the provider
	HoldProvider Hold = "provider" // the provider alone
)

// OwnerType tells whose a credential is.
type OwnerType string

// The owner types.
const (
	OwnerUser   OwnerType = "user"
	OwnerTenant OwnerType = "tenant" // everyone there who holds the permission
)

// Owner is whose credential it is. For OwnerTenant, ID and Name are the tenant's.
type Owner struct {
	Type OwnerType
	ID   string
	Name string
}

// Credential is the stored record of a key or client. Times are UTC at µs; zero means none
// (ExpiresAt: never). Slices are sorted and without duplicates.
type Credential struct {
	ID              CredentialID
	Kind            Kind
	Tenant          TenantID
	Owner           Owner
	Name            string
	Description     string
	Status          Status // never Expired
	Plan            PlanName
	APIs            []APIName
	Scopes          []Scope // beyond those that the APIs bring
	Test            bool    // label "test": routes refuse it unless they accept_test
	ExpiresAt       time.Time
	AllowedIPs      []netip.Prefix
	ApplicationType string // "", internal, public
	RedirectURIs    []string
	Metadata        map[string]string
	ExternalID      string
	Reason          string // given on generation where approval is needed
	ManagedBy       string // "" for the API; else file and line of the declaration
	CreatedBy       string
	CreatedAt       time.Time
	UpdatedAt       time.Time
	RevokedAt       time.Time
	Hold            Hold      // who must lift the suspension of a suspended one
	DeletedAt       time.Time // a tombstone: kept for audit, found by nobody else
	Version         int64     // 1 on creation, +1 with each write
	Secrets         []StoredSecret
	MAC             RowMAC // over the decisive fields, see Vault.SealCredential
	// LastUsedAt is when a call was last admitted, to the second; zero when that is not known. It is
	// no part of the stored record: the Registry fills it in for who reads.
	LastUsedAt time.Time
}

// StatusAt is the status to show: an active or suspended credential is Expired from ExpiresAt on.
func (c *Credential) StatusAt(now time.Time) Status {
	if (c.Status == Active || c.Status == Suspended) && !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt) {
		return Expired
	}
	return c.Status
}

// StoredSecret is what is kept of one live secret of a credential. A credential has one or two.
type StoredSecret struct {
	ID        SecretID
	Digest    Digest
	Pepper    uint32 // version of the pepper that Digest was made with
	Preview   string // first characters of the text
	Sealed    []byte // the sealed text, only for revealable secrets
	CreatedAt time.Time
	ExpiresAt time.Time // zero: as long as the credential
	MAC       RowMAC
	// LastUsedAt is as the credential's, for calls with this secret.
	LastUsedAt time.Time
}

// Digest is HMAC-SHA-256(pepper, SHA-256(whole text)).
type Digest [32]byte

// RowMAC authenticates a stored row, so that a row written behind our back gives nobody anything.
type RowMAC [32]byte
