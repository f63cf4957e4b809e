package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// checkpointEvery is how often what changed is saved: twice as often as promised, so that the
// promise, that a kill forgets at most the last second, leaves time for the disk.
const checkpointEvery = 500 * time.Millisecond

// countsKept is for how long after a period its counts are kept: the clock may be put back.
const countsKept = time.Hour

// checkpoints saves what days and months have counted, and when secrets were last used, and brings
// the counts back at a start. No request waits for it: what cannot be saved now is saved later.
//
// Sliding windows are not saved. They are over so soon that a restart begins them anew.
type checkpoints struct {
	limiter   countingLimiter
	directory *keys.Directory
	store     keys.CheckpointStore
	log       *slog.Logger

	// What was taken and is not saved yet, each counter and secret once, so that an outage of the
	// store costs no more memory than they are many. Counts and uses may go to two stores: neither
	// waits for the other, and each belongs to one goroutine at a time.
	counts  map[countKey]limiter.Count
	room    []limiter.Count
	pruned  time.Time
	failing atomic.Pointer[time.Time] // since when counts cannot be saved; nil: they can

	uses        map[useKey]keys.LastUse
	usesFailing time.Time // since when uses cannot be saved; zero: they can
}

type countKey struct {
	counter limiter.Counter
	unit    limiter.Unit
	start   int64
}

type useKey struct {
	credential keys.CredentialID
	secret     keys.SecretID
}

func newCheckpoints(l countingLimiter, d *keys.Directory, s keys.CheckpointStore, log *slog.Logger) *checkpoints {
	return &checkpoints{limiter: l, directory: d, store: s, log: log,
		counts: map[countKey]limiter.Count{}, uses: map[useKey]keys.LastUse{}}
}

// restore brings the counts of periods that are not over back into the limiter.
func (c *checkpoints) restore(ctx context.Context) error {
	restored := 0
	err := c.store.Counts(ctx, time.Now().Add(-countsKept), func(counts []limiter.Count) error {
		restored += len(counts)
		return c.limiter.Restore(counts)
	})
	if errors.Is(err, limiter.ErrFull) {
		// What was counted is lost for some, but to serve nobody at all would be worse.
		c.log.Error("not all counts of days and months fit into memory; those left out begin anew", "error", err)
		return nil
	}
	if errors.Is(err, errDamagedCheckpoint) {
		c.log.Error("counts of days and months begin anew", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("bring back what days and months have counted: %w", err)
	}
	if restored > 0 {
		c.log.Info("counts of days and months are back", "counters", restored)
	}
	return nil
}

// run saves until ctx ends.
func (c *checkpoints) run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { everyCheckpoint(ctx, c.saveCounts) })
	loops.Go(func() { everyCheckpoint(ctx, c.saveUses) })
	loops.Wait()
}

func everyCheckpoint(ctx context.Context, save func(context.Context) error) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = save(ctx) // told already, and tried again
		}
	}
}

// save writes what changed since it last did. It must not be called while run runs.
func (c *checkpoints) save(ctx context.Context) error {
	return errors.Join(c.saveCounts(ctx), c.saveUses(ctx))
}

// saveCounts writes the counts that changed, and deletes old ones now and then. An outage is logged when
// it begins and when it ends.
func (c *checkpoints) saveCounts(ctx context.Context) error {
	now := time.Now()
	err := c.writeCounts(ctx)
	if err == nil && now.Sub(c.pruned) > time.Minute {
		var more bool
		if more, err = c.store.PruneCounts(ctx, now.Add(-countsKept)); !more {
			c.pruned = now
		}
	}
	since := c.failing.Load()
	switch {
	case err == nil && since != nil:
		c.log.Info("counts of days and months are saved again", "after", now.Sub(*since).Round(time.Millisecond))
		c.failing.Store(nil)
	case err != nil && since == nil && ctx.Err() == nil:
		c.log.Error("counts of days and months cannot be saved; they are counted on, and a restart now would forget the newest of them", "error", err)
		c.failing.Store(&now)
	}
	return err
}

func (c *checkpoints) writeCounts(ctx context.Context) error {
	c.room = c.limiter.Changed(c.room[:0])
	for _, n := range c.room {
		c.counts[countKey{n.Counter, n.Unit, n.Span.Start}] = n
	}
	clear(c.room) // names of subjects shall not stay
	if len(c.counts) == 0 {
		return nil
	}
	if err := c.store.SaveCheckpoint(ctx, keys.Checkpoint{Counts: slices.Collect(maps.Values(c.counts))}); err != nil {
		return err
	}
	clear(c.counts)
	return nil
}

// saveUses writes the last uses that changed. An outage is logged when it begins and when it ends, and
// makes nothing degraded: no call depends on them, and that the store is lost is told elsewhere.
func (c *checkpoints) saveUses(ctx context.Context) error {
	for _, u := range c.directory.TakeUses(nil) {
		c.uses[useKey{u.Credential, u.Secret}] = u
	}
	if len(c.uses) == 0 {
		return nil
	}
	now := time.Now()
	err := c.store.SaveCheckpoint(ctx, keys.Checkpoint{Uses: slices.Collect(maps.Values(c.uses))})
	if err == nil {
		clear(c.uses)
	}
	switch {
	case err == nil && !c.usesFailing.IsZero():
		c.log.Info("last uses are saved again", "after", now.Sub(c.usesFailing).Round(time.Millisecond))
		c.usesFailing = time.Time{}
	case err != nil && c.usesFailing.IsZero() && ctx.Err() == nil:
		c.log.Warn("last uses cannot be saved; they are kept in memory until they can", "error", err)
		c.usesFailing = now
	}
	if err != nil {
		return fmt.Errorf("last uses: %w", err)
	}
	return nil
}

// degraded says what is the matter, "" when nothing is.
func (c *checkpoints) degraded() string {
	since := c.failing.Load()
	if since == nil {
		return ""
	}
	return fmt.Sprintf("counts of days and months could not be saved for %s; they are counted on, but a restart now would forget the newest of them",
		time.Since(*since).Round(time.Second))
}
