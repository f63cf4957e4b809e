package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/keys"
)

// TestUnusedFollowsCheckpoints holds that what the index in memory knows of last uses is never ahead of
// the database nor keeps an unused key from being found, before and after it was first asked.
func TestUnusedFollowsCheckpoints(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "postern.db"))
	at := noon
	put := func(i int) keys.CredentialID {
		c := seeded(i)
		update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, c) })
		return c.ID
	}
	use := func(id keys.CredentialID, secret string) {
		at = at.Add(time.Hour)
		if err := s.SaveCheckpoint(t.Context(), keys.Checkpoint{Uses: []keys.LastUse{{Credential: id, Secret: keys.SecretID(secret), At: at}}}); err != nil {
			t.Fatal(err)
		}
	}
	unused := func(when string, since time.Time, want ...keys.CredentialID) {
		t.Helper()
		page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, UnusedSince: since, Limit: 50})
		got := []keys.CredentialID{}
		for _, c := range page.Items {
			got = append(got, c.ID)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, %v, want %v", when, got, err, want)
		}
	}
	a, b := put(1), put(2)
	use(a, "one")
	unused("before the index was read", at.Add(-time.Second), b)
	use(b, "one")
	unused("both used, one of them later", at.Add(-time.Second), a)
	c := put(3)
	use(c, "one")
	unused("one made and used since", at.Add(-time.Second), a, b)
	use(a, "two")
	unused("used with another secret", at.Add(-time.Second), b, c)
	unused("to the second", at, a, b, c)
	update(t, s, func(ctx context.Context, tx keys.Tx) error { // moves to another place in the index
		changed := seeded(1)
		changed.Version, changed.Name = 2, "renamed"
		return tx.PutCredential(ctx, changed)
	})
	unused("after an edit", at.Add(-time.Second), b, c)
}
