package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"postern/internal/keys"
)

// CertStore is what certificates need of a system of record. A name is a path, its parts separated
// by single slashes. Safe for concurrent use, also by several processes.
type CertStore interface {
	// Blob returns the value of a name and when it was written; keys.ErrNotFound when there is none.
	Blob(ctx context.Context, name string) (value []byte, written time.Time, err error)
	// PutBlob writes a value, over one that is there.
	PutBlob(ctx context.Context, name string, value []byte) error
	// DeleteBlobs deletes the blob of that name and those below it; none is no error.
	DeleteBlobs(ctx context.Context, name string) error
	// BlobNames lists the names below a folder in order; all with "".
	BlobNames(ctx context.Context, folder string) ([]string, error)
	// TakeLease makes holder the only one to hold a lease for that long, and tells whether it did.
	// The present holder renews it so.
	TakeLease(ctx context.Context, name, holder string, length time.Duration) (bool, error)
	// EndLease gives a lease back, if holder holds it.
	EndLease(ctx context.Context, name, holder string) error
}

// BlobSealer keeps private keys from who reads the database. keys.Vault is one.
type BlobSealer interface {
	SealBlob(name string, value []byte) ([]byte, error)
	OpenBlob(name string, sealed []byte) ([]byte, error)
}

// certStore is certmagic.Storage on a CertStore. Everything is sealed, not private keys alone: so a
// certificate cannot be exchanged behind our back either.
type certStore struct {
	store  CertStore
	sealer BlobSealer
	log    *slog.Logger

	lease, poll time.Duration // see certlock.go

	mu   sync.Mutex
	held map[string]*heldLock
}

var _ certmagic.Storage = (*certStore)(nil)

// certPrefix sets our names apart from those of other parts of the program.
const certPrefix = "acme/"

func newCertStore(store CertStore, sealer BlobSealer, log *slog.Logger) *certStore {
	return &certStore{store: store, sealer: sealer, log: log, lease: leaseLength, poll: leasePoll, held: make(map[string]*heldLock)}
}

// Store implements certmagic.Storage.
func (s *certStore) Store(ctx context.Context, key string, value []byte) error {
	name := certPrefix + key
	sealed, err := s.sealer.SealBlob(name, value)
	if err != nil {
		return err
	}
	return s.store.PutBlob(ctx, name, sealed)
}

// Load implements certmagic.Storage.
func (s *certStore) Load(ctx context.Context, key string) ([]byte, error) {
	value, _, err := s.load(ctx, key)
	return value, err
}

// load treats what does not open as absent: it is of another keyset, or was altered, and the way out
// of both is a new certificate.
func (s *certStore) load(ctx context.Context, key string) ([]byte, time.Time, error) {
	name := certPrefix + key
	sealed, written, err := s.store.Blob(ctx, name)
	if errors.Is(err, keys.ErrNotFound) {
		return nil, time.Time{}, notExist(key)
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	value, err := s.sealer.OpenBlob(name, sealed)
	if errors.Is(err, keys.ErrSealed) {
		s.log.ErrorContext(ctx, "a stored part of a certificate does not open with this keyset, or was altered; it counts as absent", "name", name)
		return nil, time.Time{}, notExist(key)
	}
	return value, written, err
}

func notExist(key string) error {
	return fmt.Errorf("certificate storage: %s: %w", key, fs.ErrNotExist)
}

// Delete implements certmagic.Storage.
func (s *certStore) Delete(ctx context.Context, key string) error {
	return s.store.DeleteBlobs(ctx, certPrefix+key)
}

// Exists implements certmagic.Storage. What Load would not give does not exist: certmagic asks here
// whether it has to obtain a certificate.
func (s *certStore) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// Stat implements certmagic.Storage.
func (s *certStore) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, written, err := s.load(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: written, Size: int64(len(value)), IsTerminal: true}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return certmagic.KeyInfo{}, err
	}
	below, lerr := s.store.BlobNames(ctx, certPrefix+key)
	switch {
	case lerr != nil:
		return certmagic.KeyInfo{}, lerr
	case len(below) == 0:
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: key}, nil
}

// List implements certmagic.Storage. Like certmagic's own storage in files it lists folders too, and
// fs.ErrNotExist when there is no such folder.
func (s *certStore) List(ctx context.Context, folder string, recursive bool) ([]string, error) {
	names, err := s.store.BlobNames(ctx, strings.TrimSuffix(certPrefix+folder, "/"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, notExist(folder)
	}
	var found []string
	for _, name := range names {
		rest := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(name, certPrefix), folder), "/")
		parts := strings.Split(rest, "/")
		if !recursive {
			parts = parts[:1]
		}
		for i := range parts {
			found = append(found, path.Join(append([]string{folder}, parts[:i+1]...)...))
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
