package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func testReplay(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	if _, err := s.Replay(t.Context(), keys.Digest{1}); !isErr(err, keys.ErrNotFound) {
		t.Errorf("unknown: got error %v, want ErrNotFound", err)
	}
	record := func(n byte, target string, ends time.Time) keys.Replay {
		return keys.Replay{Key: keys.Digest{n}, Request: keys.Digest(sum("request", int(n))), Target: target, ExpiresAt: ends}
	}
	write := func(now time.Time, ps ...keys.Replay) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx keys.Tx) error {
			for _, p := range ps {
				if err := tx.PutReplay(ctx, p, now); err != nil {
					return err
				}
				if got, err := tx.Replay(ctx, p.Key); err != nil || got != p {
					t.Errorf("in its own transaction: %+v, %v", got, err)
				}
			}
			return nil
		})
	}
	first := record(1, "key_1", noon)
	write(noon.Add(-time.Hour), first)
	if got, err := s.Replay(t.Context(), first.Key); err != nil || !cmp.Equal(got, first) {
		t.Errorf("got %+v, %v, want %+v", got, err, first)
	}
	first.Target, first.ExpiresAt = "key_2", noon.Add(time.Hour)
	write(noon, first)
	if got, err := s.Replay(t.Context(), first.Key); err != nil || got != first {
		t.Errorf("written over: got %+v, %v, want %+v", got, err, first)
	}
	// Those that ended go as new ones come, and the others stay.
	for n := byte(2); n < 50; n++ {
		write(noon, record(n, fmt.Sprint(n), noon.Add(time.Duration(n)*time.Microsecond)))
	}
	for n := byte(100); n < 108; n++ {
		write(noon.Add(48*time.Microsecond), record(n, "new", noon.Add(time.Hour)))
	}
	for n := byte(1); n < 108; n++ {
		_, err := s.Replay(t.Context(), keys.Digest{n})
		if stays := n == 1 || n == 49 || n >= 100; stays != (err == nil) {
			t.Errorf("record %d: %v, want it kept %t", n, err, stays)
		}
	}
}
