package gateway

import "net/http"

// cleanUpstreamHeaders deletes from an outgoing request what only we may say: our identity
// headers, and every claim about the caller's address and the request's original form. Names are
// compared folded (all but letters and digits alike, any case), because CGI-like upstreams read them so,
// and routes that only observe let such names pass. Call it
// first in Rewrite, on every route, public ones too; then set ours.
func cleanUpstreamHeaders(h http.Header) {
	for name := range h {
		if isClaim(name) {
			delete(h, name)
		}
	}
}

func isClaim(name string) bool {
	if name == "" {
		return false
	}
	switch name[0] | 0x20 { // most names are done here
	case 'x':
		return foldedPrefix(name, "x-postern-") || foldedPrefix(name, "x-forwarded") ||
			folded(name, "x-real-ip") || folded(name, "x-client-ip") || folded(name, "x-cluster-client-ip") ||
			// Some frameworks take these for the path, past every rule that looked at the path.
			foldedPrefix(name, "x-original-") || folded(name, "x-rewrite-url")
	case 'f':
		return folded(name, "forwarded")
	case 't':
		return folded(name, "true-client-ip")
	case 'h':
		return folded(name, "host") // HTTP/2 may send it beside :authority; the guard saw them equal
	case 'p':
		return folded(name, "proxy") // CGI would make it HTTP_PROXY
	}
	return false
}

func folded(name, want string) bool { return len(name) == len(want) && foldedPrefix(name, want) }

func foldedPrefix(name, want string) bool {
	if len(name) < len(want) {
		return false
	}
	for i := 0; i < len(want); i++ {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			c = '-'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}
