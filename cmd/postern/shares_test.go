package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"postern/limiter"
)

// TestSharesWait: a gateway that starts is not asked until it has its share, nor for ever without; who had
// it is asked whatever becomes of it, or gateways that come together would send everybody away.
func TestSharesWait(t *testing.T) {
	newcomer := limiter.Peer{ID: "b", Sees: []string{"b"}}
	for _, c := range []struct {
		name  string
		renew func(r *limiter.Roster, round int) error
		waits [3]bool // after 1 s, 2 s, and takingShare
	}{
		{"no share comes", func(r *limiter.Roster, _ int) error {
			r.Beat(time.Now(), []limiter.Peer{newcomer})
			return nil
		}, [3]bool{true, true, false}},
		{"it comes, and is lost when another gateway starts", func(r *limiter.Roster, round int) error {
			if round == 0 {
				r.Beat(time.Now(), []limiter.Peer{{ID: "a"}})
			} else {
				r.Beat(time.Now(), []limiter.Peer{newcomer})
			}
			return nil
		}, [3]bool{false, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shares{roster: limiter.NewRoster("a", false), soon: true, log: slog.New(slog.DiscardHandler)}
				round := 0
				s.renew = func(context.Context) error {
					defer func() { round++ }()
					return c.renew(s.roster, round)
				}
				s.leave = func(context.Context) error { return nil }
				if !s.wait() {
					t.Error("before it began: it is asked")
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); s.run(ctx) }()
				for i, want := range c.waits {
					time.Sleep(takingShare / 3)
					synctest.Wait()
					if got := s.wait(); got != want {
						t.Errorf("after %v: it waits: %v, want %v", time.Duration(i+1)*takingShare/3, got, want)
					}
				}
				cancel()
				<-done
			})
		})
	}
}
