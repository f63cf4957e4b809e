package keys

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// long tells whether the long forms of tests shall run.
func long() bool { return os.Getenv("POSTERN_LONG") == "1" }

// mostBytes is the budget of one credential in the directory, everything counted.
const mostBytes = 500

func TestDirectoryMemoryPerKey(t *testing.T) {
	count := 100_000
	if long() {
		count = 1_000_000
	}
	for name, kind := range map[string]OwnerType{"owned by the tenant": OwnerTenant, "owned by as many users": OwnerUser} {
		t.Run(name, func(t *testing.T) {
			v := testVault(t)
			before := heap()
			d, took := filledDirectory(v, count, kind)
			each := float64(heap()-before) / float64(count)
			t.Logf("%d keys: %.0f bytes each, ready in %s (generating rows included)", count, each, took.Round(time.Millisecond))
			if each >= mostBytes {
				t.Errorf("%.0f bytes per key, want less than %d", each, mostBytes)
			}
			if got := d.Stats(time.Now()).ByStatus[Active]; got != count {
				t.Errorf("%d keys in the directory, want %d", got, count)
			}
		})
	}
}

// TestEntryLines: what a request reads of a credential lies in two cache lines of 64 bytes, and every
// entry begins with one, because its size is a class of the allocator that is a multiple of them.
func TestEntryLines(t *testing.T) {
	var e entry
	if at, size := unsafe.Offsetof(e.Principal), unsafe.Sizeof(e); at != 64 || size != 256 {
		t.Errorf("the principal is at %d of %d bytes, want 64 of 256", at, size)
	}
	if end := unsafe.Offsetof(e.Principal.AllowedIPs); end > 64 {
		t.Errorf("what a request reads of a principal ends at %d, want 64 at most", end)
	}
	if b := unsafe.Sizeof(bucket{}); b != 64 {
		t.Errorf("a bucket takes %d bytes, want 64", b)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// filledDirectory has count keys as a store would hand them over: strings of their own.
func filledDirectory(v *Vault, count int, owner OwnerType) (*Directory, time.Duration) {
	d := NewDirectory(DirectoryOptions{Vault: v, Format: Format{prefix: "pst"}, Catalog: testCatalog()})
	d.policy.setTenant(Tenant{ID: DefaultTenant, Version: 1})
	began := time.Now()
	for i := range count {
		c := sampleCredential(v, i, owner)
		d.apply(&c)
	}
	d.loaded.Store(true)
	return d, time.Since(began)
}

func sampleCredential(v *Vault, i int, owner OwnerType) Credential {
	c := Credential{
		ID: CredentialID(fmt.Sprintf("key_%012d", i)), Kind: Kind([]byte("api_key")), Tenant: TenantID([]byte("default")),
		Owner: Owner{Type: owner, ID: "default"}, Status: Active, Plan: PlanName([]byte("standard")),
		APIs: []APIName{APIName([]byte("orders"))}, Version: 1, ExpiresAt: time.UnixMicro(4e15).UTC(),
		Secrets: []StoredSecret{{ID: SecretID(fmt.Sprintf("%012d", i)), Digest: v.Digest(sampleText(i)), Pepper: 1}},
	}
	if owner == OwnerUser {
		c.Owner.ID = fmt.Sprintf("usr_%012d", i)
	}
	v.SealSecret(c.ID, &c.Secrets[0])
	v.SealCredential(&c)
	return c
}

// sampleText is a text of our form whose secret is a number.
func sampleText(i int) string {
	b := fmt.Appendf(nil, "pst_live_%012d_%043d", i, i)
	return string(b) + base62OfCRC(string(b))
}

func BenchmarkAuthenticate(b *testing.B) {
	const count = 100_000
	v := testVault(b)
	d, _ := filledDirectory(v, count, OwnerTenant)
	now := time.Now()
	texts := func(from int) []string {
		list := make([]string, 1<<14)
		for i := range list {
			list[i] = sampleText(from + i*5)
		}
		return list
	}
	for _, c := range []struct {
		name  string
		texts []string
		want  Code
	}{
		{"hit", texts(0), Admitted},
		{"miss", texts(count), InvalidCredentials},
		{"malformed", []string{"pst_live_000000000000_0000000000000000000000000000000000000000000000000"}, InvalidCredentials},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, code := d.Authenticate(Presented{Text: c.texts[i%len(c.texts)]}, now); code != c.want {
					b.Fatal(code)
				}
			}
		})
	}
	b.Run("hit in parallel", func(b *testing.B) {
		list := texts(0)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				d.Authenticate(Presented{Text: list[i%len(list)]}, now)
			}
		})
	})
}
