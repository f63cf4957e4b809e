package gateway

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"postern/internal/keys"
)

// Rules of this file: exactly one accepted carrier holds the credential, otherwise the request is
// refused, even if two hold the same. A carrier that the route does not accept is data for the
// upstream. So is a Bearer value that is not in our form while another carrier holds a
// credential: end users' own tokens keep working beside our keys.

// carriers are the accepted places of a credential, compiled.
type carriers struct {
	bearer, basic, client bool
	headers               []string // canonical names, X-Api-Key among them
	queries               []string
	order                 []Carrier
}

// newCarriers compiles a list of carriers.
func newCarriers(list []Carrier) (carriers, error) {
	c := carriers{order: list}
	for _, one := range list {
		switch one.Kind {
		case Bearer:
			c.bearer = true
		case Basic:
			c.basic = true
		case ClientHeaders:
			c.client = true
		case XAPIKey:
			c.headers = append(c.headers, "X-Api-Key")
		case Header:
			name := textproto.CanonicalMIMEHeaderKey(one.Name)
			if !plainName(one.Name) {
				return carriers{}, fmt.Errorf("carrier header %q: a name of letters, digits and hyphens is needed", one.Name)
			}
			switch name {
			case "Authorization", "Host", "Connection", "Upgrade", "Content-Length", "Content-Type",
				"Transfer-Encoding", "Trailer", "Te", "Expect", "X-Client-Id", "X-Client-Secret":
				return carriers{}, fmt.Errorf("carrier header %q: that name has a meaning of its own", one.Name)
			}
			c.headers = append(c.headers, name)
		case Query:
			if one.Name == "" {
				return carriers{}, fmt.Errorf("carrier query: a parameter's name is needed")
			}
			c.queries = append(c.queries, one.Name)
		default:
			return carriers{}, fmt.Errorf("carrier kind %d is unknown", one.Kind)
		}
	}
	return c, nil
}

// presented is the credential of a request and where it stood. The zero value is none. Where the
// carrier's own syntax is broken Text is empty, which is nobody's credential, so that the answer is
// the one that unknown credentials get.
type presented struct {
	keys.Presented
	from Carrier
}

// find looks for the one credential of a request. Without any it is missing_credentials, with two
// bad_request; a malformed one is no refusal here. It does not allocate for a Bearer value or a
// key in a header.
func (c *carriers) find(r *http.Request, f keys.Format, p *presented) *refusal {
	*p = presented{}
	found := 0
	take := func(from Carrier, text, id string) {
		found++
		p.from, p.Text, p.ClientID = from, text, id
	}
	reject := func(detail string) *refusal {
		*p = presented{} // whatever was taken before
		return ambiguous(detail)
	}
	for _, name := range c.headers {
		values := r.Header[name]
		if len(values) > 1 {
			return reject("The header " + name + " is sent twice.")
		}
		if len(values) == 1 && values[0] != "" {
			take(Carrier{Kind: Header, Name: name}, values[0], "") // X-API-Key is one by name
		}
	}
	half, secretAlone := "", false
	if c.client {
		id, secret := first(r.Header["X-Client-Id"]), first(r.Header["X-Client-Secret"])
		switch {
		case id != "" && secret != "":
			take(Carrier{Kind: ClientHeaders}, secret, id)
		case id != "":
			half = "X-Client-Id is there, but X-Client-Secret is missing."
		case secret != "":
			half, secretAlone = "X-Client-Secret is there, but X-Client-Id is missing.", true
		}
	}
	for _, name := range c.queries {
		value, n, malformed := queryValue(r.URL.RawQuery, name)
		if n > 1 {
			return reject("The query parameter that holds the key is sent twice.")
		}
		if n == 1 && (value != "" || malformed) {
			take(Carrier{Kind: Query, Name: name}, value, "")
		}
	}
	if c.bearer || c.basic {
		values := r.Header["Authorization"]
		if len(values) > 1 {
			return reject("The header Authorization is sent twice.")
		}
		scheme, value := cutScheme(first(values))
		switch {
		case c.bearer && strings.EqualFold(scheme, "bearer"):
			if found == 0 || f.Parse(value).Kind != keys.NotOurs {
				take(Carrier{Kind: Bearer}, value, "")
			}
		case c.basic && strings.EqualFold(scheme, "basic"):
			id, secret := decodeBasic(value)
			take(Carrier{Kind: Basic}, secret, id)
		}
	}
	switch {
	case found == 1 && !secretAlone: // a secret must not pass to the upstream as data
		return nil
	case found == 0:
		x := refuse(keys.MissingCredentials)
		x.decision.Detail = half
		return x
	}
	return reject("The request holds two credentials; send one.")
}

// cutScheme parts the Authorization header as the most lenient upstream would, so that no key of
// ours passes as something else (RFC 9110, 11.4: one or more spaces).
func cutScheme(header string) (scheme, value string) {
	header = trimBlanks(header)
	for i := range len(header) {
		if whitespace(header[i]) {
			return header[:i], trimBlanks(header[i:])
		}
	}
	return header, ""
}

