package gateway

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"postern/internal/keys"
)

// Rules of this file: most break-ins through gateways were two views of one request, one for the
// decision and another for the upstream. So a request with more than one reading is refused and
// its connection closed; nothing is repaired. What net/http itself repairs before a handler sees
// it is found by the wire (wire.go).

const (
	maxHeaderBytes  = 32 << 10 // request target, names and values together
	maxHeaderFields = 100
)

// inspected is what the guard found out about a request that has one reading only.
type inspected struct {
	host         string // lower case, without port
	path         string // decoded: what routes and scopes are matched with
	rawPath      string // as sent
	encodedSlash bool   // rawPath holds %2F: only for routes that allow it
	websocket    bool   // asks for the upgrade to websocket: only for routes that allow it

	// odd is the first finding that a route which only observes may let pass, see observe.go; then
	// path may be empty. nil for a request that has one reading only.
	odd      *refusal
	passable bool // a route was found that lets it pass
	hostless bool // HTTP/1.0 without Host
}

// note keeps a finding that is no danger to how the request is framed. Whoever calls inspect refuses
// it, unless the route only observes.
func (in *inspected) note(x *refusal) {
	if in.odd == nil {
		in.odd = x
	}
}

// inspect tells whether r, which came over w, is one unambiguous request, and fills in. It runs first
// on every listener and protocol, exactly once per request. What it returns stands everywhere; what it
// leaves in in.odd, on every route that enforces. It does not allocate for a request that it lets pass,
// unless its path holds escapes or its host capitals.
func inspect(r *http.Request, w *wire, in *inspected) *refusal {
	*in = inspected{}
	if w != nil {
		if why := w.verdict(); why != "" {
			return ambiguous(why)
		}
	}
	if r.ProtoMajor == 1 && r.ProtoMinor > 1 {
		return ambiguous("The request's version of HTTP is neither 1.0 nor 1.1.")
	}
	switch r.Method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		x := ambiguous("The request's method is not one of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS, in capitals.")
		if !foreignMethod(r.Method) {
			return x
		}
		in.note(x)
	}
	if x := inspectTarget(r, w != nil, in); x != nil {
		return x
	}
	if x := inspectHost(r, in); x != nil {
		return x
	}
	return inspectHeaders(r, in)
}

// inspectTarget reads the request target. The absolute form is accepted only where the wire has
// compared it with Host, because net/http forgets Host then (RFC 9112 section 3.2.2).
func inspectTarget(r *http.Request, watched bool, in *inspected) *refusal {
	target := r.RequestURI
	if target == "" || r.URL == nil {
		return ambiguous("The request has no target.")
	}
	if target[0] != '/' {
		if r.ProtoMajor != 1 || !watched {
			return ambiguous("The request target is not a path.")
		}
		rest, ok := strings.CutPrefix(target, "http://")
		if !ok {
			rest, ok = strings.CutPrefix(target, "https://")
		}
		slash := strings.IndexByte(rest, '/')
		if !ok || slash < 1 || rest[:slash] != r.Host || r.URL.User != nil {
			return ambiguous("The request target is neither a path nor a plain http or https address with a path.")
		}
		target = rest[slash:]
	} else if r.URL.Host != "" || r.URL.Scheme != "" {
		return ambiguous("The request target is not a path.")
	}
	raw, query, _ := strings.Cut(target, "?")
	path, encodedSlash, why := decodePath(raw)
	if why != "" {
		if x := blank(raw); x != nil {
			return x
		}
		in.note(ambiguous(why))
	}
	// net/url has decoded it as well, and others down the line rely on that.
	if why == "" && r.URL.Path != path || r.URL.RawQuery != query || r.URL.Fragment != "" {
		return ambiguous("The request target can be read in two ways.")
	}
	for i := 0; i < len(query); i++ {
		if c := query[i]; c <= ' ' || c >= 0x7f || c == '#' {
			if x := blank(query); x != nil {
				return x
			}
			if c > 0x7f {
				in.note(ambiguous("The query contains bytes beyond ASCII; escape them."))
			} else {
				in.note(ambiguous("The query contains a " + nameByte(c) + "; escape it."))
			}
			break
		}
	}
	in.path, in.rawPath, in.encodedSlash = path, raw, encodedSlash
	return nil
}

// inspectHost reads the authority. net/http has taken r.Host from Host, from :authority or from an
// absolute target; a Host that stands beside :authority is still in the header.
func inspectHost(r *http.Request, in *inspected) *refusal {
	if beside, ok := r.Header["Host"]; ok && (len(beside) != 1 || beside[0] != r.Host) {
		return ambiguous("The request names two hosts.")
	}
	host, ok := parseHost(r.Host)
	if !ok {
		x := ambiguous("The request names no valid host.")
		if r.Host != "" || !(r.ProtoMajor == 1 && r.ProtoMinor == 0) {
			return x
		}
		in.hostless = true
		in.note(x)
	}
	in.host = host
	return nil
}

