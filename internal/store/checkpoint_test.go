package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
	"postern/limiter"
)

// keeper is a store that keeps checkpoints, as every one behind testStore does.
func keeper(t *testing.T, s keys.Store) keys.CheckpointStore {
	t.Helper()
	k, ok := s.(keys.CheckpointStore)
	if !ok {
		t.Fatalf("%T keeps no checkpoints", s)
	}
	return k
}

func count(subject string, start time.Time, used int64) limiter.Count {
	return limiter.Count{
		Counter: limiter.Counter{Level: limiter.Route, Subject: subject, Route: "orders"}, Unit: limiter.Day,
		Span: limiter.Span{Start: start.UnixMicro(), End: start.Add(24 * time.Hour).UnixMicro()}, Used: used, Tag: "tag of " + subject,
	}
}

// counts returns what is stored of periods that end after the time, by subject.
func counts(t *testing.T, k keys.CheckpointStore, after time.Time) map[string]limiter.Count {
	t.Helper()
	all := map[string]limiter.Count{}
	err := k.Counts(t.Context(), after, func(some []limiter.Count) error {
		for _, c := range some {
			all[c.Counter.Subject] = c
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testCheckpoint(t *testing.T, open func(*testing.T) keys.Store) {
	t.Run("Counts", func(t *testing.T) { testCounts(t, open(t)) })
	t.Run("LastUses", func(t *testing.T) { testLastUses(t, open(t)) })
	t.Run("Unused", func(t *testing.T) { testUnused(t, open(t)) })
}

func testCounts(t *testing.T, s keys.Store) {
	k := keeper(t, s)
	before, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	yesterday := noon.Add(-24 * time.Hour)
	month := count("☂' OR 1=1", noon, 1<<62)
	month.Counter = limiter.Counter{Level: limiter.Tenant, Subject: month.Counter.Subject}
	month.Unit = limiter.Month
	save := func(list ...limiter.Count) {
		t.Helper()
		if err := k.SaveCheckpoint(t.Context(), keys.Checkpoint{Counts: list}); err != nil {
			t.Fatal(err)
		}
	}
	save(count("a", noon, 5), count("b", yesterday, 7), month)
	save(count("a", noon, 9))
	save(count("a", noon, 8)) // an older one that comes late
	want := map[string]limiter.Count{"a": count("a", noon, 9), month.Counter.Subject: month}
	if diff := cmp.Diff(want, counts(t, k, noon)); diff != "" {
		t.Errorf("counts of periods that are not over (-want +got):\n%s", diff)
	}
	if got := counts(t, k, noon.Add(-time.Microsecond)); len(got) != 3 {
		t.Errorf("got %d counts, want yesterday's too", len(got))
	}
	after, err := s.Head(t.Context())
	if err != nil || after != before {
		t.Errorf("a checkpoint took change number %d, %v, want none after %d", after, err, before)
	}

	var many []limiter.Count
	for i := range 1234 {
		many = append(many, count(fmt.Sprint(i), yesterday, 1))
	}
	save(many...)
	if got := counts(t, k, yesterday); len(got) != 1237 {
		t.Errorf("got %d counts, want 1237", len(got))
	}
	for more, rounds := true, 0; more; rounds++ {
		if more, err = k.PruneCounts(t.Context(), noon.Add(time.Microsecond)); err != nil || rounds > 10 {
			t.Fatalf("prune: round %d: %v", rounds, err)
		}
	}
	if got := counts(t, k, time.Unix(0, 0)); len(got) != 2 {
		t.Errorf("after pruning: got %d counts, want 2", len(got))
	}
}

func testLastUses(t *testing.T, s keys.Store) {
	k := keeper(t, s)
	use := func(c, secret string, at time.Time) keys.LastUse {
		return keys.LastUse{Credential: keys.CredentialID(c), Secret: keys.SecretID(secret), At: at}
	}
	for _, uses := range [][]keys.LastUse{
		{use("key_1", "s1", noon), use("key_1", "s2", noon.Add(time.Second)), use("key_2", "", noon)},
		{use("key_1", "s1", noon.Add(time.Hour)), use("key_2", "", noon.Add(-time.Hour))},
	} {
		if err := k.SaveCheckpoint(t.Context(), keys.Checkpoint{Uses: uses}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.LastUses(t.Context(), []keys.CredentialID{"key_2", "key_1", "key_3", "key\x001"})
	if err != nil {
		t.Fatal(err)
	}
	want := []keys.LastUse{use("key_1", "s1", noon.Add(time.Hour)), use("key_1", "s2", noon.Add(time.Second)), use("key_2", "", noon)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("last uses (-want +got):\n%s", diff)
	}
	if got, err := s.LastUses(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of nobody: got %v, %v", got, err)
	}
}

func testUnused(t *testing.T, s keys.Store) {
	k := keeper(t, s)
	var uses []keys.LastUse
	for n, c := range []struct{ created, used time.Duration }{
		{-10 * time.Hour, 0}, // never used
		{-10 * time.Hour, -9 * time.Hour},
		{-10 * time.Hour, -time.Hour},    // used lately
		{-time.Hour, 0},                  // new
		{-5 * time.Hour, -5 * time.Hour}, // at the very instant
	} {
		credential := bare(n)
		credential.CreatedAt = noon.Add(c.created)
		put(t, s, credential)
		if c.used != 0 {
			uses = append(uses,
				keys.LastUse{Credential: credential.ID, Secret: "old", At: noon.Add(-9 * time.Hour)},
				keys.LastUse{Credential: credential.ID, Secret: "new", At: noon.Add(c.used)})
		}
	}
	if err := k.SaveCheckpoint(t.Context(), keys.Checkpoint{Uses: uses}); err != nil {
		t.Fatal(err)
	}
	got := ids(t, s, keys.CredentialFilter{Now: noon, UnusedSince: noon.Add(-5 * time.Hour)})
	if want := "key_000000000000 key_000000000001 key_000000000004"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// TestCheckpointGivesWay: while a large checkpoint is written, another writer gets its turn.
func TestCheckpointGivesWay(t *testing.T) {
	s := openSQLite(t)
	var many []limiter.Count
	for i := range 50_000 {
		many = append(many, count(fmt.Sprint(i), noon, 1))
	}
	saved := make(chan error, 1)
	go func() { saved <- keeper(t, s).SaveCheckpoint(t.Context(), keys.Checkpoint{Counts: many}) }()
	writes := 0
	for {
		select {
		case err := <-saved:
			if err != nil || writes < 3 {
				t.Errorf("got %d writes beside the checkpoint, %v, want a few", writes, err)
			}
			return
		default:
			update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.PutMeta(ctx, "n", fmt.Append(nil, writes)) })
			writes++
		}
	}
}
