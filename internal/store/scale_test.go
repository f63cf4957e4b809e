package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/keys"
)

// seed writes n credentials as an installation of that size would have them (random ids and
// digests, some thousand owners), many per update, and returns how
// long that took.
func seed(t *testing.T, s keys.Store, n int) time.Duration {
	t.Helper()
	const batch = 20_000
	begin := time.Now()
	for first := 0; first < n; first += batch {
		update(t, s, func(ctx context.Context, tx keys.Tx) error {
			for i := first; i < min(first+batch, n); i++ {
				if err := tx.PutCredential(ctx, seeded(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return time.Since(begin)
}

func seeded(i int) keys.Credential {
	digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	owner := fmt.Sprintf("usr_%012d", i%5000)
	id := fmt.Sprintf("%x", digest[:6])
	return keys.Credential{
		ID: keys.CredentialID("key_" + id), Kind: keys.APIKey, Tenant: keys.TenantID(fmt.Sprintf("tenant-%d", i%100)),
		Owner: keys.Owner{Type: keys.OwnerUser, ID: owner, Name: "Owner " + owner}, Name: "Nightly export " + id,
		Status: keys.Active, Plan: "standard", APIs: []keys.APIName{"orders"}, Scopes: []keys.Scope{"billing.read"},
		CreatedBy: owner, CreatedAt: noon.Add(time.Duration(i) * time.Millisecond), UpdatedAt: noon, Version: 1, MAC: keys.RowMAC(digest),
		Secrets: []keys.StoredSecret{{
			ID: keys.SecretID(id), Digest: keys.Digest(digest), Pepper: 1, Preview: "pst_live_" + id[:4], CreatedAt: noon, MAC: keys.RowMAC(digest),
		}},
	}
}

// TestScale builds a large installation through the public API and loads it. The long form has a
// million credentials and holds the load to its promise; both print their figures.
func TestScale(t *testing.T) {
	n := 20_000
	if long() {
		n = 1_000_000
	}
	path := filepath.Join(t.TempDir(), "postern.db")
	s := openFile(t, path)
	wrote := seed(t, s, n)
	rate := float64(n) / wrote.Seconds()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("wrote %d credentials in %v: %.0f/s, %d B each on disk", n, wrote.Round(time.Millisecond), rate, info.Size()/int64(n))

	loaded := time.Hour // the fastest of three: the machine may be busy with something else
	for range 3 {
		var seen, first atomic.Int64
		begin := time.Now()
		seq, err := s.Load(t.Context(), keys.LoadVisitor{Credential: func(c keys.Credential) error {
			seen.Add(1)
			first.Add(int64(c.Secrets[0].Digest[0]))
			return nil
		}})
		loaded = min(loaded, time.Since(begin))
		if err != nil || seq != keys.Seq(n) || seen.Load() != int64(n) || first.Load() == 0 {
			t.Fatalf("load: %d credentials at number %d, %v, want %d at %d", seen.Load(), seq, err, n, n)
		}
	}
	t.Logf("loaded %d credentials in %v: %.0f/s", n, loaded.Round(time.Millisecond), float64(n)/loaded.Seconds())

	begin := time.Now()
	page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Tenant: "tenant-7", Limit: 50})
	if err != nil || len(page.Items) != 50 {
		t.Fatalf("page: %d items, %v, want 50", len(page.Items), err)
	}
	t.Logf("first page of a tenant in %v", time.Since(begin).Round(time.Microsecond))
	begin = time.Now()
	if _, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Search: "no such name", Limit: 50}); err != nil {
		t.Fatal(err)
	}
	t.Logf("search of everything in %v", time.Since(begin).Round(time.Millisecond))
	begin = time.Now()
	if _, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Sort: "name", Limit: 50}); err != nil {
		t.Fatal(err)
	}
	t.Logf("first page of everything by name in %v", time.Since(begin).Round(time.Millisecond))

	uses := make([]keys.LastUse, n)
	for i := range uses {
		c := seeded(i)
		uses[i] = keys.LastUse{Credential: c.ID, Secret: c.Secrets[0].ID, At: noon.Add(time.Hour)}
	}
	begin = time.Now()
	if err := s.SaveCheckpoint(t.Context(), keys.Checkpoint{Uses: uses}); err != nil {
		t.Fatal(err)
	}
	t.Logf("last uses of everything written in %v", time.Since(begin).Round(time.Millisecond))
	for name, since := range map[string]time.Time{"that is everything": noon.Add(2 * time.Hour), "that is nothing": noon.Add(time.Minute)} {
		begin = time.Now()
		page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, UnusedSince: since, Limit: 50})
		if err != nil || len(page.Items) != 0 && since == noon.Add(time.Minute) {
			t.Fatalf("unused: %d items, %v", len(page.Items), err)
		}
		t.Logf("first page of unused keys, %s, in %v", name, time.Since(begin).Round(time.Microsecond))
	}

	if long() && loaded > 5*time.Second {
		t.Errorf("load took %v, want < 5 s", loaded)
	}
}
