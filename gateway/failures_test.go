package gateway

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"postern/internal/keys"
)

func TestTooManyFailures(t *testing.T) {
	c := newClock()
	h := start(t, nil, withClock(c), func(o *Options) { o.FailuresPerMinute = 3 })
	for range 3 {
		wantCode(t, h.get("/", "wrong"), keys.InvalidCredentials)
	}
	c.advance(10 * time.Second)
	a := h.get("/", "wrong")
	wantCode(t, a, keys.TooManyFailures)
	if a.Header.Get("Retry-After") != "50" {
		t.Errorf("Retry-After is %q, want 50", a.Header.Get("Retry-After"))
	}
	wantStatus(t, h.get("/", goodKey), 200)                     // a right key is never throttled by it
	wantCode(t, h.get("/", expiredKey), keys.CredentialExpired) // nor one whose possession is proved
	wantCode(t, h.get("/", ""), keys.MissingCredentials)        // and none is no guess
	c.advance(50 * time.Second)
	wantCode(t, h.get("/", "wrong"), keys.InvalidCredentials)
}

func TestFailuresCountNetworks(t *testing.T) {
	f := newFailures(1)
	now := time.Now()
	cases := []struct {
		address   string
		throttled bool
	}{
		{"192.0.2.1", false}, {"192.0.2.1", true}, {"192.0.2.2", false},
		{"2001:db8::1", false}, {"2001:db8::2", true}, {"2001:db8:0:1::1", false},
	}
	for i, c := range cases {
		if got := f.record(network(netip.MustParseAddr(c.address)), now) > 0; got != c.throttled {
			t.Errorf("failure %d, from %s: throttled is %v, want %v", i, c.address, got, c.throttled)
		}
	}
}

func TestFailuresAreBounded(t *testing.T) {
	f := newFailures(1)
	now := time.Now()
	for i := range 200_000 {
		f.record(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)), now)
	}
	held := 0
	for i := range f.shards {
		held += len(f.shards[i].counts)
	}
	if held > failureShards*failuresPerShard || held < failureShards*failuresPerShard/2 {
		t.Errorf("%d networks are remembered, want at most %d", held, failureShards*failuresPerShard)
	}
}
