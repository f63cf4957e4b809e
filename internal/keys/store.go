package keys

import (
	"context"
	"errors"
	"time"
)

// Errors a Store returns, wrapped.
var (
	// ErrNotFound: no such row (tombstones count as absent unless said otherwise).
	ErrNotFound = errors.New("not found")
	// ErrStoreUnavailable: the database cannot be reached or is locked beyond its patience.
	ErrStoreUnavailable = errors.New("store unavailable")
	// ErrStorageFull: the disk is full; nothing was written.
	ErrStorageFull = errors.New("storage full")
	// ErrOutcomeUnknown, beside ErrStoreUnavailable: the database was lost in the middle of a commit, and
	// the change may have been written or not.
	ErrOutcomeUnknown = errors.New("whether the change was written is not known")
	// ErrStoreWentBack: the database does not have changes any more that were read from it before: it failed
	// over to a standby that lacked them, or was restored from a backup.
	ErrStoreWentBack = errors.New("the database lost changes that this gateway had; it must load everything anew")
	// ErrDuplicate: an id or digest exists already.
	ErrDuplicate = errors.New("duplicate")
)

// Store is the system of record. It keeps rows and hands out change numbers; every rule is the
// Registry's, and every MAC is opaque to it. Implementations copy records in and out and are safe
// for concurrent use. A context's end aborts a call; an aborted Update has written nothing. Of one that
// failed the same holds but for ErrOutcomeUnknown.
type Store interface {
	// Update runs fn in one transaction that excludes all other writers, and commits when fn
	// returns nil. Records that fn put, its audit entries and the next change number become
	// visible together or not at all. It returns that number (the current one when fn changed
	// nothing that the Directory needs). fn may run again after a transient failure, so it must
	// have no effect but through tx. fn's own error is returned unwrapped.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) (Seq, error)

	Reader

	// Load hands every live credential (tombstones left out; revoked ones included, so that a
	// proved owner can be told) and every tenant to the visitor, in one consistent snapshot, and
	// returns the snapshot's change number. Only the fields the Directory needs are filled, see
	// LoadVisitor. visit may be called from several goroutines at once; a record's APIs, scopes and
	// secrets hold until it returns. 1,000,000 credentials load in under 5 s.
	Load(ctx context.Context, v LoadVisitor) (Seq, error)

	// Changes returns what changed after the given number, oldest first, at most max entries
	// (≥ 1). One entry per changed record and number; a record changed twice may appear once,
	// with its newest content. It never skips a committed number that it has gone past. after is a number
	// that was read before: ErrStoreWentBack when the newest one is smaller.
	Changes(ctx context.Context, after Seq, max int) ([]Change, error)

	// Head returns the newest committed change number.
	Head(ctx context.Context) (Seq, error)

	// Wait returns when a change after the given number may be there, at the latest when ctx
	// ends or after the store's own polling interval (500 ms), which is no error.
	Wait(ctx context.Context, after Seq) error

	Close() error
}

// Reader is the reading half that Store and Tx share.
type Reader interface {
	ReplayReader
	// Credential returns the credential with its secrets, or ErrNotFound. With tombstones set
	// deleted ones are found too.
	Credential(ctx context.Context, id CredentialID, tombstones bool) (Credential, error)
	// CredentialByDigest returns whose secret it is, tombstones that keep theirs included, or
	// ErrNotFound, at once for a digest that nobody has. To find its credential may take a look at
	// every record (about a second for a million): it is for telling people, not for requests.
	CredentialByDigest(ctx context.Context, d Digest) (Credential, error)
	// TakenDigests returns which of the digests somebody has, tombstones that keep theirs included.
	TakenDigests(ctx context.Context, list []Digest) ([]Digest, error)
	// Credentials returns one page, or ErrBadCursor.
	Credentials(ctx context.Context, f CredentialFilter) (CredentialPage, error)
	// CountCredentials counts what the caps count: active, pending and suspended credentials
	// that are not expired at the given time and not deleted.
	CountCredentials(ctx context.Context, c CountFilter) (int, error)
	Tenant(ctx context.Context, id TenantID) (Tenant, error)
	TokenByDigest(ctx context.Context, d Digest) (Token, error)
	Token(ctx context.Context, id TokenID) (Token, error)
	// Tokens lists by creation time and id, newest first. Revoked and expired ones included.
	Tokens(ctx context.Context, f TokenFilter) (TokenPage, error)
	// AuditHead returns the last entry of a chain; Seq 0 and a zero MAC when it is empty.
	AuditHead(ctx context.Context, chain string) (AuditEntry, error)
	// AuditEntries returns entries of a chain with Seq > after, oldest first, at most max.
	AuditEntries(ctx context.Context, chain string, after int64, max int) ([]AuditEntry, error)
	// AuditHeads returns the last entry of every chain, ordered by chain.
	AuditHeads(ctx context.Context) ([]AuditEntry, error)
	// LastUses returns what checkpoints say of these credentials, see CheckpointStore; those that
	// were never used are left out.
	LastUses(ctx context.Context, ids []CredentialID) ([]LastUse, error)
	// ListAudit returns one page of entries of one chain or all, newest first by time, then by chain
	// and number backwards; or ErrBadCursor. Of 1,000,000 entries a page takes under 100 ms.
	ListAudit(ctx context.Context, f AuditFilter) (AuditPage, error)
	// Meta returns an installation-wide value (schema-independent facts such as the pepper
	// canary), or ErrNotFound.
	Meta(ctx context.Context, name string) ([]byte, error)

	PeopleReader
}

