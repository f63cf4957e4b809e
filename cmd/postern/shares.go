package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"postern/limiter"
)

// shares keeps this gateway's share of the limits for when their store is lost: on the list in the
// database that gateways share, or else on the one in Redis.
type shares struct {
	roster *limiter.Roster
	renew  func(ctx context.Context) error
	log    *slog.Logger
}

const (
	renewEvery    = 2 * time.Second        // several times within limiter.Lease
	settleEvery   = 250 * time.Millisecond // while a gateway comes or goes
	renewPatience = 2 * time.Second
)

// newShares makes the shares of a gateway whose limits are counted in Redis.
func newShares(i *installation, r *limiter.Redis, node string, log *slog.Logger) *shares {
	s := &shares{roster: limiter.NewRoster(node, i.store == nil), log: log}
	s.renew = func(ctx context.Context) error { return r.Beat(ctx, s.roster) }
	if i.store != nil {
		s.renew = func(ctx context.Context) error {
			begun := time.Now()
			peers, err := i.store.RenewShare(ctx, node, s.roster.Reckoned())
			if err == nil {
				s.roster.Beat(begun, peers)
			}
			return err
		}
	}
	return s
}

// run renews until ctx ends. An outage is logged when it begins and when it ends.
func (s *shares) run(ctx context.Context) {
	var failing time.Time
	for {
		call, cancel := context.WithTimeout(ctx, renewPatience)
		err := s.renew(call)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && failing.IsZero():
			failing = time.Now()
			s.log.Error("this gateway's share of the limits, for when Redis is lost, cannot be renewed", "error", err)
		case err == nil && !failing.IsZero():
			s.log.Info("this gateway's share of the limits is renewed again", "after", time.Since(failing).Round(time.Millisecond))
			failing = time.Time{}
		}
		pause := renewEvery
		if err == nil && s.roster.Settled() == 0 {
			pause = settleEvery
		}
		sleep(ctx, pause)
	}
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
