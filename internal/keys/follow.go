package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How Follow reads: batches of changes, and after a failure a pause that doubles.
const (
	changesBatch = 1000
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// progress tells how far the store's changes are in effect, and wakes who waits for one.
type progress struct {
	mu    sync.Mutex
	seq   Seq
	moved chan struct{} // closed and replaced when seq moves
}

func (p *progress) init() { p.moved = make(chan struct{}) }

func (p *progress) at() (Seq, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seq, p.moved
}

func (p *progress) reach(s Seq) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s <= p.seq {
		return
	}
	p.seq = s
	close(p.moved)
	p.moved = make(chan struct{})
}

// Load reads everything from the store and declares that the directory may answer. Changes that
// Follow applies meanwhile are newer and win.
func (d *Directory) Load(ctx context.Context) error {
	if d.store == nil {
		return errors.New("load directory: there is no store; declared keys come by LoadDeclared")
	}
	began := d.instant()
	seq, err := d.store.Load(ctx, LoadVisitor{
		Tenant: func(t Tenant) error {
			d.policy.setTenant(t)
			return nil
		},
		Credential: func(c Credential) error {
			d.apply(&c)
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	d.lastRead.Store(&began)
	d.loaded.Store(true)
	d.progress.reach(seq)
	return nil
}

// Follow tails the store's changes from where Load ended, until ctx ends, and then returns nil. A
// store that cannot be read is tried again with growing pauses of at most a second; the directory
// keeps answering what it knows, see MaxStale. An outage is logged when it begins and when it ends.
//
// ErrStoreWentBack: numbers that were read before will be given to other changes, which would be taken
// for known and skipped, revocations among them. The directory answers nothing any more; a new process
// has to load everything.
func (d *Directory) Follow(ctx context.Context) error {
	if d.store == nil {
		<-ctx.Done()
		return nil
	}
	pause, out := firstPause, time.Time{}
	for ctx.Err() == nil {
		err := d.catchUp(ctx)
		if errors.Is(err, ErrStoreWentBack) {
			d.loaded.Store(false)
			d.deregister()
			return fmt.Errorf("follow the store: %w", err)
		}
		if err == nil {
			if !out.IsZero() {
				d.log.Info("store can be read again", "after", d.now().Sub(out).Round(time.Millisecond))
			}
			pause, out = firstPause, time.Time{}
			after, _ := d.progress.at()
			err = d.store.Wait(ctx, after)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if out.IsZero() {
			out = d.now()
			d.log.Error("store cannot be read; credentials stay as they were last seen", "error", err, "max_stale", d.maxStale)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
	return nil
}

// catchUp applies every change that is there. Only when it has all of them does the store count as read:
// whoever stopped in between would answer by what was revoked in the rest.
func (d *Directory) catchUp(ctx context.Context) error {
	batch := d.batch
	for {
		after, _ := d.progress.at()
		began := d.instant()
		changes, err := d.store.Changes(ctx, after, batch)
		if err != nil {
			return fmt.Errorf("read changes after %d: %w", after, err)
		}
		d.applyAll(changes)
		if len(changes) == 0 {
			d.lastRead.Store(&began)
			return nil
		}
		first, last := changes[0].Seq, changes[len(changes)-1].Seq
		switch {
		case len(changes) < d.batch, d.batch < len(changes) && len(changes) < batch:
			d.progress.reach(last)
			d.lastRead.Store(&began)
			return nil
		case first < last:
			// A full batch may end in the middle of a change: go on with that change as a whole.
			d.progress.reach(last - 1)
			batch = d.batch
		case len(changes) == batch:
			batch *= 2
		default:
			// Asked for more, the store gave the same: perhaps it never gives more. To go past a
			// change that was not seen whole could lose a revocation. See declareChunk.
			return fmt.Errorf("read change %d: it has %d records or more, which is too many", last, len(changes))
		}
	}
}

// applyAll applies changes, tombstones last: the key of one may live on under another id, and shall
// be known at every instant.
func (d *Directory) applyAll(changes []Change) {
	for i := range changes {
		switch c := &changes[i]; {
		case c.Tenant != nil:
			d.policy.setTenant(*c.Tenant)
		case c.Credential.DeletedAt.IsZero():
			d.apply(c.Credential)
		}
	}
	for i := range changes {
		if c := changes[i].Credential; c != nil && !c.DeletedAt.IsZero() {
			d.apply(c)
		}
	}
}

// WaitApplied returns when the change with this number is in effect here, or with the context's
// error. Without a store there is nothing to wait for.
func (d *Directory) WaitApplied(ctx context.Context, s Seq) error {
	if d.store == nil {
		return nil
	}
	for {
		seq, moved := d.progress.at()
		if seq >= s {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for change %d, now at %d: %w", s, seq, context.Cause(ctx))
		}
	}
}
