package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"postern/limiter"
)

// shares keeps this gateway's share of the limits for when their store is lost: on the list in the
// database that gateways share, or else on the one in Redis. A database of its own knows of no others, who
// may well count in the same Redis.
type shares struct {
	roster *limiter.Roster
	renew  func(ctx context.Context) error
	leave  func(ctx context.Context) error
	log    *slog.Logger
	soon   bool         // a newcomer has its share within a second or two
	begun  atomic.Int64 // when run began, in ns of wall time
	had    atomic.Bool  // it had its share once: from then on it is asked, whoever else comes and goes
}

const (
	renewEvery    = 500 * time.Millisecond // many times within limiter.Lease, and soon after somebody comes
	settleEvery   = 100 * time.Millisecond // while a gateway comes or goes
	renewPatience = 2 * time.Second
)

// newShares makes the shares of a gateway whose limits are counted in Redis.
func newShares(i *installation, shared bool, r *limiter.Redis, node string, log *slog.Logger) *shares {
	s := &shares{roster: limiter.NewRoster(node, !shared), log: log, soon: shared}
	if !shared {
		s.renew = func(ctx context.Context) error { return r.Beat(ctx, s.roster) }
		s.leave = func(ctx context.Context) error { return r.Leave(ctx, s.roster) }
		return s
	}
	s.leave = func(context.Context) error { return nil } // the lease ends by itself, and others' shares grow then
	s.renew = func(ctx context.Context) error {
		begun := time.Now()
		peers, err := i.store.RenewShare(ctx, node, s.roster.Reckoned())
		if err == nil {
			s.roster.Beat(begun, peers)
		}
		return err
	}
	return s
}

// run renews until ctx ends. An outage is logged when it begins and when it ends.
func (s *shares) run(ctx context.Context) {
	s.begun.Store(time.Now().UnixNano())
	var failing time.Time
	for {
		call, cancel := context.WithTimeout(ctx, renewPatience)
		err := s.renew(call)
		cancel()
		switch {
		case ctx.Err() != nil:
			s.end()
			return
		case err != nil && failing.IsZero():
			failing = time.Now()
			s.log.Error("this gateway's share of the limits, for when Redis is lost, cannot be renewed", "error", err)
		case err == nil && !failing.IsZero():
			s.log.Info("this gateway's share of the limits is renewed again", "after", time.Since(failing).Round(time.Millisecond))
			failing = time.Time{}
		}
		if s.roster.HasShare() {
			s.had.Store(true)
		}
		pause := renewEvery
		if err == nil && s.roster.Settled() == 0 {
			pause = settleEvery
		}
		sleep(ctx, pause)
	}
}

// end gives this gateway's line up. A store that is lost is told by then.
func (s *shares) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.leave(ctx); err != nil {
		s.log.Info("this gateway's line among those that share the limits stays until its lease is over", "error", err)
	}
}

// takingShare is how long a gateway that starts says that it is not ready, for want of a share.
const takingShare = 3 * time.Second

// wait tells whether this gateway should not be asked yet because its share is about to come: without one
// it could not decide what Redis does not.
func (s *shares) wait() bool {
	if s == nil || !s.soon || s.had.Load() {
		return false
	}
	begun := s.begun.Load()
	return begun == 0 || time.Now().UnixNano()-begun < int64(takingShare)
}

// lossOf says what is the matter with the store of counters, "" when nothing is.
func lossOf(f *limiter.Failover) string {
	if f == nil {
		return ""
	}
	since := f.Lost()
	if since.IsZero() {
		return ""
	}
	return fmt.Sprintf("Redis has not answered for %s; limits are decided as on_loss says", time.Since(since).Round(time.Second))
}
