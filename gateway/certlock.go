package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/google/uuid"
)

// One certificate is obtained by one process at a time. The lock is a lease that its holder renews
// as long as it lives, so a process that was killed keeps the others out for leaseLength at most.

const (
	leaseLength = 30 * time.Second
	leasePoll   = time.Second // between two tries to get a lease that somebody else holds
)

var _ certmagic.TryLocker = (*certStore)(nil)

// heldLock is a lock that this process holds.
type heldLock struct {
	holder string // of this one lock, so that two goroutines keep each other out too
	stop   context.CancelFunc
	done   chan struct{} // closed when it is renewed no more
}

// Lock implements certmagic.Locker.
func (s *certStore) Lock(ctx context.Context, name string) error {
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	for {
		taken, err := s.TryLock(ctx, name)
		if taken || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TryLock implements certmagic.TryLocker.
func (s *certStore) TryLock(ctx context.Context, name string) (bool, error) {
	holder := uuid.NewString()
	taken, err := s.store.TakeLease(ctx, certPrefix+name, holder, s.lease)
	if !taken || err != nil {
		return false, err
	}
	// The lock outlives the context that it was asked for with: it ends with Unlock.
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	held := &heldLock{holder: holder, stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	s.held[name] = held
	s.mu.Unlock()
	go s.renew(keep, name, held)
	return true, nil
}

func (s *certStore) renew(ctx context.Context, name string, held *heldLock) {
	defer close(held.done)
	tick := time.NewTicker(s.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		ours, err := s.store.TakeLease(ctx, certPrefix+name, held.holder, s.lease)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.WarnContext(ctx, "a lock on a certificate could not be renewed yet", "lock", name, "error", err)
		case !ours:
			// Two may now ask the CA for the same certificate, which costs a certificate and no more.
			s.log.WarnContext(ctx, "a lock on a certificate ran out and somebody else has it", "lock", name)
			return
		}
	}
}

// Unlock implements certmagic.Locker.
func (s *certStore) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	held := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if held == nil {
		return fmt.Errorf("unlock %q: not locked here", name)
	}
	held.stop()
	<-held.done
	return s.store.EndLease(ctx, certPrefix+name, held.holder)
}

// release waits until everything is unlocked, for work that was told to stop ends with that, and
// gives the rest back when ctx ends.
func (s *certStore) release(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		names := s.heldNames()
		if len(names) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, name := range names {
				if err := s.Unlock(context.WithoutCancel(ctx), name); err != nil {
					s.log.WarnContext(ctx, "a lock on a certificate was not given back and will run out", "lock", name, "error", err)
				}
			}
			return
		}
	}
}

func (s *certStore) heldNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.held))
	for name := range s.held {
		names = append(names, name)
	}
	return names
}
