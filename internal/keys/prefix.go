package keys

import (
	"fmt"
	"net/netip"
)

// ParsePrefix reads a range of addresses, or a single address as the range of that one, in
// canonical form: IPv4 as such, no zone, no bits beyond the length. Its errors say what is wrong
// and, after a semicolon, what to write.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%s is not an address or a range of addresses; write it as in 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32", quote(text))
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%s is IPv4 written as IPv6; write the IPv4 range", quote(text))
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has bits beyond its length; write %s, or %s/%d for the one address",
			quote(text), p.Masked(), p.Addr(), p.Addr().BitLen())
	}
	return p, nil
}