// parseHost cuts the port off an authority and checks the name: letters, digits, - and _ in labels
// parted by single dots, or an IP address (version 6 in brackets, without zone). The host comes
// back in lower case, an IPv6 address without its brackets.
func parseHost(authority string) (host string, ok bool) {
	if len(authority) == 0 || len(authority) > 255+6 {
		return "", false
	}
	if authority[0] == '[' {
		end := strings.IndexByte(authority, ']')
		if end < 0 || !validPort(authority[end+1:]) {
			return "", false
		}
		a, err := netip.ParseAddr(authority[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", false
		}
		return strings.ToLower(authority[1:end]), true
	}
	capitals, label := false, 0
	end := len(authority)
loop:
	for i := 0; i < len(authority); i++ {
		switch c := authority[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		case 'A' <= c && c <= 'Z':
			capitals = true
			label++
		case c == '.' && label > 0:
			label = 0
		case c == ':':
			end = i
			break loop
		default:
			return "", false
		}
	}
	// A name that ends with a dot means the same host to DNS and another one to most servers.
	if label == 0 || !validPort(authority[end:]) {
		return "", false
	}
	host = authority[:end]
	if capitals {
		host = strings.ToLower(host)
	}
	return host, true
}

// validPort accepts nothing, or a colon and 1 to 65535 without leading zero.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) < 2 || len(s) > 6 || s[1] == '0' {
		return false
	}
	n := 0
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n <= 65535
}

// inspectHeaders looks at every field once. Control characters in values never get here: net/http
// refuses them on both protocols (RFC 9110 section 5.5).
func inspectHeaders(r *http.Request, in *inspected) *refusal {
	fields, size := 0, len(r.RequestURI)+len(r.Host)
	for name, values := range r.Header {
		if !plainName(name) {
			x := ambiguous("A header name has characters other than letters, digits and hyphens.")
			if framing(name) {
				return x
			}
			in.note(x)
		}
		fields += len(values)
		for _, v := range values {
			size += len(name) + len(v) + 4
		}
		switch name {
		case "Authorization", "X-Api-Key", "X-Client-Id", "X-Client-Secret", "Content-Type", "Origin",
			"Access-Control-Request-Method", "Sec-Websocket-Key", "Sec-Websocket-Version":
			if len(values) > 1 {
				in.note(ambiguous("The header " + name + " is sent twice."))
			}
		case "Content-Length":
			if len(values) != 1 || values[0] == "" || !digits(values[0]) {
				return ambiguous("Content-Length is not one number.")
			}
			if n, err := strconv.ParseInt(values[0], 10, 64); err != nil || n != r.ContentLength {
				return ambiguous("Content-Length is not the length of the body.")
			}
		case "Transfer-Encoding":
			return ambiguous("Transfer-Encoding is more than chunked, or not allowed here.")
		case "Trailer":
			return ambiguous("The request announces trailers; they are not accepted.")
		case "Expect":
			if len(values) != 1 || !strings.EqualFold(values[0], "100-continue") {
				return ambiguous("Expect is something other than 100-continue.")
			}
		case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override":
			in.note(ambiguous("The header " + name + " names another method than the request; use the method itself."))
		case "Http2-Settings":
			return ambiguous("Upgrading to HTTP/2 in the clear is not supported.")
		case "Connection":
			if !plainConnection(values) {
				return ambiguous("Connection names a header that another recipient may need.")
			}
		case "Upgrade":
			if !websocketUpgrade(r, values) {
				return ambiguous("Upgrade is only for websocket, by GET over HTTP/1.1, with Connection: Upgrade, one Sec-WebSocket-Key and no body.")
			}
			in.websocket = true
		}
	}
	if fields > maxHeaderFields || size > maxHeaderBytes {
		x := refuse(keys.HeadersTooLarge)
		x.closeConn = true
		in.note(x)
	}
	if len(r.Trailer) > 0 {
		return ambiguous("The request announces trailers; they are not accepted.")
	}
	if te := r.TransferEncoding; len(te) > 1 || (len(te) == 1 && te[0] != "chunked") {
		return ambiguous("Transfer-Encoding is more than chunked.")
	}
	return nil
}

// plainName tells whether a header name is letters, digits and hyphens. CGI-like upstreams fold
// other characters into underscores, so that X_Foo and X.Foo pose as X-Foo.
func plainName(name string) bool {
	if name == "" {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// plainConnection tells whether Connection names options only. Naming a header there makes a proxy
// drop it, also one that a proxy before us has set.
func plainConnection(values []string) bool {
	for _, v := range values {
		for more := true; more; {
			var option string
			option, v, more = strings.Cut(v, ",")
			switch option = strings.Trim(option, " \t"); {
			case option == "", strings.EqualFold(option, "keep-alive"), strings.EqualFold(option, "close"),
				strings.EqualFold(option, "upgrade"), strings.EqualFold(option, "te"):
			default:
				return false
			}
		}
	}
	return true
}

// websocketUpgrade tells whether r is the opening handshake of RFC 6455 section 4.1.
func websocketUpgrade(r *http.Request, upgrade []string) bool {
	return len(upgrade) == 1 && upgrade[0] == "websocket" &&
		r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor == 1 &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		len(r.Header["Sec-Websocket-Key"]) == 1 && hasOption(r.Header["Connection"], "upgrade")
}

func hasOption(values []string, want string) bool {
	for _, v := range values {
		for more := true; more; {
			var option string
			option, v, more = strings.Cut(v, ",")
			if strings.EqualFold(strings.Trim(option, " \t"), want) {
				return true
			}
		}
	}
	return false
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ambiguous is the guard's refusal: bad_request, and the connection closes, because what follows
// on it may be part of the attack.
func ambiguous(why string) *refusal {
	return &refusal{closeConn: true, decision: keys.Decision{Code: keys.BadRequest, Detail: why}}
}