// Tx is a running Update.
type Tx interface {
	Reader
	ReplayWriter
	// PutCredential inserts (Version 1) or replaces (stored version + 1, else ErrConflict) the
	// credential and its secrets, and makes it part of this change. ErrDuplicate when a secret's
	// digest or, on insertion, the id exists.
	PutCredential(ctx context.Context, c Credential) error
	PutTenant(ctx context.Context, t Tenant) error
	PutToken(ctx context.Context, t Token) error
	AppendAudit(ctx context.Context, e AuditEntry) error
	PutMeta(ctx context.Context, name string, value []byte) error

	PeopleTx
}

// ErrConflict says that the stored version is not the one that was read.
var ErrConflict = errors.New("version conflict")

// ErrBadCursor says that this store did not hand out the paging cursor.
var ErrBadCursor = errors.New("bad cursor")

// CredentialFilter selects and orders a page of credentials. Zero fields select everything.
type CredentialFilter struct {
	Tenant        TenantID // "" for all tenants
	OwnerType     OwnerType
	OwnerID       string
	Own           bool   // only the tenants' own and those of OwnUser: what counts as a person's own
	OwnUser       UserID // "" for what acts for nobody
	Kind          Kind
	Status        Status    // Expired and Active are told apart at Now
	Now           time.Time // required
	API           APIName
	Search        string // case-insensitive part of name, id or owner's name
	ExpiresBefore time.Time
	UnusedSince   time.Time // neither used nor created after it, as far as checkpoints say
	Managed       ManagedFilter
	Sort          string // created_at (default), name, expires_at, updated_at; "-" before it for descending
	Cursor        string // opaque, from CredentialPage.Next
	Limit         int    // 1 to 1000
}

// ManagedFilter selects by who manages a credential.
type ManagedFilter uint8

// The values of ManagedFilter.
const (
	ManagedAny ManagedFilter = iota
	ManagedByFile
	ManagedByAPI
)

// CredentialPage is one page; Next is "" on the last.
type CredentialPage struct {
	Items []Credential
	Next  string
}

// CountFilter says whose credentials CountCredentials counts; OwnerID "" means the whole tenant's.
type CountFilter struct {
	Tenant    TenantID
	OwnerType OwnerType
	OwnerID   string
	Now       time.Time
}

// AuditFilter selects a page of audit entries. Zero fields select everything.
type AuditFilter struct {
	Chain  string
	Action string
	Actor  string // the actor's id
	Target string
	From   time.Time // entries of this time and later
	To     time.Time // entries before it
	Cursor string    // opaque, from AuditPage.Next
	Limit  int       // 1 to 1000
}

// AuditPage is one page; Next is "" on the last.
type AuditPage struct {
	Items []AuditEntry
	Next  string
}

// TokenFilter selects a page of admin tokens. Tenant "" means all.
type TokenFilter struct {
	Tenant TenantID
	Cursor string
	Limit  int // 1 to 1000
}

// TokenPage is one page; Next is "" on the last.
type TokenPage struct {
	Items []Token
	Next  string
}

// LoadVisitor receives what the Directory needs at start.
type LoadVisitor struct {
	Tenant     func(Tenant) error
	Credential func(Credential) error // fields under the row MACs, Version, and secrets; nothing else
}

// Change is one changed record. Exactly one pointer is set.
type Change struct {
	Seq        Seq
	Credential *Credential // DeletedAt set for a tombstone
	Tenant     *Tenant
}
