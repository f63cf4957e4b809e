package config

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"postern/limiter"
)

// Route says which requests go to which upstream, and what it takes to get there.
type Route struct {
	Name              string          `yaml:"-"`
	Match             Match           `yaml:"match"`
	Upstream          Upstream        `yaml:"upstream"`
	Public            bool            `yaml:"public" default:"false"`
	API               string          `yaml:"api"` // "": any
	Scopes            Scopes          `yaml:"scopes"`
	Limits            []limiter.Limit `yaml:"limits" default:"[]"` // on top of the plan's
	Cost              int64           `yaml:"cost" default:"1" min:"1"`
	Timeout           time.Duration   `yaml:"timeout" default:"30s" min:"1ms" max:"24h"`
	MaxBody           Size            `yaml:"max_body" default:"10MiB" min:"1B"`
	StripPrefix       bool            `yaml:"strip_prefix" default:"false"`
	SetHeaders        SetHeaders      `yaml:"set_headers"`
	WebSocket         bool            `yaml:"websocket" default:"false"`
	AllowEncodedSlash bool            `yaml:"allow_encoded_slash" default:"false"`
	CORS              *CORS           `yaml:"cors"` // nil when absent or {}
	AllowedIPs        Prefixes        `yaml:"allowed_ips" default:"[]"`
	Accept            Carriers        `yaml:"accept"` // nil: as in credentials
	AcceptTest        bool            `yaml:"accept_test" default:"false"`
	ForwardCredential bool            `yaml:"forward_credential" default:"false"`
	OnLoss            string          `yaml:"on_loss" enum:"local|deny|allow"` // limiter.on_loss when not written
	Enforce           bool            `yaml:"enforce" default:"true"`          // false: observe
}

// Scopes are what each method needs: all that are listed. The key "*" stands for every method
// without an entry of its own; a method that has neither is refused. Nil only on public routes,
// and then any method is taken.
type Scopes map[string][]string

func (s *Scopes) decode(d *decoder, n *node, p path) {
	if !d.isKind(n, mapping, p) {
		return
	}
	*s = Scopes{}
	for _, e := range n.entries {
		at := p.to(e.key)
		if e.key != "*" {
			d.accept(checkMethod(e.key), at, &node{at: e.at})
		}
		list := []string{}
		d.value(elem(&list), e.value, field{}, at)
		(*s)[e.key] = list
	}
}

// elem is how reflection writes to a variable.
func elem(target any) reflect.Value { return reflect.ValueOf(target).Elem() }

func (d *decoder) checkRoutes(c *Config) {
	type match struct{ host, path string }
	taken := map[match]string{}
	for _, name := range d.inOrder(slices.Collect(maps.Keys(c.Routes)), "routes") {
		r, p := c.Routes[name], path{"routes", name}
		r.Name = name
		d.checkMatch(&r.Match, p.to("match"))
		if !d.broken(p.to("match")...) {
			hosts := r.Match.Hosts
			if len(hosts) == 0 {
				hosts = []string{""}
			}
			for _, host := range hosts {
				m := match{host, r.Match.Path}
				if other, equal := taken[m]; equal {
					d.wrong(p.to("match", "path"), fmt.Sprintf("route %s (%s) has the same match: %s%s", other, d.where(path{"routes", other, "match", "path"}), host, m.path),
						"change one of the paths or hosts")
					break
				}
				taken[m] = name
			}
		}
		d.checkUpstream(&r.Upstream, p.to("upstream"))
		d.checkNeeds(c, r, p)
		d.checkCost(c, r, p)
		if r.CORS != nil {
			d.checkCORS(r.CORS, p.to("cors"))
		}
	}
	d.checkObserving(c)
}

// inOrder sorts names under a section by where they stand in the file.
func (d *decoder) inOrder(names []string, section string) []string {
	slices.SortFunc(names, func(a, b string) int {
		x, y := d.keyPlace(path{section, a}), d.keyPlace(path{section, b})
		return cmp.Or(cmp.Compare(x.line, y.line), cmp.Compare(x.column, y.column), cmp.Compare(a, b))
	})
	return names
}

