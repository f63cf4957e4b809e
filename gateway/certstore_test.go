package gateway

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"postern/internal/keys"
	"postern/internal/store"
)

var (
	_ CertStore  = (*store.Store)(nil)
	_ BlobSealer = (*keys.Vault)(nil)
)

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "postern.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func newVault(t *testing.T) *keys.Vault {
	t.Helper()
	pepper, err := keys.NewPepper(nil)
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := keys.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	v, err := keys.OpenVault(pepper, keyset)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestCertStorages holds ours to the behaviour of certmagic's own storage in files, which is the one
// that its code is tried with.
func TestCertStorages(t *testing.T) {
	for _, backend := range []struct {
		name string
		open func(*testing.T) certmagic.Storage
	}{
		{"files", func(t *testing.T) certmagic.Storage { return &certmagic.FileStorage{Path: t.TempDir()} }},
		{"store", func(t *testing.T) certmagic.Storage {
			return newCertStore(openStore(t), newVault(t), slog.New(slog.DiscardHandler))
		}},
	} {
		t.Run(backend.name, func(t *testing.T) { testCertStorage(t, backend.open(t)) })
	}
}

func testCertStorage(t *testing.T, s certmagic.Storage) {
	ctx := t.Context()
	for _, key := range []string{"certificates", "certificates/ca/a.example/a.example.key"} {
		_, lerr := s.Load(ctx, key)
		_, serr := s.Stat(ctx, key)
		if !errors.Is(lerr, fs.ErrNotExist) || !errors.Is(serr, fs.ErrNotExist) || s.Exists(ctx, key) {
			t.Errorf("absent %s: load %v, stat %v, exists %t", key, lerr, serr, s.Exists(ctx, key))
		}
	}
	if _, err := s.List(ctx, "certificates", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list an absent folder: got error %v, want fs.ErrNotExist", err)
	}
	start := time.Now().Add(-time.Second) // a file system's clock is coarse
	values := map[string]string{
		"certificates/ca/a.example/a.example.key": "key of a", "certificates/ca/a.example/a.example.crt": "",
		"certificates/ca/b.example/b.example.crt": "certificate of b", "certificates-not/x": "x",
	}
	for key, value := range values {
		for _, v := range []string{"before", value} {
			if err := s.Store(ctx, key, []byte(v)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for key, value := range values {
		got, err := s.Load(ctx, key)
		info, serr := s.Stat(ctx, key)
		if err != nil || serr != nil || string(got) != value || !s.Exists(ctx, key) {
			t.Errorf("%s: got %q, %v, %v, want %q", key, got, err, serr, value)
		}
		if info.Key != key || !info.IsTerminal || info.Size != int64(len(value)) || info.Modified.Before(start) || info.Modified.After(time.Now()) {
			t.Errorf("%s: got info %+v", key, info)
		}
	}
	if info, err := s.Stat(ctx, "certificates/ca"); err != nil || info.IsTerminal || info.Key != "certificates/ca" || !s.Exists(ctx, "certificates/ca") {
		t.Errorf("a folder: got info %+v, %v", info, err)
	}
	wantList(t, s, "certificates/ca", false, "certificates/ca/a.example", "certificates/ca/b.example")
	wantList(t, s, "certificates", true, "certificates/ca", "certificates/ca/a.example", "certificates/ca/a.example/a.example.crt",
		"certificates/ca/a.example/a.example.key", "certificates/ca/b.example", "certificates/ca/b.example/b.example.crt")
	wantList(t, s, "", false, "certificates", "certificates-not")

	for _, key := range []string{"certificates/ca/a.example/a.example.key", "certificates/ca/b.example", "certificates/ca/b.example", "none"} {
		if err := s.Delete(ctx, key); err != nil || s.Exists(ctx, key) {
			t.Errorf("delete %s: %v, exists %t", key, err, s.Exists(ctx, key))
		}
	}
	wantList(t, s, "certificates/ca/a.example", true, "certificates/ca/a.example/a.example.crt")
}

func wantList(t *testing.T, s certmagic.Storage, folder string, recursive bool, want ...string) {
	t.Helper()
	got, err := s.List(t.Context(), folder, recursive)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("list %q, recursive %t: got %q, %v, want %q", folder, recursive, got, err, want)
	}
}

// TestCertStoreShowsNothing: what lies in the database is sealed, and what was sealed by another
// keyset, or put under another name, counts as absent, so that a new certificate is obtained.
func TestCertStoreShowsNothing(t *testing.T) {
	db, log := openStore(t), &bytes.Buffer{}
	s := newCertStore(db, newVault(t), slog.New(slog.NewTextHandler(log, nil)))
	const key, canary = "certificates/ca/a/a.key", "-----BEGIN EC PRIVATE KEY-----"
	if err := s.Store(t.Context(), key, []byte(canary)); err != nil {
		t.Fatal(err)
	}
	sealed, _, err := db.Blob(t.Context(), certPrefix+key)
	if err != nil || bytes.Contains(sealed, []byte("PRIVATE")) {
		t.Errorf("the database holds %q, %v", sealed, err)
	}
	if err := db.PutBlob(t.Context(), certPrefix+"certificates/ca/b/b.key", sealed); err != nil {
		t.Fatal(err)
	}
	other := newCertStore(db, newVault(t), s.log)
	for name, foreign := range map[string]bool{key: true, "certificates/ca/b/b.key": false} {
		from := s
		if foreign {
			from = other
		}
		if _, err := from.Load(t.Context(), name); !errors.Is(err, fs.ErrNotExist) || from.Exists(t.Context(), name) {
			t.Errorf("%s: got error %v, want fs.ErrNotExist", name, err)
		}
	}
	if !strings.Contains(log.String(), "does not open with this keyset") || strings.Contains(log.String(), canary) {
		t.Errorf("the log says %s", log)
	}
}

// TestCertStoreUnavailable: a database that cannot be asked is not one without certificates, else each
// outage would have a new one obtained.
func TestCertStoreUnavailable(t *testing.T) {
	db := openStore(t)
	s := newCertStore(db, newVault(t), slog.New(slog.DiscardHandler))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, lerr := s.Load(t.Context(), "a")
	_, serr := s.Stat(t.Context(), "a")
	_, ierr := s.List(t.Context(), "a", true)
	for _, err := range []error{lerr, serr, ierr, s.Store(t.Context(), "a", nil), s.Delete(t.Context(), "a"), s.Lock(t.Context(), "a")} {
		if !errors.Is(err, keys.ErrStoreUnavailable) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got error %v, want ErrStoreUnavailable", err)
		}
	}
}
