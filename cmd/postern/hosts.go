package main

import (
	"net"
	"net/url"
	"strings"

	"postern/config"
)

// adminHosts are the names under which browsers reach the admin listener, as far as the configuration
// tells: the public URL's, that of the address it listens on, and those of this machine itself. None
// where it listens on every address and nobody says under which name.
func adminHosts(cfg *config.Config) []string {
	var hosts []string
	if u, err := url.Parse(string(cfg.Admin.PublicURL)); err == nil && u.Hostname() != "" {
		hosts = append(hosts, strings.ToLower(u.Hostname()))
	}
	host, _, err := net.SplitHostPort(string(cfg.Listen.Admin))
	if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
		hosts = append(hosts, strings.ToLower(host))
	}
	if len(hosts) > 0 {
		hosts = append(hosts, "localhost")
	}
	return hosts
}
