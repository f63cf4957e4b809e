package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Match says which requests a route takes.
type Match struct {
	Hosts []string `yaml:"hosts"`                          // lower case, without port; none: any host
	Path  string   `yaml:"path" required:"path: /orders/"` // decoded; ends with / for a whole subtree
}

// Upstream is where a route's requests go.
type Upstream struct {
	Targets []*url.URL `yaml:"targets" required:"targets: [\"http://10.0.0.5:9000\"]"` // at least one; scheme, host and perhaps a base path
	Host    string     `yaml:"host" default:"upstream" enum:"upstream|keep"`
}

// Prefixes are address ranges; a single address is a range of one.
type Prefixes []netip.Prefix

// maxPath is the longest path that the gateway takes from a request, in bytes.
const maxPath = 4096

// lookalikes are what some server or other takes for a dot, a slash, a backslash or a space.
const lookalikes = "\u2024\ufe52\uff0e" + "\u2044\u2215\u29f8\uff0f" + "\ufe68\uff3c\u2216\u29f5" + "\u00a0\u3000"

// checkPath complains about a path that no request could have, because the gateway refuses such
// requests, or that is written in a form that would not match what people expect. It is at least as
// strict as the gateway's own rule, so that a file that was found valid also runs.
func checkPath(in string) error {
	segments := strings.Split(in, "/")
	dots := slices.ContainsFunc(segments, func(s string) bool {
		name, _, _ := strings.Cut(s, ";")
		return name == "." || name == ".."
	})
	switch {
	case !strings.HasPrefix(in, "/"):
		return complaint{fmt.Sprintf("%s does not start with /", show(in)), fmt.Sprintf("write %s", "/"+strings.TrimSuffix(in, "*"))}
	case strings.HasSuffix(in, "*"):
		return complaint{fmt.Sprintf("%s: * has no meaning in a path", show(in)), fmt.Sprintf("write %s for everything below it", strings.TrimRight(in, "*"))}
	case strings.Contains(in, "//"):
		return complaint{"the path has an empty segment (//)", "write single slashes; requests with // are refused"}
	case dots:
		return complaint{"the path has a dot segment", "write the path without . and ..; requests with them are refused"}
	case strings.ContainsAny(in, lookalikes):
		return complaint{"the path has a character that some servers take for a dot, a slash or a space", "write a plain . or /, or match the path above it"}
	case strings.ContainsAny(in, "?#"):
		return complaint{"the path has a query or fragment", "write the path alone"}
	case strings.Contains(in, `\`):
		return complaint{"the path has a backslash", "write /; requests with a backslash are refused"}
	case strings.Contains(in, "%"):
		next := "write the character itself"
		if decoded, err := url.PathUnescape(in); err == nil {
			next = "write it decoded: " + decoded
		}
		return complaint{"the path is percent-encoded, but routes match the decoded path", next}
	case strings.Contains(in, " "):
		return complaint{"the path has a space", "match the path above it, ending with /"}
	case !utf8.ValidString(in) || strings.ContainsFunc(in, unicode.IsControl):
		return complaint{"the path has control characters", ""}
	case len(in) > maxPath:
		return complaint{fmt.Sprintf("the path is longer than %d bytes", maxPath), ""}
	}
	return nil
}

// checkMatchPath complains about a path that cannot be a route's. Parameters may stand in a request,
// but a route found by them would be another one for servers that cut them off.
func checkMatchPath(in string) error {
	if err := checkPath(in); err != nil {
		return err
	}
	if strings.Contains(in, ";") {
		return complaint{"the path has a parameter (;)", "match the path without it; requests whose parameters decide the route are refused"}
	}
	return nil
}

// checkHost returns the host as requests are compared with it.
func checkHost(in string) (string, error) {
	host := strings.ToLower(in)
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", complaint{fmt.Sprintf("%s is not an address", show(in)), `write it as in "[2001:db8::1]"`}
		}
		return "[" + ip.String() + "]", nil
	}
	name, port, hasPort := strings.Cut(host, ":")
	switch {
	case strings.Contains(host, "://"):
		return "", complaint{fmt.Sprintf("%s is a URL", show(in)), "write the host alone, as in api.example.com"}
	case strings.Contains(host, "*"):
		return "", complaint{fmt.Sprintf("%s: a host with * is not supported", show(in)), "list each host, or leave hosts out for any host"}
	case hasPort && !strings.Contains(port, ":"):
		return "", complaint{fmt.Sprintf("%s has a port", show(in)), fmt.Sprintf("write %s; the port does not count", name)}
	case !validHost(host):
		return "", complaint{fmt.Sprintf("%s is not a host name", show(in)), "write it as in api.example.com; other scripts as xn--…"}
	}
	return host, nil
}

// parseTarget reads an upstream's URL.
func parseTarget(in string) (*url.URL, error) {
	const next = `write it as in "http://10.0.0.5:9000"`
	u, err := url.Parse(in)
	switch {
	case holdsPassword(in):
		return nil, complaint{"a target cannot hold a user or password", "write set_headers: { Authorization: env:NAME }"}
	case !strings.Contains(in, "://"):
		return nil, complaint{fmt.Sprintf("%s is not a URL", show(in)), fmt.Sprintf("write it with http:// or https://, as in %q", "http://"+in)}
	case err != nil:
		return nil, complaint{fmt.Sprintf("%s is not a URL", show(in)), next}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, complaint{fmt.Sprintf("an upstream speaks http or https, not %s", u.Scheme), next}
	case u.Hostname() == "":
		return nil, complaint{fmt.Sprintf("%s has no host", show(in)), next}
	case strings.ContainsAny(in, "?#"):
		return nil, complaint{"a target cannot have a query or fragment", "write scheme, host and perhaps a base path"}
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil && !validHost(strings.ToLower(u.Hostname())) {
		return nil, complaint{fmt.Sprintf("%s is not a host", show(u.Hostname())), next}
	}
	if port := u.Port(); strings.HasSuffix(u.Host, ":") || port != "" && !validPort(port) {
		return nil, complaint{fmt.Sprintf("%s is not a port from 1 to 65535", show(port)), next}
	}
	if u.Path != "" {
		if err := checkPath(u.EscapedPath()); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// holdsPassword tells whether there is a user before the host, whatever else is wrong with a URL.
func holdsPassword(in string) bool {
	if _, rest, ok := strings.Cut(in, "://"); ok {
		in = rest
	}
	authority, _, _ := strings.Cut(in, "/")
	return strings.Contains(authority, "@")
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
