package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"postern/internal/keys"
)

// blobStore is what this suite asks of a database beside keys.Store.
type blobStore interface {
	Blob(ctx context.Context, name string) ([]byte, time.Time, error)
	PutBlob(ctx context.Context, name string, value []byte) error
	DeleteBlobs(ctx context.Context, name string) error
	BlobNames(ctx context.Context, folder string) ([]string, error)
	TakeLease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	EndLease(ctx context.Context, name, holder string) error
}

// blobsOf returns the other face of a store.
func blobsOf(t *testing.T, s keys.Store) blobStore {
	t.Helper()
	b, ok := s.(blobStore)
	if !ok {
		t.Fatalf("%T has no blobs and leases", s)
	}
	return b
}

func testBlob(t *testing.T, open func(*testing.T) keys.Store) {
	store := open(t)
	s := blobsOf(t, store)
	before, err := store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Blob(t.Context(), "a/b"); !isErr(err, keys.ErrNotFound) {
		t.Errorf("absent: got error %v, want ErrNotFound", err)
	}
	if _, _, err := s.Blob(t.Context(), "a\x00b"); !isErr(err, keys.ErrNotFound) {
		t.Errorf("a name with a NUL: got error %v, want ErrNotFound", err)
	}
	for _, name := range []string{"", "a\x00b"} {
		if err := s.PutBlob(t.Context(), name, []byte("x")); err == nil {
			t.Errorf("name %q: was written", name)
		}
	}
	start := time.Now().Truncate(time.Microsecond)
	// Names around the edges of what is below a/b: a slash is one less than a zero, a minus two.
	for _, name := range []string{"a/b/c", "a/b/d/e", "a/b", "a/b0", "a/b-", "a/bb", "a/ü", "A/b/c", "a/b/%"} {
		if err := s.PutBlob(t.Context(), name, []byte("value of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutBlob(t.Context(), "a/b", nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a/b": "", "a/b/c": "value of a/b/c", "A/b/c": "value of A/b/c"} {
		got, written, err := s.Blob(t.Context(), name)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
		if written.Before(start) || written.After(time.Now()) {
			t.Errorf("%s: written at %s, want between %s and now", name, written, start)
		}
	}
	wantNames(t, s, "a/b", "a/b/%", "a/b/c", "a/b/d/e")
	wantNames(t, s, "a/b/d", "a/b/d/e")
	wantNames(t, s, "none")
	wantNames(t, s, "", "A/b/c", "a/b", "a/b-", "a/b/%", "a/b/c", "a/b/d/e", "a/b0", "a/bb", "a/ü")
	for _, name := range []string{"a/b", "a/b", "none"} {
		if err := s.DeleteBlobs(t.Context(), name); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	wantNames(t, s, "", "A/b/c", "a/b-", "a/b0", "a/bb", "a/ü")
	if after, err := store.Head(t.Context()); err != nil || after != before {
		t.Errorf("the change number is %d, %v; want %d still", after, err, before)
	}
}

func wantNames(t *testing.T, s blobStore, folder string, want ...string) {
	t.Helper()
	if got, err := s.BlobNames(t.Context(), folder); err != nil || !slices.Equal(got, want) {
		t.Errorf("below %q: got %q, %v, want %q", folder, got, err, want)
	}
}

func testLease(t *testing.T, open func(*testing.T) keys.Store) {
	s := blobsOf(t, open(t))
	take := func(holder string, length time.Duration) bool {
		t.Helper()
		taken, err := s.TakeLease(t.Context(), "job", holder, length)
		if err != nil {
			t.Fatal(err)
		}
		return taken
	}
	end := func(holder string) {
		t.Helper()
		if err := s.EndLease(t.Context(), "job", holder); err != nil {
			t.Fatal(err)
		}
	}
	if !take("one", time.Hour) {
		t.Error("a free lease was not given")
	}
	if !take("one", 2*time.Hour) {
		t.Error("a lease was not renewed for its own holder")
	}
	if take("two", time.Hour) {
		t.Error("a lease was given to a second holder")
	}
	if taken, err := s.TakeLease(t.Context(), "other job", "two", time.Hour); err != nil || !taken {
		t.Errorf("a lease of another name: got %t, %v, want it", taken, err)
	}
	end("two")
	if take("two", time.Hour) {
		t.Error("somebody else's end made a lease free")
	}
	end("one")
	end("one")
	if !take("two", time.Hour) {
		t.Error("a lease that was given back was not given again")
	}
	// A holder that was killed renews no more.
	if !take("two", time.Millisecond) {
		t.Error("a lease could not be made shorter")
	}
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(time.Millisecond); !take("three", time.Hour); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("a lease never runs out")
		}
	}
	if take("two", time.Hour) {
		t.Error("who let his lease run out got it back from who holds it now")
	}
}
