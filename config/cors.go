package config

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// CORS says which browser origins may call a route.
type CORS struct {
	Origins     []string      `yaml:"origins" required:"origins: [https://app.example.com]"` // exact origins, or "*" alone
	Methods     []string      `yaml:"methods"`                                               // none: those the route has scopes for
	Headers     []string      `yaml:"headers"`                                               // canonical names; none: the carriers' and Content-Type
	Expose      []string      `yaml:"expose"`                                                // canonical names
	Credentials bool          `yaml:"credentials" default:"false"`
	MaxAge      time.Duration `yaml:"max_age" default:"10m" max:"24h"`
}

func (d *decoder) checkCORS(c *CORS, p path) {
	if len(c.Origins) == 0 && !d.broken(p.to("origins")...) {
		d.wrong(p.to("origins"), "lists no origin", `list them, as in [https://app.example.com], or ["*"]`)
	}
	for i, in := range c.Origins {
		at := p.to("origins", index(i))
		if d.broken(at...) {
			continue
		}
		if in != "*" {
			origin, err := checkOrigin(in)
			d.accept(err, at, &node{at: d.place(at)})
			c.Origins[i] = origin
		} else if len(c.Origins) > 1 {
			d.wrong(at, `"*" allows every origin, so the others mean nothing`, `write ["*"] alone, or remove it`)
		}
		if in == "*" && c.Credentials && !d.broken(p.to("credentials")...) {
			d.wrong(at, `"*" cannot be combined with credentials: true`, "list the origins; browsers refuse the combination, and any site could use its visitors' sessions")
		}
	}
	for i, m := range c.Methods {
		if at := p.to("methods", index(i)); !d.broken(at...) && m != "HEAD" {
			d.accept(checkMethod(m), at, &node{at: d.place(at)})
		}
	}
	for _, list := range []struct {
		name  string
		names []string
	}{{"headers", c.Headers}, {"expose", c.Expose}} {
		for i, h := range list.names {
			at := p.to(list.name, index(i))
			if d.broken(at...) {
				continue
			}
			if !headerForm.MatchString(h) {
				d.wrong(at, fmt.Sprintf("%s is not a header name", show(h)), "header names have A-Z, a-z, 0-9 and -; list each")
			}
			list.names[i] = http.CanonicalHeaderKey(h)
		}
	}
}

// checkOrigin returns an origin as browsers send it (RFC 6454 section 6.2): scheme, host and a
// port only when it is not the scheme's own.
func checkOrigin(in string) (string, error) {
	u, err := url.Parse(in)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Contains(in, "*") {
		return "", complaint{fmt.Sprintf("%s is not an origin", show(in)), `write it as in https://app.example.com, or "*" alone`}
	}
	host := strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	origin := u.Scheme + "://" + host
	if in != origin {
		return "", complaint{fmt.Sprintf("%s is not written as browsers send it", show(in)), "write " + origin}
	}
	return origin, nil
}

// methods are those that the gateway forwards and that scopes can name. HEAD counts as GET.
var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// checkMethod complains about a method that a route cannot have.
func checkMethod(m string) error {
	switch upper := strings.ToUpper(m); {
	case slices.Contains(methods, m):
		return nil
	case m == "HEAD":
		return complaint{"HEAD counts as GET", "write GET"}
	case slices.Contains(methods, upper):
		return complaint{fmt.Sprintf("%s is not a method", show(m)), "write " + upper}
	case upper == "CONNECT" || upper == "TRACE":
		return complaint{fmt.Sprintf("%s is never forwarded", upper), "remove it"}
	}
	return complaint{fmt.Sprintf("%s is not a method that is forwarded", show(m)), meant(m, methods)}
}
