package store

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/keys"
)

func fullRecord() keys.Credential {
	at := time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)
	return keys.Credential{
		ID: "key_1", Kind: keys.Client, Tenant: "acme", Owner: keys.Owner{Type: keys.OwnerUser, ID: "u", Name: "U"}, Status: keys.Suspended,
		Plan: "p", APIs: []keys.APIName{"a", "b"}, Scopes: []keys.Scope{"s"}, Test: true, ExpiresAt: at, CreatedAt: at, UpdatedAt: at,
		RevokedAt: at, DeletedAt: at, ManagedBy: "f:1", Version: 1 << 40, MAC: keys.RowMAC{1, 31: 2},
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::/0")},
		Secrets: []keys.StoredSecret{
			{ID: "s1", Digest: keys.Digest{3}, Pepper: 4, Preview: "pst", Sealed: []byte{5}, CreatedAt: at, ExpiresAt: at, MAC: keys.RowMAC{6}},
			{ID: "s2"},
		},
	}
}

var comparable = cmpopts.EquateComparable(time.Time{}, netip.Prefix{})

func TestRecordCutAnywhere(t *testing.T) {
	want := fullRecord()
	whole, err := appendRecord(nil, &want)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, err := parseRecord(whole[:n], nil); !errors.Is(err, errDamaged) {
			t.Fatalf("the first %d of %d bytes: got error %v, want errDamaged", n, len(whole), err)
		}
	}
	want.Hold = keys.HoldTenant
	if whole, err = appendRecord(nil, &want); err != nil {
		t.Fatal(err)
	}
	// What a later release appends behind the last field is ignored.
	for _, w := range []*words{nil, newWords()} {
		got, err := parseRecord(append(whole, "more"...), w)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, comparable); diff != "" {
			t.Errorf("with bytes behind it (-want +got):\n%s", diff)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*keys.Credential)
	}{
		{"invalid range", func(c *keys.Credential) { c.AllowedIPs = []netip.Prefix{{}} }},
		{"time past the year 9999", func(c *keys.Credential) { c.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"time before the year 1", func(c *keys.Credential) { c.Secrets[0].ExpiresAt = time.Time{}.Add(-time.Hour) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := fullRecord()
			c.change(&r)
			if _, err := appendRecord(nil, &r); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestWordsAreShared(t *testing.T) {
	w := newWords()
	a, b := w.of([]byte("orders.read")), w.of([]byte("orders.read"))
	if a != b || len(w.kept) != 1 {
		t.Errorf("got %q and %q of %d kept words, want one", a, b, len(w.kept))
	}
	for n := range 2 * maxWords {
		w.of([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	}
	if len(w.kept) > maxWords {
		t.Errorf("%d words are kept, want at most %d", len(w.kept), maxWords)
	}
}

// FuzzRecord: no bytes break the reader, and what it accepts reads the same once packed again.
func FuzzRecord(f *testing.F) {
	for _, c := range []keys.Credential{fullRecord(), {}} {
		b, err := appendRecord(nil, &c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseRecord(data, nil)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Errorf("got error %v, want errDamaged", err)
			}
			return
		}
		b, err := appendRecord(nil, &c)
		if err != nil {
			return // a time that no writer of ours would have taken
		}
		again, err := parseRecord(b, nil)
		if err != nil {
			t.Fatalf("packed again: %v", err)
		}
		if diff := cmp.Diff(c, again, comparable); diff != "" {
			t.Errorf("packed again (-first +second):\n%s", diff)
		}
	})
}
