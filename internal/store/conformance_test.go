package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/keys"
	"postern/internal/store"
)

// long tells whether the long form of the heavy tests is wanted.
func long() bool { return os.Getenv("POSTERN_LONG") == "1" }

func TestSQLite(t *testing.T) { testStore(t, openSQLite) }

func TestConcurrentSQLite(t *testing.T) { testConcurrent(t, openSQLite) }

// testStore is, together with testConcurrent, what every database behind keys.Store has to pass.
// open returns an empty store that ends with the test.
func testStore(t *testing.T, open func(t *testing.T) keys.Store) {
	for _, part := range []struct {
		name string
		test func(*testing.T, func(*testing.T) keys.Store)
	}{
		{"Credential", testCredential},
		{"List", testList},
		{"Count", testCount},
		{"Tenant", testTenant},
		{"Token", testToken},
		{"Audit", testAudit},
		{"AuditList", testAuditList},
		{"Meta", testMeta},
		{"Replay", testReplay},
		{"User", testUser},
		{"Users", testUsers},
		{"Session", testSession},
		{"Link", testLink},
		{"Tenants", testTenants},
		{"Own", testOwn},
		{"Update", testUpdate},
		{"Changes", testChanges},
		{"Load", testLoad},
		{"Blob", testBlob},
		{"Lease", testLease},
		{"Shares", testShares},
		{"Checkpoint", testCheckpoint},
		{"Nodes", testNodes},
		{"Fleet", testFleet},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open) })
	}
}

// openSQLite opens a store in a folder of the test's own.
func openSQLite(t *testing.T) keys.Store {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "postern.db"))
}

func openFile(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), "sqlite:"+path, store.Options{})
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

// noon is the suite's present.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)

// sample is a credential with every field set, different for each n.
func sample(n int) keys.Credential {
	return keys.Credential{
		ID:              keys.CredentialID(fmt.Sprintf("key_%012d", n)),
		Kind:            keys.APIKey,
		Tenant:          "acme",
		Owner:           keys.Owner{Type: keys.OwnerUser, ID: "usr_1", Name: "Renée"},
		Name:            fmt.Sprintf("Key %d", n),
		Description:     "for <nightly> \"runs\" & more",
		Status:          keys.Active,
		Plan:            "standard",
		APIs:            []keys.APIName{"billing", "orders"},
		Scopes:          []keys.Scope{"orders.read", "orders.write"},
		Test:            true,
		ExpiresAt:       noon.Add(90*24*time.Hour + time.Microsecond),
		AllowedIPs:      []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::ffff:1.2.3.4/128")},
		ApplicationType: "public",
		RedirectURIs:    []string{"https://example.com/a", "https://example.com/b"},
		Metadata:        map[string]string{"team": "blue", "": "empty", "nul": "a\x00b"},
		ExternalID:      "ext-1",
		Reason:          "migration",
		ManagedBy:       "gateway.yaml:12",
		CreatedBy:       "usr_1",
		CreatedAt:       noon.Add(time.Duration(n) * time.Second),
		UpdatedAt:       noon.Add(time.Duration(n) * time.Minute),
		RevokedAt:       noon.Add(time.Hour),
		Hold:            keys.HoldTenant,
		Version:         1,
		MAC:             keys.RowMAC(sum("mac", n)),
		Secrets: []keys.StoredSecret{
			{
				ID: keys.SecretID(fmt.Sprintf("%012d", n)), Digest: keys.Digest(sum("digest", n)), Pepper: 1 << 31, Preview: "pst_live_abcd",
				Sealed: []byte{0, 1, 2, 255}, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour), MAC: keys.RowMAC(sum("secret", n)),
			},
			{ID: keys.SecretID(fmt.Sprintf("%011dB", n)), Digest: keys.Digest(sum("digest B", n)), CreatedAt: noon},
		},
	}
}

// bare is a credential with only what every one has.
func bare(n int) keys.Credential {
	return keys.Credential{
		ID: keys.CredentialID(fmt.Sprintf("key_%012d", n)), Kind: keys.APIKey, Tenant: "default",
		Owner: keys.Owner{Type: keys.OwnerTenant, ID: "default", Name: "Default"}, Status: keys.Active,
		CreatedAt: noon, UpdatedAt: noon, Version: 1,
		Secrets: []keys.StoredSecret{{ID: keys.SecretID(fmt.Sprintf("%012d", n)), Digest: keys.Digest(sum("digest", n)), CreatedAt: noon}},
	}
}

func sum(what string, n int) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "%s %d", what, n)) }

// update runs fn and fails the test on an error.
func update(t *testing.T, s keys.Store, fn func(ctx context.Context, tx keys.Tx) error) keys.Seq {
	t.Helper()
	seq, err := s.Update(t.Context(), fn)
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	return seq
}

// put writes credentials in one update.
func put(t *testing.T, s keys.Store, cs ...keys.Credential) keys.Seq {
	t.Helper()
	return update(t, s, func(ctx context.Context, tx keys.Tx) error {
		for _, c := range cs {
			if err := tx.PutCredential(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// refused runs one update that must end with want and must have changed nothing.
func refused(t *testing.T, s keys.Store, want error, fn func(ctx context.Context, tx keys.Tx) error) {
	t.Helper()
	before, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), fn); !errors.Is(err, want) {
		t.Errorf("update: got error %v, want %v", err, want)
	}
	if after, err := s.Head(t.Context()); err != nil || after != before {
		t.Errorf("head after a refused update: got %d, %v, want %d", after, err, before)
	}
}

// next is the credential's following version.
func next(c keys.Credential, change func(*keys.Credential)) keys.Credential {
	c.Version++
	change(&c)
	return c
}
