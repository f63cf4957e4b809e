package keys

// This file only fixes signatures; each piece moves to a file named after it when it is written.

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/netip"
	"time"
)

// --- secret.go -------------------------------------------------------------------------------

// Secret is a text that must not leak. It prints, logs and marshals as a mask.
type Secret struct{ text string }

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the single way to the text.
func (s Secret) Reveal() string { return s.text }

// --- format.go -------------------------------------------------------------------------------

// Format makes and reads the texts of keys, client secrets and admin tokens of one prefix.
type Format struct{ prefix string }

// NewFormat checks the prefix ([a-z][a-z0-9]{1,9}).
func NewFormat(prefix string) (Format, error) { panic("stub") }

// LooksLikeKey, cheap and without allocation: has the text the shape and checksum of an API key of ours?
// Text is what was read of a secret text of ours.
type Text struct {
	Kind TextKind
	Test bool   // label test, API keys only
	ID   string // 12 base62 characters: credential's (key), secret's (client), token's (token)
}

// TextKind is what a text is for.
type TextKind uint8

// The kinds of text; NotOurs is the zero value.
const (
	NotOurs TextKind = iota
	KeyText
	ClientSecretText
	TokenText
)

// Parse tells what a text is; NotOurs if the form or the checksum is wrong. Does not allocate.
func (f Format) Parse(text string) Text { panic("stub") }

// Expression is the regular expression for leak scanners that matches exactly our API keys.
func (f Format) Expression() string { panic("stub") }

// --- lifetime.go -----------------------------------------------------------------------------

// Lifetime is how long from creation something lives: never ends, so many calendar months/years,
// a duration, or until a date. Zero value: never.
type Lifetime struct {
	Months int
	For    time.Duration
	Until  time.Time
}

// ParseLifetime reads never, 90d, 12h, 6mo, 2y, 2027-01-31 or an RFC 3339 time.
func ParseLifetime(s string) (Lifetime, error) { panic("stub") }

// Never tells whether it has no end.
func (l Lifetime) Never() bool { return l == Lifetime{} }

// End returns the end for something created at t, zero for never. Months clamp to the month's last day.
func (l Lifetime) End(t time.Time) time.Time { panic("stub") }

func (l Lifetime) String() string { panic("stub") }

// --- vault.go --------------------------------------------------------------------------------

// Vault holds the pepper and keyset: it digests, seals and authenticates rows.
type Vault struct{}

// NewPepper and NewKeyset make fresh file contents.
func NewPepper(random io.Reader) ([]byte, error) { panic("stub") }

// NewKeyset makes a fresh keyset file (Tink JSON, AES-256-GCM).
func NewKeyset() ([]byte, error) { panic("stub") }

// OpenVault reads the contents of the pepper and keyset files.
func OpenVault(pepper, keyset []byte) (*Vault, error) { panic("stub") }

// Digest of a whole text under the current pepper. Does not allocate.
func (v *Vault) Digest(text string) Digest { panic("stub") }

// DigestHash applies the pepper to a declared SHA-256.
func (v *Vault) DigestHash(sum [sha256.Size]byte) Digest { panic("stub") }

// Canary is what the store remembers to recognise the pepper.
func (v *Vault) Canary() []byte { panic("stub") }

// --- directory.go ----------------------------------------------------------------------------

// Principal is a credential as the data path sees it: immutable, shared, with effective policy.
type Principal struct {
	ID         CredentialID
	Kind       Kind
	Tenant     TenantID
	Owner      string // owner's id, as the counters and identity headers name it; "tenant" + id for tenant-owned: see OwnerSubject
	Test       bool
	AllowedIPs []netip.Prefix
	ExpiresAt  time.Time
}

// Plan in force; nil when the configuration no longer has it.
func (p *Principal) Plan() *Plan { panic("stub") }

// PlanName as the key was given.
func (p *Principal) PlanName() PlanName { panic("stub") }

// Rights in force: APIs held and effective scopes.
func (p *Principal) Rights() *Rights { panic("stub") }

// Rights are the APIs and scopes of a credential under the present catalog. Immutable; many
// principals share one.
type Rights struct {
	APIs   []APIName
	Scopes []Scope // effective: the APIs' and the extra ones, sorted
	Header string  // Scopes joined by single spaces
}

// Has tells whether the scope is among the effective ones. HoldsAPI: whole API granted, or at
// least one scope of it.
func (r *Rights) Has(s Scope) bool { panic("stub") }

// HoldsAPI ...
func (r *Rights) HoldsAPI(a APIName) bool { panic("stub") }

// Presented is what a request shows to prove who it is.
type Presented struct {
	Text     string // whole key text or client secret
	ClientID string // credential id given beside a client secret (Basic, X-Client-Id), else ""
}

// DirectoryOptions ...
type DirectoryOptions struct {
	Store          Store // nil with store: none
	Vault          *Vault
	Format         Format
	Catalog        *Catalog
	AcceptImported bool // find texts that are not in our form by digest
	Log            *slog.Logger
	Now            func() time.Time
	MaxStale       time.Duration
}

// Directory holds every credential in memory and answers the data path without I/O.
type Directory struct{}

// NewDirectory returns an empty one; Load fills it.
func NewDirectory(o DirectoryOptions) *Directory { panic("stub") }

// Load reads everything from the store and declares that the directory may answer.
func (d *Directory) Load(ctx context.Context) error { panic("stub") }

// Follow tails the store's changes until ctx ends.
func (d *Directory) Follow(ctx context.Context) error { panic("stub") }

// WaitApplied returns when the change with this number is in effect here.
func (d *Directory) WaitApplied(ctx context.Context, s Seq) error { panic("stub") }

