package keys

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestFailuresCountNetworks(t *testing.T) {
	f := NewFailures(1)
	now := time.Now()
	cases := []struct {
		address   string
		throttled bool
	}{
		{"192.0.2.1", false}, {"192.0.2.1", true}, {"192.0.2.2", false},
		{"2001:db8::1", false}, {"2001:db8::2", true}, {"2001:db8:0:1::1", false},
	}
	for i, c := range cases {
		if got := f.Record(netip.MustParseAddr(c.address), now) > 0; got != c.throttled {
			t.Errorf("failure %d, from %s: throttled is %v, want %v", i, c.address, got, c.throttled)
		}
	}
}

func TestFailuresAreBounded(t *testing.T) {
	f := NewFailures(1)
	now := time.Now()
	for i := range 200_000 {
		f.Record(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)), now)
	}
	held := 0
	for i := range f.shards {
		held += len(f.shards[i].counts)
	}
	if held > failureShards*failuresPerShard || held < failureShards*failuresPerShard/2 {
		t.Errorf("%d networks are remembered, want at most %d", held, failureShards*failuresPerShard)
	}
}

func TestFailuresOfNobody(t *testing.T) {
	f := NewFailures(1)
	now := time.Now()
	f.Record(netip.Addr{}, now)
	if f.Record(netip.Addr{}, now) == 0 {
		t.Error("failures without an address are not counted")
	}
}

func TestFailuresWhenTheClockGoesBack(t *testing.T) {
	f := NewFailures(1)
	now, client := time.Now(), netip.MustParseAddr("192.0.2.1")
	f.Record(client, now)
	f.Record(client, now)
	if wait := f.Record(client, now.Add(-time.Hour)); wait != 0 {
		t.Errorf("waits %s for a minute that lies in the future", wait)
	}
}

func TestFailuresConcurrent(t *testing.T) {
	f := NewFailures(20)
	now := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if f.Record(netip.MustParseAddr("192.0.2.1"), now) == 0 {
					mu.Lock()
					passed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if passed != 20 {
		t.Errorf("got %d plain failures, want 20", passed)
	}
}
