//go:build !race

// The race detector makes sync.Pool forget at random, so allocations are counted without it.

package keys

import (
	"strings"
	"testing"
	"time"
)

func TestParseDoesNotAllocate(t *testing.T) {
	f := testFormat(t)
	_, key, _ := f.NewKey(nil, false)
	text := key.Reveal()
	if n := testing.AllocsPerRun(100, func() { f.Parse(text) }); n != 0 {
		t.Errorf("Parse allocates %v times", n)
	}
}

func TestDigestDoesNotAllocate(t *testing.T) {
	v := vaultOf(t, "1:"+samplePepper)
	text := "pst_live_" + strings.Repeat("x", 62)
	if n := testing.AllocsPerRun(100, func() { v.Digest(text) }); n != 0 {
		t.Errorf("Digest allocates %v times", n)
	}
}

func TestAuthenticateDoesNotAllocate(t *testing.T) {
	d, _ := filledDirectory(testVault(t), 1000, OwnerTenant)
	now := time.Now()
	for name, c := range map[string]struct {
		text string
		want Code
	}{"hit": {sampleText(7), Admitted}, "miss": {sampleText(5000), InvalidCredentials}, "malformed": {"hello", InvalidCredentials}} {
		n := testing.AllocsPerRun(200, func() {
			p, code := d.Authenticate(Presented{Text: c.text}, now)
			if code != c.want || p != nil && (p.Rights().Header == "" || d.Recheck(Presented{Text: c.text}, p, now) != Admitted) {
				t.Fatal(code)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func TestUsedDoesNotAllocate(t *testing.T) {
	d, _ := filledDirectory(testVault(t), 10, OwnerTenant)
	now := time.Now()
	texts := make([]string, 10)
	for i := range texts {
		texts[i] = sampleText(i)
	}
	n := testing.AllocsPerRun(200, func() {
		for _, text := range texts {
			p, _ := d.Authenticate(Presented{Text: text}, now)
			p.Used(now)
		}
		now = now.Add(time.Second)
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	if got := d.TakeUses(nil); len(got) != 10 {
		t.Errorf("got %d uses, want 10", len(got))
	}
}
