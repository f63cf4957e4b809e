package store_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/keys"
)

// compare tells records apart exactly, times by identity of the instant and its zone.
var compare = cmpopts.EquateComparable(time.Time{}, netip.Prefix{})

func testCredential(t *testing.T, open func(*testing.T) keys.Store) {
	t.Run("round trip", func(t *testing.T) { testRoundTrip(t, open(t)) })
	t.Run("versions", func(t *testing.T) { testVersions(t, open(t)) })
	t.Run("digests", func(t *testing.T) { testDigests(t, open(t)) })
	t.Run("tombstone", func(t *testing.T) { testTombstone(t, open(t)) })
	t.Run("by digest", func(t *testing.T) { testByDigest(t, open(t)) })
}

func testRoundTrip(t *testing.T, s keys.Store) {
	epoch := bare(3)
	epoch.ExpiresAt = time.Unix(0, 0).UTC() // is an expiry, and not "never"
	empty := bare(4)
	empty.APIs, empty.Scopes, empty.RedirectURIs = []keys.APIName{}, []keys.Scope{}, []string{}
	empty.Metadata, empty.Secrets = map[string]string{}, []keys.StoredSecret{}
	old := bare(5)
	old.CreatedAt, old.ExpiresAt = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	zero := keys.Credential{ID: "key_zero", Version: 1}

	for _, c := range []struct {
		name string
		in   keys.Credential
		want func(*keys.Credential)
	}{
		{"every field", sample(1), nil},
		{"bare", bare(2), nil},
		{"expires at the epoch", epoch, nil},
		{"empty lists become nil", empty, func(c *keys.Credential) {
			c.APIs, c.Scopes, c.RedirectURIs, c.Metadata, c.Secrets = nil, nil, nil, nil, nil
		}},
		{"first and last instants", old, nil},
		{"nothing set", zero, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.in
			if c.want != nil {
				c.want(&want)
			}
			// Also within the transaction, before the commit.
			update(t, s, func(ctx context.Context, tx keys.Tx) error {
				if err := tx.PutCredential(ctx, c.in); err != nil {
					return err
				}
				got, err := tx.Credential(ctx, c.in.ID, false)
				if diff := cmp.Diff(want, got, compare); diff != "" {
					t.Errorf("within the update (-want +got):\n%s", diff)
				}
				return err
			})
			got, err := s.Credential(t.Context(), c.in.ID, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("absent", func(t *testing.T) {
		if _, err := s.Credential(t.Context(), "key_none", true); !isErr(err, keys.ErrNotFound) {
			t.Errorf("got error %v, want ErrNotFound", err)
		}
	})
	t.Run("NUL in an id", func(t *testing.T) {
		if _, err := s.Credential(t.Context(), sample(1).ID+"\x00", true); !isErr(err, keys.ErrNotFound) {
			t.Errorf("got error %v, want ErrNotFound", err)
		}
	})
	t.Run("copied in and out", func(t *testing.T) {
		c := sample(9)
		put(t, s, c)
		c.Scopes[0], c.Secrets[0].Sealed[0] = "changed", 99
		first, err := s.Credential(t.Context(), c.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		first.Scopes[1], first.Secrets[0].Sealed[1] = "changed", 99
		again, err := s.Credential(t.Context(), c.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sample(9), again, compare); diff != "" {
			t.Errorf("after changing what was put and got (-want +got):\n%s", diff)
		}
	})
}

func testVersions(t *testing.T, s keys.Store) {
	first := bare(1)
	put(t, s, first)
	for _, c := range []struct {
		name string
		in   keys.Credential
		want error
	}{
		{"version 1 again", first, keys.ErrDuplicate},
		{"one ahead of the next", next(next(first, nothing), nothing), keys.ErrConflict},
		{"next of one that is not there", next(bare(2), nothing), keys.ErrConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, s, c.want, func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, c.in) })
		})
	}
	t.Run("version 0", func(t *testing.T) {
		zero := bare(3)
		zero.Version = 0
		if _, err := s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, zero) }); err == nil {
			t.Error("got no error, want one: a new record has version 1")
		}
	})
	t.Run("next", func(t *testing.T) {
		second := next(first, func(c *keys.Credential) { c.Name, c.Status = "renamed", keys.Suspended })
		put(t, s, second)
		got, err := s.Credential(t.Context(), first.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(second, got, compare); diff != "" {
			t.Errorf("after the second write (-want +got):\n%s", diff)
		}
		refused(t, s, keys.ErrConflict, func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, second) })
	})
}

func nothing(*keys.Credential) {}

