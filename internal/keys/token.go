package keys

import "time"

// Token is the stored record of an admin token: an automation's way into the admin API.
type Token struct {
	ID        TokenID
	Name      string
	Tenant    TenantID // "" for the provider's own tokens
	Roles     []RoleName
	ActsAs    UserID // the person it acts as, with at most his permissions; "" for what owns nothing
	Digest    Digest
	Pepper    uint32
	Preview   string
	CreatedBy string
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time
	Version   int64
	MAC       RowMAC
}
