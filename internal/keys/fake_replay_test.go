package keys

import (
	"context"
	"time"
)

func (s *fakeStore) Replay(_ context.Context, key Digest) (Replay, error) {
	return look(s, func() (Replay, error) { return found(s.replays, key) })
}

func (s *fakeStore) CountReplays(_ context.Context, after, until time.Time) (int, error) {
	return look(s, func() (n int, _ error) {
		for _, p := range s.replays {
			if p.ExpiresAt.After(after) && !p.ExpiresAt.After(until) {
				n++
			}
		}
		return n, nil
	})
}

func (t *fakeTx) PutReplay(_ context.Context, p Replay, now time.Time) error {
	for key, old := range t.replays {
		if !now.Before(old.ExpiresAt) {
			delete(t.replays, key)
		}
	}
	t.replays[p.Key] = p
	return nil
}
