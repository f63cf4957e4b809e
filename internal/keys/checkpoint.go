package keys

import (
	"context"
	"time"

	"postern/limiter"
)

// LastUse tells when a call was last admitted with a secret of a credential, to the second. Secret
// is "" where only the credential is known.
type LastUse struct {
	Credential CredentialID
	Secret     SecretID
	At         time.Time
}

// Checkpoint is what changed in a gateway's memory since the last one.
type Checkpoint struct {
	Counts []limiter.Count
	Uses   []LastUse
}

// CheckpointStore is the ability of a Store to keep what a gateway had in memory. It is no part of
// the change feed, and takes no part in the order of changes.
type CheckpointStore interface {
	// SaveCheckpoint writes it, a bounded number of rows in a transaction, so that other writers
	// never wait long. What stands higher, or was used later, already stays. After an error a part
	// may be written; writing the same again is safe.
	SaveCheckpoint(ctx context.Context, c Checkpoint) error
	// Counts visits the counts of periods that end after the given time, some at a time.
	Counts(ctx context.Context, endAfter time.Time, visit func([]limiter.Count) error) error
	// PruneCounts deletes counts of periods that ended before the given time, at most a bounded
	// number, and tells whether there may be more.
	PruneCounts(ctx context.Context, endedBefore time.Time) (more bool, err error)
}
