package gateway

import (
	"net/http"
	"net/netip"
	"strings"

	"postern/internal/keys"
)

// clientAddress returns the caller's address: the peer of the connection or, while that is a
// trusted proxy, the one before it in X-Forwarded-For, read from the right. An entry that is no
// plain address ends the walk at the last good one. IPv4-mapped addresses come back as IPv4, zones
// are dropped. The zero Addr means that not even the peer is known; no prefix contains it.
// unheard tells that an untrusted peer sent X-Forwarded-For: probably a proxy that nobody listed.
func clientAddress(r *http.Request, trusted []netip.Prefix) (a netip.Addr, unheard bool) {
	if a = peerAddress(r.RemoteAddr); !a.IsValid() {
		return netip.Addr{}, false
	}
	lines := r.Header["X-Forwarded-For"]
	if len(lines) == 0 {
		return a, false
	}
	if !contains(trusted, a) {
		return a, true
	}
	for i := len(lines) - 1; i >= 0; i-- {
		for line, more := lines[i], true; more; {
			var entry string
			if comma := strings.LastIndexByte(line, ','); comma >= 0 {
				line, entry = line[:comma], line[comma+1:]
			} else {
				entry, more = line, false
			}
			next, err := netip.ParseAddr(strings.Trim(entry, " \t"))
			if err != nil || next.Zone() != "" {
				return a, false
			}
			a = next.Unmap()
			if !contains(trusted, a) {
				return a, false
			}
		}
	}
	return a, false
}

// ClientAddress is where a request to another listener of ours comes from, by the trusted proxies in force.
func (g *Gateway) ClientAddress(r *http.Request) netip.Addr {
	a, unheard := clientAddress(r, g.snapshot.Load().trusted)
	if unheard {
		g.adviseProxy(a)
	}
	return a
}

// peerAddress is the address of an address and port, the zero Addr if it is none. IPv4 is read here:
// netip.ParseAddrPort looks at it three times.
func peerAddress(peer string) netip.Addr {
	var ip [4]byte
	at, number, digits := 0, 0, 0
	for i := range len(peer) {
		switch c := peer[i]; {
		case '0' <= c && c <= '9' && digits < 3 && (digits == 0 || number > 0):
			number, digits = 10*number+int(c-'0'), digits+1
			continue
		case digits == 0 || number > 255:
		case c == '.' && at < 3:
			ip[at] = byte(number)
			at, number, digits = at+1, 0, 0
			continue
		case c == ':' && at == 3 && validPort(peer[i:]) && len(peer) > i+1:
			ip[3] = byte(number)
			return netip.AddrFrom4(ip)
		}
		break
	}
	full, err := netip.ParseAddrPort(peer)
	if err != nil {
		return netip.Addr{}
	}
	return full.Addr().Unmap().WithZone("")
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// addressAllowed checks a route's or credential's allowed_ips; an empty list allows every address.
func addressAllowed(allowed []netip.Prefix, a netip.Addr) *refusal {
	if len(allowed) == 0 || contains(allowed, a) {
		return nil
	}
	x := refuse(keys.IPNotAllowed)
	x.decision.Detail = "Calls from " + a.String() + " are not allowed."
	return x
}
