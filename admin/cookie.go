package admin

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/keys"
)

// sessionCookie holds the text of a person's session. By its prefix a browser takes it from this very
// host only, over TLS (or on its own machine), for all paths (RFC 6265bis, section 4.1.3).
const sessionCookie = "__Host-postern"

// setSession is the Set-Cookie that hands a session to the browser; it ends with the browser.
func setSession(text keys.Secret) string {
	return sessionCookie + "=" + text.Reveal() + "; Path=/; Secure; HttpOnly; SameSite=Strict"
}

// clearSession takes it back.
const clearSession = sessionCookie + "=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"

// sessionText reads the session's text; the zero Secret where there is none.
func sessionText(r *http.Request) (keys.Secret, error) {
	switch cookies := r.CookiesNamed(sessionCookie); len(cookies) {
	case 0:
		return keys.Secret{}, nil
	case 1:
		return keys.NewSecret(cookies[0].Value), nil
	default:
		return keys.Secret{}, &problem{code: badRequest, detail: "The request carries more than one session cookie.",
			hint: "Delete the cookies of this site and sign in again."}
	}
}

// hosted tells whether a request that a session can come of names one of our own hosts. A page that
// reaches this listener under a name of its own (DNS rebinding) could sign people in here, try
// passwords from their machines, and read the answers, which look to the browser like its own site's.
// An address instead of a name cannot be rebound. Where nobody said what our names are, all are.
func (s *server) hosted(r *http.Request) bool {
	if len(s.Hosts) == 0 || len(r.CookiesNamed(sessionCookie)) == 0 && !opensSession(r.URL.Path) {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	_, err := netip.ParseAddr(host)
	return err == nil || slices.Contains(s.Hosts, host)
}

func opensSession(path string) bool {
	return path == "/v1/session" || strings.HasPrefix(path, "/v1/session/") || path == "/v1/password-resets"
}
