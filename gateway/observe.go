package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"postern/internal/keys"
)

// Rules of this file: a route that only observes lets pass what it would refuse, byte for byte, so
// that a running API can be fronted without breaking anybody. What the guard finds odd passes only if
// it cannot reach past such routes: whichever way the path is read, the request belongs to a route
// that observes, and no route that enforces has the same upstream. What two parsers could frame
// differently, and where a request ends up when the connection changes its protocol, is no matter of
// routes: that stays refused everywhere.

// overlook turns a refusal into none where the route only observes, and notes what it would have
// been. What the caller showed then goes upstream as it came, unless it proved who he is.
func (c *call) overlook(x *refusal) *refusal {
	if x == nil || c.route == nil || !c.route.Observe || c.request.odd != nil && !c.request.passable {
		return x
	}
	if c.would == "" {
		c.would = x.decision.Code
	}
	if c.principal == nil {
		c.presented = presented{}
	}
	return nil
}

// observes tells whether the call's route only observes.
func (c *call) observes() bool { return c.route != nil && c.route.Observe }

// noteLargeBody notes a body whose length was not announced, and that would have been cut.
func (c *call) noteLargeBody(came int64) {
	if c.observes() && c.would == "" && c.route.MaxBody >= 0 && came > c.route.MaxBody {
		c.would = keys.BodyTooLarge
	}
}

// answersLimits tells whether an upstream says something about limits itself.
func answersLimits(h http.Header) bool {
	for _, name := range ours[1:] {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}

// findOddRoute chooses the route of a request in which something odd was found, if one lets it pass.
func (c *call) findOddRoute() *refusal {
	if rt := c.snapshot.table.observing(&c.request); rt != nil {
		c.route = c.snapshot.routes[rt.index]
		c.request.passable = true
	}
	return c.request.odd
}

// observing returns the route that an odd request may pass by: the one for its path as sent. nil
// when any reading of it belongs to a route that enforces, or to none.
func (t *table) observing(in *inspected) *route {
	start := in.rawPath
	if in.path != "" { // it is odd in its encoded slashes at most
		start = decodedButSlashes(in.rawPath)
	}
	forms := readings(start)
	if in.rawPath == "" || len(forms) == 0 || !sendable(in.rawPath) {
		return nil
	}
	for _, form := range forms {
		if !t.observes(in, form) {
			return nil
		}
	}
	return t.match(in.host, start)
}

// observes tells whether a path belongs to a route that observes and shares its upstream with none
// that enforces. Without a host it must, whichever host might be meant.
func (t *table) observes(in *inspected, path string) bool {
	rt := t.match(in.host, path)
	if rt == nil || !rt.lenient {
		return false
	}
	if in.hostless {
		for _, p := range t.byHost {
			if rt := p.match(path); rt != nil && !rt.lenient {
				return false
			}
		}
	}
	return true
}

// markLenient finds the routes that may let odd requests pass: those that observe, send the path as
// it came, and have an upstream that no enforcing route has.
func (t *table) markLenient() {
	guarded := make(map[string]bool)
	for _, rt := range t.routes {
		for _, target := range rt.Targets {
			if !rt.Observe && target != nil {
				guarded[keys.ServerOf(target)] = true
			}
		}
	}
	for _, rt := range t.routes {
		rt.asCame = rt.sendsAsCame()
		rt.lenient = rt.asCame
		for _, target := range rt.Targets {
			rt.lenient = rt.lenient && target != nil && !guarded[keys.ServerOf(target)]
		}
		t.lenient = t.lenient || rt.lenient
	}
}

// sendsAsCame tells whether the upstream gets the path byte for byte: on routes that observe, where
// nothing is taken from it or put before it.
func (rt *route) sendsAsCame() bool {
	if !rt.Observe || rt.StripPrefix {
		return false
	}
	for _, target := range rt.Targets {
		if target == nil || strings.Trim(target.Path, "/") != "" {
			return false
		}
	}
	return true
}

// sendable tells whether net/http can be made to send a path as it is. It sends an opaque target as
// it stands, but takes one that begins with two slashes for a host; and what it can escape by itself
// it need not be given as opaque.
func sendable(raw string) bool {
	if raw == "" || raw[0] != '/' {
		return false
	}
	if !strings.HasPrefix(raw, "//") {
		return true
	}
	u := url.URL{RawPath: raw}
	u.Path = lenientlyDecoded(raw)
	return u.EscapedPath() == raw
}

// setRawPath makes u ask for the path exactly as it was sent; sendable said that it can.
func setRawPath(u *url.URL, raw string) {
	u.Path, u.RawPath, u.Opaque = lenientlyDecoded(raw), raw, ""
	if u.EscapedPath() != raw {
		u.Opaque = raw
	}
}

// foreignMethod tells whether a method that we do not know may pass by a route that observes. One that
// differs from a known one only by its capitals may not: whether an answer has a body depends on it
// (RFC 9110, section 9.3.2). TRACE and TRACK show the caller what we add for the upstream's eyes.
func foreignMethod(method string) bool {
	switch method {
	case "", http.MethodConnect, http.MethodTrace, "TRACK", "PRI":
		return false
	}
	for i := 0; i < len(method); i++ {
		if c := method[i]; !('A' <= c && c <= 'Z' || i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_')) {
			return false
		}
	}
	return len(method) <= 32
}

// framing tells whether a name becomes, when odd characters are folded as CGI does, one that frames
// or addresses a request or belongs to the connection.
func framing(name string) bool {
	for _, known := range [...]string{
		"content-length", "transfer-encoding", "connection", "host", "te", "trailer", "upgrade", "expect",
		"http2-settings", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate",
	} {
		if folded(name, known) {
			return true
		}
	}
	return false
}

// blank refuses what would end the target in a request line, wherever the request goes.
func blank(s string) *refusal {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return ambiguous("The request target contains a " + nameByte(c) + "; escape it.")
		}
	}
	return nil
}