// Authenticate finds whose credential is presented. The code is Admitted, InvalidCredentials,
// credential_*, keys_disabled, plan_not_eligible or DirectoryUnavailable (not loaded, or past max_stale). The principal is returned
// whenever possession was proved, also beside a refusal (then for the log only).
// A text without our form or checksum costs no hash unless AcceptImported.
func (d *Directory) Authenticate(p Presented, now time.Time) (*Principal, Code) { panic("stub") }

// SetCatalog puts a new configuration in force.
func (d *Directory) SetCatalog(c *Catalog) { panic("stub") }

// Ready returns nil when the directory may answer at now, else why not.
func (d *Directory) Ready(now time.Time) error { panic("stub") }

// Stats for the metrics directory_keys{status} and directory_lag_seconds.
func (d *Directory) Stats(now time.Time) DirectoryStats { panic("stub") }

// DirectoryStats ...
type DirectoryStats struct {
	ByStatus map[Status]int
	Lag      time.Duration // since the last successful read of the store
	Applied  Seq
}

// --- registry.go, generate.go, revoke.go, declare.go, tokens … -----------------------------------

// RegistryOptions ...
type RegistryOptions struct {
	Store     Store
	Vault     *Vault
	Format    Format
	Catalog   *Catalog
	Directory *Directory // nil for offline commands; else every write waits until it is applied there
	Now       func() time.Time
	Random    io.Reader // nil: crypto/rand
}

// Registry owns every rule of who may do what to credentials, tokens and tenants.
type Registry struct{}

// OpenRegistry checks or writes the pepper canary, makes the default tenant, and refuses a database whose pepper is another one.
func OpenRegistry(ctx context.Context, o RegistryOptions) (*Registry, error) { panic("stub") }

// NewCredential is the input of Generate. Empty means default.
type NewCredential struct {
	Kind            Kind
	Name            string
	Description     string
	Tenant          TenantID
	Owner           *OwnerInput
	Plan            PlanName
	APIs            []APIName
	Scopes          []Scope
	Expiry          *Lifetime // nil: policy's default
	Test            bool
	ApplicationType string
	RedirectURIs    []string
	AllowedIPs      []string
	Metadata        map[string]string
	ExternalID      string
	Reason          string
}

// OwnerInput names an owner: type tenant, or user with id.
type OwnerInput struct {
	Type OwnerType
	ID   string
}

// Generated is a new credential and, this once, its secret.
type Generated struct {
	Credential Credential
	Secret     Secret
}

// Generate makes a credential. Refusals: permission_denied, keys_disabled, plan_not_eligible, max_keys_reached, validation_failed (all fields at once).
func (r *Registry) Generate(ctx context.Context, a Actor, in NewCredential) (Generated, error) {
	panic("stub")
}

// Revoke ends a credential for good. Only active and suspended ones (not expired): invalid_state otherwise.
func (r *Registry) Revoke(ctx context.Context, a Actor, id CredentialID, reason string) (Credential, error) {
	panic("stub")
}

// Credential shows one; not_found also when the actor may not see it.
func (r *Registry) Credential(ctx context.Context, a Actor, id CredentialID) (Credential, error) {
	panic("stub")
}

// Credentials lists what the actor may see.
func (r *Registry) Credentials(ctx context.Context, a Actor, f CredentialFilter) (CredentialPage, error) {
	panic("stub")
}

// StatusAt is the status shown: Expired from ExpiresAt on.
func (c *Credential) StatusAt(now time.Time) Status { panic("stub") }

// EffectiveScopes of a stored credential under the present catalog.
func (r *Registry) EffectiveScopes(c Credential) []Scope { panic("stub") }

// Now is the registry's clock, for handlers that show StatusAt.
func (r *Registry) Now() time.Time { panic("stub") }

// NewToken is the input of CreateToken.
type NewToken struct {
	Name   string
	Roles  []RoleName
	Tenant TenantID // "" provider
	Expiry *Lifetime
}

// GeneratedToken is a new token and, this once, its text.
type GeneratedToken struct {
	Token  Token
	Secret Secret
}

// CreateToken makes an admin token; nobody gives what he lacks.
func (r *Registry) CreateToken(ctx context.Context, a Actor, in NewToken) (GeneratedToken, error) {
	panic("stub")
}

// RevokeToken ends one.
func (r *Registry) RevokeToken(ctx context.Context, a Actor, id TokenID) (Token, error) {
	panic("stub")
}

// Tokens lists.
func (r *Registry) Tokens(ctx context.Context, a Actor, f TokenFilter) (TokenPage, error) {
	panic("stub")
}

// TokenActor authenticates an admin token's text: sign_in_required when unknown, expired or revoked. Reads the store.
func (r *Registry) TokenActor(ctx context.Context, text string) (Actor, error) { panic("stub") }

// LocalActor is who runs an offline command on the machine itself: everything.
func LocalActor(name string) Actor { panic("stub") }

// Declared is one entry of access.keys.
type Declared struct {
	Name      string
	Hash      [sha256.Size]byte
	Kind      Kind
	Tenant    TenantID
	Plan      PlanName
	APIs      []APIName
	Scopes    []Scope
	ExpiresAt time.Time
	Where     string // file:line
}

// DeclaredID is key_/app_ + 12 base62 characters of SHA-256("declared\0" tenant "\0" name).
func DeclaredID(kind Kind, t TenantID, name string) CredentialID { panic("stub") }

// Declare makes the stored declared credentials those given: new ones are added, changed ones
// replaced, missing ones end; what was revoked or suspended at run time stays so.
func (r *Registry) Declare(ctx context.Context, ds []Declared) error { panic("stub") }

// LoadDeclared fills a directory without a store (store: none).
func (d *Directory) LoadDeclared(ds []Declared) error { panic("stub") }
