package gateway

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/keys"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// TestPeerAddress: IPv4 is read as netip reads it, whatever is written.
func TestPeerAddress(t *testing.T) {
	parts := []string{"", "0", "00", "01", "1", "10", "255", "256", "300", "1000", "a", "-1", " 1"}
	ports := []string{"", ":", ":0", ":1", ":65535", ":65536", ":080", ":x", "::1", ".1:1"}
	check := func(peer string) {
		t.Helper()
		want := netip.Addr{}
		if full, err := netip.ParseAddrPort(peer); err == nil {
			want = full.Addr().Unmap().WithZone("")
		}
		if got := peerAddress(peer); got != want {
			t.Errorf("%q: got %v, want %v", peer, got, want)
		}
	}
	for _, part := range parts {
		for _, port := range ports {
			for _, form := range []string{"%.2.3.4", "1.%.3.4", "1.2.3.%", "1.2.%", "%", "[::ffff:1.2.3.%]", "[fe80::%]", "fe80::%"} {
				check(strings.Replace(form, "%", part, 1) + port)
			}
		}
	}
}

func TestClientAddress(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "fd00::/8")
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		want       string
		unheard    bool
	}{
		{"peer alone", "203.0.113.7:1234", nil, "203.0.113.7", false},
		{"mapped peer", "[::ffff:203.0.113.7]:1234", nil, "203.0.113.7", false},
		{"zone", "[fe80::1%eth0]:1234", nil, "fe80::1", false},
		{"untrusted peer forwards", "203.0.113.7:1", []string{"198.51.100.1"}, "203.0.113.7", true},
		{"trusted peer", "10.1.2.3:1", []string{"198.51.100.1"}, "198.51.100.1", false},
		{"mapped trusted peer", "[::ffff:10.1.2.3]:1", []string{"198.51.100.1"}, "198.51.100.1", false},
		{"trusted peer without header", "10.1.2.3:1", nil, "10.1.2.3", false},
		{"spoofed on the left", "10.1.2.3:1", []string{"192.0.2.1, 198.51.100.1"}, "198.51.100.1", false},
		{"two proxies", "10.1.2.3:1", []string{"198.51.100.1,\t10.9.9.9"}, "198.51.100.1", false},
		{"all trusted", "10.1.2.3:1", []string{"10.7.7.7, 10.9.9.9"}, "10.7.7.7", false},
		{"several lines", "10.1.2.3:1", []string{"192.0.2.1", "198.51.100.1, 10.9.9.9"}, "198.51.100.1", false},
		{"lines before the last", "10.1.2.3:1", []string{"198.51.100.1", "10.9.9.9"}, "198.51.100.1", false},
		{"garbage", "10.1.2.3:1", []string{"unknown"}, "10.1.2.3", false},
		{"garbage behind a good one", "10.1.2.3:1", []string{"198.51.100.1, x, 10.9.9.9"}, "10.9.9.9", false},
		{"address with port", "10.1.2.3:1", []string{"198.51.100.1:80"}, "10.1.2.3", false},
		{"empty entry", "10.1.2.3:1", []string{"198.51.100.1, "}, "10.1.2.3", false},
		{"IPv6", "[fd00::1]:1", []string{"2001:db8::5"}, "2001:db8::5", false},
		{"mapped entry", "10.1.2.3:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1", false},
		{"zone in an entry", "10.1.2.3:1", []string{"fe80::1%eth0"}, "10.1.2.3", false},
		{"no address at all", "@", nil, "invalid IP", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
			for _, line := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", line)
			}
			got, unheard := clientAddress(r, trusted)
			if got.String() != tt.want || unheard != tt.unheard {
				t.Errorf("got %v, %v, want %s, %v", got, unheard, tt.want, tt.unheard)
			}
		})
	}
}

func TestNetwork(t *testing.T) {
	for _, tt := range []struct{ address, want string }{
		{"203.0.113.7", "203.0.113.7"},
		{"::ffff:203.0.113.7", "203.0.113.7"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"2001:db8:1:2:ffff::", "2001:db8:1:2::"},
		{"fe80::1%eth0", "fe80::"},
	} {
		if got := keys.ClientNetwork(netip.MustParseAddr(tt.address)); got.String() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.address, got, tt.want)
		}
	}
}

func TestAddressAllowed(t *testing.T) {
	list := prefixes("192.0.2.0/24", "2001:db8::/32")
	for _, tt := range []struct {
		name    string
		list    []netip.Prefix
		address string
		ok      bool
	}{
		{"no list", nil, "198.51.100.1", true},
		{"inside", list, "192.0.2.200", true},
		{"inside, IPv6", list, "2001:db8:ffff::1", true},
		{"outside", list, "192.0.3.1", false},
		{"outside, IPv6", list, "2001:db9::1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := addressAllowed(tt.list, netip.MustParseAddr(tt.address))
			if (x == nil) != tt.ok || (x != nil && x.decision.Code != keys.IPNotAllowed) {
				t.Errorf("got %+v, want allowed %v", x, tt.ok)
			}
		})
	}
	if addressAllowed(list, netip.Addr{}) == nil {
		t.Error("an unknown address is allowed by a list")
	}
}