// trimBlanks is strings.Trim(s, " \t"), which makes a set of the characters first.
func trimBlanks(s string) string {
	for len(s) > 0 && whitespace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	for len(s) > 0 && whitespace(s[0]) {
		s = s[1:]
	}
	return s
}

func whitespace(c byte) bool { return c == ' ' || c == '\t' }

// strip removes the credential from an outgoing request, and only that.
func (p *presented) strip(out *http.Request) {
	switch p.from.Kind {
	case Bearer, Basic:
		delete(out.Header, "Authorization")
	case Header, XAPIKey:
		delete(out.Header, p.from.Name)
	case ClientHeaders:
		delete(out.Header, "X-Client-Id")
		delete(out.Header, "X-Client-Secret")
	case Query:
		out.URL.RawQuery = withoutParameter(out.URL.RawQuery, p.from.Name)
	}
}

// decodeBasic reads the credentials of RFC 7617 strictly: canonical base64 with padding, then
// id:secret. Anything else comes back empty.
func decodeBasic(value string) (id, secret string) {
	if len(value) > 1024 {
		return "", ""
	}
	b, err := base64.StdEncoding.Strict().DecodeString(value)
	// The decoder skips line breaks, which a header cannot hold, so the length shows them.
	if err != nil || base64.StdEncoding.EncodedLen(len(b)) != len(value) {
		return "", ""
	}
	id, secret, _ = strings.Cut(string(b), ":")
	if id == "" || secret == "" {
		return "", ""
	}
	return id, secret
}

// queryValue finds a parameter by its decoded name and returns its decoded value and how often it
// occurs. Parameters are parted by & only.
func queryValue(raw, name string) (value string, n int, malformed bool) {
	for rest, more := raw, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, "&")
		if !isParameter(pair, name) {
			continue
		}
		n++
		_, v, _ := strings.Cut(pair, "=")
		var err error
		if value, err = url.QueryUnescape(v); err != nil {
			value, malformed = "", true
		}
	}
	return value, n, malformed
}

// withoutParameter cuts a parameter out of a raw query and leaves all other bytes alone.
func withoutParameter(raw, name string) string {
	var b strings.Builder
	cut, wrote := false, false
	for rest, more := raw, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, "&")
		if isParameter(pair, name) {
			cut = true
			continue
		}
		if wrote {
			b.WriteByte('&')
		}
		b.WriteString(pair)
		wrote = true
	}
	if !cut {
		return raw
	}
	return b.String()
}

// isParameter tells whether a name=value pair has this name, escaped or not.
func isParameter(pair, name string) bool {
	key, _, _ := strings.Cut(pair, "=")
	if key == name {
		return true
	}
	if strings.IndexByte(key, '%') < 0 && strings.IndexByte(key, '+') < 0 {
		return false
	}
	decoded, err := url.QueryUnescape(key)
	return err == nil && decoded == name
}

// challenges are the values of WWW-Authenticate. Only Bearer and Basic are registered schemes; the
// other carriers have a name of our own, because a 401 needs a challenge (RFC 9110 section 11.6.1).
func (c *carriers) challenges() []string {
	var list []string
	for _, one := range c.order {
		switch one.Kind {
		case Bearer:
			list = append(list, `Bearer realm="postern"`)
		case Basic:
			list = append(list, `Basic realm="postern", charset="UTF-8"`)
		case ClientHeaders:
			list = append(list, `ApiKey realm="postern", header="X-Client-Id X-Client-Secret"`)
		case XAPIKey:
			list = append(list, `ApiKey realm="postern", header="X-API-Key"`)
		case Header:
			list = append(list, `ApiKey realm="postern", header="`+one.Name+`"`)
		case Query:
			list = append(list, `ApiKey realm="postern", query="`+url.QueryEscape(one.Name)+`"`)
		}
	}
	return list
}

// howTo tells in words where a credential may stand.
func (c *carriers) howTo() string {
	var ways []string
	for _, one := range c.order {
		switch one.Kind {
		case Bearer:
			ways = append(ways, "Authorization: Bearer <key>")
		case Basic:
			ways = append(ways, "Authorization: Basic with client id and secret")
		case ClientHeaders:
			ways = append(ways, "X-Client-Id and X-Client-Secret")
		case XAPIKey:
			ways = append(ways, "X-API-Key: <key>")
		case Header:
			ways = append(ways, one.Name+": <key>")
		case Query:
			ways = append(ways, "the query parameter "+one.Name)
		}
	}
	if len(ways) == 0 {
		return ""
	}
	return "Send a credential in one of: " + strings.Join(ways, "; ") + "."
}

// headerNames lists the headers that the carriers use, for CORS.
func (c *carriers) headerNames() []string {
	var names []string
	if c.bearer || c.basic {
		names = append(names, "Authorization")
	}
	names = append(names, c.headers...)
	if c.client {
		names = append(names, "X-Client-Id", "X-Client-Secret")
	}
	return names
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
