package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"postern/internal/keys"
)

// route is a Route compiled: what can be worked out once is not worked out per request.
type route struct {
	Route
	index      int // in Policy.Routes, for state that is kept beside it
	carriers   carriers
	cors       *cors    // nil: none
	allow      string   // value of Allow
	challenges []string // values of WWW-Authenticate
	howTo      string   // hint for callers without credentials
	asCame     bool     // the upstream gets the path byte for byte: it observes
	lenient    bool     // and may let odd requests pass; see observe.go
}

// table finds the route of a request. It is immutable and safe for concurrent use.
type table struct {
	routes []*route
	byHost map[string]*paths
	any    *paths // routes that name no host

	lenient bool // some route is
}

// paths finds the route for a path, under one host.
type paths struct {
	exact   map[string]*route // by the whole path
	below   map[string]*route // by the path of a subtree without its slash at the end
	longest int               // of the keys of below: no need to look at more of a path
}

// newTable compiles a policy's routes. It refuses two routes that match the same requests, and
// settings that cannot work; the error names the route.
func newTable(p *Policy) (*table, error) {
	t := &table{byHost: make(map[string]*paths), any: newPaths()}
	for i := range p.Routes {
		rt, err := compile(p, i)
		if err != nil {
			return nil, fmt.Errorf("compile route %q: %w", p.Routes[i].Name, err)
		}
		t.routes = append(t.routes, rt)
		if len(rt.Hosts) == 0 {
			if err := t.any.add(rt); err != nil {
				return nil, fmt.Errorf("compile route %q: %w", rt.Name, err)
			}
		}
		for _, h := range rt.Hosts {
			host := strings.TrimSuffix(strings.TrimPrefix(h, "["), "]")
			if t.byHost[host] == nil {
				t.byHost[host] = newPaths()
			}
			if err := t.byHost[host].add(rt); err != nil {
				return nil, fmt.Errorf("compile route %q: host %q: %w", rt.Name, h, err)
			}
		}
	}
	t.markLenient()
	return t, nil
}

func compile(p *Policy, index int) (*route, error) {
	rt := &route{Route: p.Routes[index], index: index}
	if decoded, slash, why := decodePath(rt.Path); why != "" || slash || decoded != rt.Path {
		return nil, fmt.Errorf("path %q must be written decoded, without dot segments or empty ones", rt.Path)
	}
	for _, h := range rt.Hosts {
		name := h
		if strings.Count(h, ":") > 1 && h[0] != '[' {
			name = "[" + h + "]"
		}
		if got, ok := parseHost(name); !ok || got != strings.Trim(h, "[]") {
			return nil, fmt.Errorf("host %q must be a name in lower case without port", h)
		}
	}
	accept := rt.Accept
	if accept == nil {
		accept = p.Accept
	}
	var err error
	if rt.carriers, err = newCarriers(accept); err != nil {
		return nil, err
	}
	if !rt.Public && len(accept) == 0 {
		return nil, errors.New("accept is empty, so nobody could call it; name a carrier, or write public: true")
	}
	if !rt.Public && len(rt.Scopes) == 0 {
		return nil, errors.New("scopes are missing; write {\"*\": []} for any method without a scope")
	}
	methods := methodsOf(&rt.Route)
	rt.allow = strings.Join(methods, ", ")
	if rt.cors, err = newCORS(rt.CORS, methods, &rt.carriers, p.LegacyRateLimit); err != nil {
		return nil, err
	}
	rt.challenges, rt.howTo = rt.carriers.challenges(), rt.carriers.howTo()
	return rt, nil
}

func newPaths() *paths {
	return &paths{exact: make(map[string]*route), below: make(map[string]*route)}
}

func (p *paths) add(rt *route) error {
	m, key := p.exact, rt.Path
	if key[len(key)-1] == '/' {
		m, key = p.below, key[:len(key)-1]
		p.longest = max(p.longest, len(key))
	}
	if other, taken := m[key]; taken {
		return fmt.Errorf("matches the same requests as route %q", other.Name)
	}
	m[key] = rt
	return nil
}

// match returns the route of a host (lower case, no port) and a decoded path, or nil: a route that
// names the host beats one that names none, then the longest path by whole segments wins. A path
// that ends with a slash matches itself without it and everything below; another matches only
// itself. Case counts. match does not allocate.
func (t *table) match(host, path string) *route {
	if p := t.byHost[host]; p != nil {
		if rt := p.match(path); rt != nil {
			return rt
		}
	}
	return t.any.match(path)
}

func (p *paths) match(path string) *route {
	if rt := p.exact[path]; rt != nil {
		return rt
	}
	if len(p.below) == 0 {
		return nil
	}
	// Only whole segments count: cut a long path at the last slash a key can reach. So a path of
	// 4 KiB costs no more look-ups than the longest route has segments.
	if len(path) > p.longest+1 {
		path = path[:strings.LastIndexByte(path[:p.longest+1], '/')+1]
	}
	for {
		if rt := p.below[path]; rt != nil {
			return rt
		}
		slash := strings.LastIndexByte(path, '/')
		if slash < 0 {
			return nil
		}
		path = path[:slash]
	}
}

// find is match for a request, together with what its route says about the request's shape: an
// encoded slash or an upgrade must be allowed there. On a refusal the route is returned too if
// there is one, for the log and for CORS.
func (t *table) find(in *inspected) (*route, *refusal) {
	rt := t.match(in.host, in.path)
	if rt == nil {
		return nil, refuse(keys.RouteNotFound)
	}
	// Parameters (;) are part of a segment here, and cut off by servlet containers. They may
	// stand where both find the same route.
	if strings.IndexByte(in.path, ';') >= 0 && t.match(in.host, withoutParameters(in.path)) != rt {
		return rt, ambiguous("The path without its parameters (;) belongs to another route.")
	}
	if in.encodedSlash {
		if !rt.AllowEncodedSlash {
			return rt, ambiguous("The path contains an encoded slash; this route does not allow it.")
		}
		// A server that does not decode it would see another first segment, so another route.
		if _, slash := decodedPrefix(in.rawPath, len(rt.Path)); slash {
			return rt, ambiguous("The path contains an encoded slash in the part that the route is chosen by.")
		}
	}
	if in.websocket && !rt.WebSocket {
		return rt, refuse(keys.UpgradeNotAllowed)
	}
	return rt, nil
}

// upstreamPath returns URL.Path and URL.RawPath of the request to an upstream. Below the target's
// own path, and unless the route strips its prefix, the raw path decodes to in.path exactly.
func (rt *route) upstreamPath(target *url.URL, in *inspected) (path, rawPath string) {
	path, raw := in.path, in.rawPath
	if rt.StripPrefix {
		prefix := len(strings.TrimSuffix(rt.Path, "/"))
		rawPrefix, _ := decodedPrefix(raw, prefix)
		path, raw = path[prefix:], raw[rawPrefix:]
		if path == "" {
			path, raw = "/", "/"
		}
	}
	base := strings.TrimSuffix(target.Path, "/")
	if base != "" {
		path = base + path
	}
	for i := 0; ; i++ {
		if i == len(raw) {
			if base == "" || target.RawPath == "" {
				return path, "" // net/url encodes it alike
			}
			break
		}
		if !isPlainForURL(raw[i]) {
			break
		}
	}
	b := make([]byte, 0, len(base)+len(raw)+16)
	b = append(b, strings.TrimSuffix(target.EscapedPath(), "/")...)
	return path, string(encodePath(b, raw))
}

// all returns the routes in the order of Policy.Routes.
func (t *table) all() []*route { return t.routes }