func testDigests(t *testing.T, s keys.Store) {
	a, b := bare(1), bare(2)
	put(t, s, a, b)

	taken := bare(3)
	taken.Secrets = append(taken.Secrets, a.Secrets[0])
	refused(t, s, keys.ErrDuplicate, func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, taken) })
	twice := bare(4)
	twice.Secrets = append(twice.Secrets, twice.Secrets[0])
	refused(t, s, keys.ErrDuplicate, func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, twice) })
	refused(t, s, keys.ErrDuplicate, func(ctx context.Context, tx keys.Tx) error {
		return tx.PutCredential(ctx, next(a, func(c *keys.Credential) { c.Secrets = b.Secrets }))
	})

	// A refused put has written nothing, and the update may go on and commit.
	other := bare(5)
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		if err := tx.PutCredential(ctx, taken); !isErr(err, keys.ErrDuplicate) {
			t.Errorf("put with a taken digest: got error %v, want ErrDuplicate", err)
		}
		return tx.PutCredential(ctx, other)
	})
	if _, err := s.Credential(t.Context(), taken.ID, true); !isErr(err, keys.ErrNotFound) {
		t.Errorf("the refused credential: got error %v, want ErrNotFound", err)
	}
	if _, err := s.Credential(t.Context(), other.ID, true); err != nil {
		t.Errorf("the one after it: %v", err)
	}

	// Rotation: a second secret comes, then the first goes and its digest is free again.
	rotated := next(a, func(c *keys.Credential) { c.Secrets = append([]keys.StoredSecret{}, a.Secrets[0], bare(6).Secrets[0]) })
	put(t, s, rotated)
	ended := next(rotated, func(c *keys.Credential) { c.Secrets = rotated.Secrets[1:] })
	put(t, s, ended)
	got, err := s.Credential(t.Context(), a.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ended, got, compare); diff != "" {
		t.Errorf("after rotation (-want +got):\n%s", diff)
	}
	free := bare(7)
	free.Secrets = a.Secrets
	put(t, s, free)
	refused(t, s, keys.ErrDuplicate, func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, bare(6)) })
}

func testByDigest(t *testing.T, s keys.Store) {
	a, b, keeps, frees := sample(1), bare(2), bare(3), bare(4)
	put(t, s, a, b, keeps, frees)
	gone := next(keeps, func(c *keys.Credential) { c.DeletedAt = noon })
	put(t, s, gone, next(frees, func(c *keys.Credential) { c.DeletedAt, c.Secrets = noon, nil }))
	for _, want := range []keys.Credential{a, b, gone} {
		for _, secret := range want.Secrets {
			got, err := s.CredentialByDigest(t.Context(), secret.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	}
	for name, digest := range map[string]keys.Digest{"never used": {1}, "freed": frees.Secrets[0].Digest} {
		if _, err := s.CredentialByDigest(t.Context(), digest); !isErr(err, keys.ErrNotFound) {
			t.Errorf("%s: got error %v, want ErrNotFound", name, err)
		}
	}
	all := []keys.Digest{a.Secrets[0].Digest, {1}, gone.Secrets[0].Digest, frees.Secrets[0].Digest}
	for range 1000 { // more than one statement takes
		all = append(all, keys.Digest(sum("nobody's", len(all))))
	}
	all = append(all, b.Secrets[0].Digest)
	got, err := s.TakenDigests(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(x, y keys.Digest) int { return slices.Compare(x[:], y[:]) })
	taken := []keys.Digest{a.Secrets[0].Digest, gone.Secrets[0].Digest, b.Secrets[0].Digest}
	slices.SortFunc(taken, func(x, y keys.Digest) int { return slices.Compare(x[:], y[:]) })
	if diff := cmp.Diff(taken, got); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
	// A tombstone that keeps its secret keeps others from having it.
	other := bare(5)
	other.Secrets = keeps.Secrets
	refused(t, s, keys.ErrDuplicate, func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, other) })
}

func testTombstone(t *testing.T, s keys.Store) {
	c := sample(1)
	put(t, s, c)
	gone := next(c, func(c *keys.Credential) { c.DeletedAt, c.Secrets = noon, nil })
	put(t, s, gone)
	if _, err := s.Credential(t.Context(), c.ID, false); !isErr(err, keys.ErrNotFound) {
		t.Errorf("deleted: got error %v, want ErrNotFound", err)
	}
	got, err := s.Credential(t.Context(), c.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(gone, got, compare); diff != "" {
		t.Errorf("tombstone (-want +got):\n%s", diff)
	}
	page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("list: got %d items, %v, want none", len(page.Items), err)
	}
	refused(t, s, keys.ErrDuplicate, func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, bare(1)) })
}