func (d *decoder) checkMatch(m *Match, p path) {
	if at := p.to("path"); !d.broken(at...) {
		d.accept(checkMatchPath(m.Path), at, &node{at: d.place(at)})
	}
	for i, in := range m.Hosts {
		at := p.to("hosts", index(i))
		if d.broken(at...) {
			continue
		}
		host, err := checkHost(in)
		d.accept(err, at, &node{at: d.place(at)})
		m.Hosts[i] = host
		if err == nil && slices.Contains(m.Hosts[:i], host) {
			d.wrong(at, fmt.Sprintf("%s is listed twice", host), "keep one")
		}
	}
}

func (d *decoder) checkUpstream(u *Upstream, p path) {
	at := p.to("targets")
	if len(u.Targets) == 0 && !d.broken(at...) {
		d.wrong(at, "lists no target", `write at least one, as in ["http://10.0.0.5:9000"]`)
	}
	for i, t := range u.Targets {
		for _, earlier := range u.Targets[:i] {
			if t != nil && earlier != nil && *t == *earlier {
				d.wrong(at.to(index(i)), fmt.Sprintf("%s is listed twice", t), "keep one")
			}
		}
	}
}

// checkNeeds looks at what a caller needs to be let in.
func (d *decoder) checkNeeds(c *Config, r *Route, p path) {
	if r.Public {
		const what, next = "a public route asks for no credential, so nothing would check it", "remove it, or remove public: true"
		if at := p.to("api"); d.written(at...) && r.API != "" {
			d.wrongKey(at, what, next)
		}
		for method, scopes := range r.Scopes { // without scopes they say which methods there are
			if at := p.to("scopes", method); len(scopes) > 0 {
				d.wrong(at, what, "write []")
			}
		}
		for _, name := range []string{"accept", "accept_test", "forward_credential"} {
			if at := p.to(name); d.written(at...) {
				d.warn(d.keyPlace(at), at, "has no effect on a public route", "remove it")
			}
		}
		return
	}
	if at := p.to("scopes"); len(r.Scopes) == 0 && !d.broken(at...) && !d.broken(p.to("public")...) {
		d.wrongKey(at, "is missing", `write which scopes each method needs, as in { GET: [orders.read] }, { "*": [] } for any key, or public: true for no key at all`)
	}
	if d.written(p.to("api")...) {
		d.checkAPIName(c, r.API, p.to("api")...)
	}
	for method, scopes := range r.Scopes {
		for i, scope := range scopes {
			d.checkScope(c, scope, p.to("scopes", method, index(i))...)
		}
	}
}

// checkCost makes sure that the route's own limits differ, and that its cost fits into them and
// into those of every plan, since any key may come along.
func (d *decoder) checkCost(c *Config, r *Route, p path) {
	for i, l := range r.Limits {
		at := p.to("limits", index(i))
		if d.broken(at...) {
			continue
		}
		for j, earlier := range r.Limits[:i] {
			if before := p.to("limits", index(j)); l.SameWindow(earlier) && !d.broken(before...) {
				d.wrong(at, fmt.Sprintf("%s and %s have the same window", asWritten(d.node(at), l), asWritten(d.node(before), earlier)), "keep one limit for each window")
			}
		}
		if r.Cost > l.N {
			d.wrong(p.to("cost"), fmt.Sprintf("a cost of %d never fits into the route's limit %s", r.Cost, asWritten(d.node(at), l)), fmt.Sprintf("lower the cost, or raise the limit to at least %d", r.Cost))
		}
	}
	if r.Public || d.broken(p.to("cost")...) {
		return
	}
	for _, name := range d.inOrder(slices.Collect(maps.Keys(c.Plans)), "plans") {
		for i, l := range c.Plans[name].Limits {
			at := path{"plans", name, "limits", index(i)}
			if r.Cost > l.Limit.N && !d.broken(at...) {
				d.wrong(p.to("cost"), fmt.Sprintf("a cost of %d never fits into %s of plan %s (%s)", r.Cost, asWritten(d.node(at), l.Limit), name, d.where(at)),
					fmt.Sprintf("lower the cost, or raise the limit to at least %d", r.Cost))
				return
			}
		}
	}
}
