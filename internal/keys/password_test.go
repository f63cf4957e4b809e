package keys

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

var client = netip.MustParseAddr("192.0.2.7")

func TestPasswordHash(t *testing.T) {
	p := newPasswords()
	hash, err := p.hash(t.Context(), NewSecret("correct horse"), client)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("got %q, %v", hash, err)
	}
	other, err := p.hash(t.Context(), NewSecret("correct horse"), client)
	if err != nil || other == hash {
		t.Errorf("two hashes of one password are alike (%v)", err)
	}
	for _, c := range []struct {
		password, hash string
		want           bool
	}{
		{"correct horse", hash, true}, {"correct horse", other, true}, {"correct hors", hash, false}, {"Correct horse", hash, false},
		{"", hash, false}, {"correct horse", "", false}, {"", "", false}, {"", p.nobody, false},
	} {
		if got, err := p.matches(t.Context(), NewSecret(c.password), c.hash, client); got != c.want || err != nil {
			t.Errorf("matches(%q, %q) = %t, %v, want %t", c.password, c.hash, got, err, c.want)
		}
	}
	for _, bad := range []string{
		"x", "$argon2i$v=19$m=19456,t=2,p=1$AAAA$AAAA", strings.Replace(hash, "v=19", "v=16", 1), strings.Replace(hash, "m=19456", "m=4294967295", 1),
		strings.Replace(hash, "t=2", "t=0", 1), strings.Replace(hash, "p=1", "p=0", 1), hash[:len(hash)-30], hash + "$",
	} {
		if got, err := p.matches(t.Context(), NewSecret("correct horse"), bad, client); got || err == nil {
			t.Errorf("matches with the hash %q = %t, %v, want an error", bad, got, err)
		}
	}
}

// TestNobodysPasswordCostsAsMuch: an account that does not exist is checked with the same work.
func TestNobodysPasswordCostsAsMuch(t *testing.T) {
	p := newPasswords()
	hash, err := p.hash(t.Context(), NewSecret("correct horse"), client)
	if err != nil {
		t.Fatal(err)
	}
	salt, key, cost, err := parsePHC(hash)
	if err != nil {
		t.Fatal(err)
	}
	nobodysSalt, nobodysKey, nobodysCost, err := parsePHC(p.nobody)
	if err != nil || cost != nobodysCost || len(salt) != len(nobodysSalt) || len(key) != len(nobodysKey) || cost.memory < 19<<10 {
		t.Errorf("got %+v and %+v, %v", cost, nobodysCost, err)
	}
}

// TestPasswordsWaitInLine: a bounded number is checked at once and waits, and one network cannot take all
// places.
func TestPasswordsWaitInLine(t *testing.T) {
	p := newPasswords()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var leave []func()
	for range cap(p.running) {
		done, err := p.enter(ctx, netip.MustParseAddr("198.51.100.1"))
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, done)
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	if _, err := p.enter(ended, client); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that hung up: got %v", err)
	}
	waiting := make(chan func(), networkShare)
	for range networkShare {
		go func() {
			done, err := p.enter(ctx, client)
			if err != nil {
				t.Error(err)
			}
			waiting <- done
		}()
	}
	for { // until all of them wait
		p.mu.Lock()
		n := p.networks[client]
		p.mu.Unlock()
		if n == networkShare {
			break
		}
		runtime.Gosched()
	}
	if _, err := p.enter(ctx, client); !errors.Is(err, errBusy) {
		t.Errorf("one more of a network: got %v, want errBusy", err)
	}
	if !p.join(netip.MustParseAddr("203.0.113.1")) {
		t.Error("a network that fills its share keeps others out")
	}
	p.part(netip.MustParseAddr("203.0.113.1"))
	for _, done := range leave {
		done()
	}
	for range networkShare {
		(<-waiting)()
	}
	if p.all != 0 || len(p.networks) != 0 {
		t.Errorf("%d are left, %v", p.all, p.networks)
	}
	for i := range passwordQueue {
		if !p.join(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})) {
			t.Fatalf("place %d of the line is taken", i)
		}
	}
	if p.join(client) {
		t.Error("the line has no end")
	}
}

func TestTriesAreBounded(t *testing.T) {
	tries := newTries()
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for i := range mostTried + 100 {
		var account Digest
		account[0], account[1], account[2] = byte(i), byte(i>>8), byte(i>>16)
		tries.wait(account, client, now)
	}
	if len(tries.pairs) > mostTried || len(tries.accounts) > mostTried {
		t.Errorf("%d pairs and %d accounts are kept", len(tries.pairs), len(tries.accounts))
	}
}

// TestOneSiteHasOneShare: who has a /48 of IPv6 has one share of the line, not one for each /64.
func TestOneSiteHasOneShare(t *testing.T) {
	p := newPasswords()
	for i := range networkShare {
		if !p.join(site(netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i)))) {
			t.Fatalf("place %d is refused", i)
		}
	}
	if p.join(site(netip.MustParseAddr("2001:db8:1:ffff::1"))) {
		t.Error("another /64 of the same site gets a place of its own")
	}
	for _, other := range []string{"2001:db8:2::1", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.3"} {
		if !p.join(site(netip.MustParseAddr(other))) {
			t.Errorf("%s finds no place", other)
		}
	}
}
