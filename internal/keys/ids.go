package keys

// Strings that mean something have types of their own, so that the compiler refuses a user's id
// where a tenant's is wanted.
type (
	// CredentialID is key_<12 base62> for API keys, app_<12 base62> for clients.
	CredentialID string
	// SecretID is the 12 base62 characters that name one secret of a credential.
	SecretID string
	// TenantID is the name of an organisation; DefaultTenant always exists.
	TenantID string
	// UserID is usr_<12 base62>.
	UserID string
	// SessionID is ses_<12 base62>.
	SessionID string
	// TokenID is tok_<12 base62>.
	TokenID string
	// PlanName is a plan's name in the configuration.
	PlanName string
	// APIName is an API's name in the configuration.
	APIName string
	// Scope is a scope's name in the configuration.
	Scope string
	// Seq numbers the committed changes of a store, from 1, without gaps.
	Seq int64
)

// DefaultTenant is the organisation that an installation with a single one never has to name.
const DefaultTenant TenantID = "default"
