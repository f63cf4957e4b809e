package main

import (
	"context"

	"postern/internal/keys"
)

// ownCheckpoints keeps what this gateway has counted in a book of its own, since the others count for
// themselves, and last uses in the store, where all look for them.
type ownCheckpoints struct {
	keys.CheckpointStore // the book
	shared               keys.CheckpointStore
}

// SaveCheckpoint implements keys.CheckpointStore. The counts go first: nobody else knows them.
func (o ownCheckpoints) SaveCheckpoint(ctx context.Context, c keys.Checkpoint) error {
	if len(c.Counts) > 0 {
		if err := o.CheckpointStore.SaveCheckpoint(ctx, keys.Checkpoint{Counts: c.Counts}); err != nil {
			return err
		}
	}
	if len(c.Uses) == 0 {
		return nil
	}
	return o.shared.SaveCheckpoint(ctx, keys.Checkpoint{Uses: c.Uses})
}
