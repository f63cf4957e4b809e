package keys

import (
	"net/netip"
	"net/url"
	"strings"
)

// ServerOf names the server that a URL of an upstream leads to, as host:port in one spelling: two URLs
// with the same name reach the same machine, as far as their texts tell. All names of this machine for
// itself are localhost; other names are not looked up.
func ServerOf(target *url.URL) string {
	port := target.Port()
	switch {
	case port != "":
	case target.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return machine(target.Hostname()) + ":" + port
}

// machine makes one of the spellings of an address, and of the many names that this machine has for itself.
func machine(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	a, err := netip.ParseAddr(host)
	switch {
	case err == nil && (a.Unmap().IsLoopback() || a.Unmap().IsUnspecified()), strings.HasSuffix(host, ".localhost"):
		return "localhost"
	case err == nil:
		return a.Unmap().String()
	}
	return host
}
