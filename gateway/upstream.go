package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"postern/limiter"
)

// liveRoute is a route in force and what the gateway keeps beside it.
type liveRoute struct {
	*route
	plain     *transport // for http targets
	secure    *transport // for https targets
	setNames  []string   // canonical names of SetHeaders, and their values; shared by all requests
	setValues [][]string // so never changed
	setHost   string     // a Host among SetHeaders
	sets      limitSets
	metrics   *routeMetrics
	turn      atomic.Uint32
	alarm     alarm
}

// target chooses the upstream of the next request: one after the other.
func (s *liveRoute) target() *url.URL {
	if len(s.Targets) == 1 {
		return s.Targets[0]
	}
	return s.Targets[int(s.turn.Add(1)-1)%len(s.Targets)]
}

// activate prepares a compiled route, or tells what of it cannot work.
func (g *Gateway) activate(rt *route, p *Policy) (*liveRoute, error) {
	if len(rt.Targets) == 0 {
		return nil, errors.New("no upstream target; name at least one URL such as http://10.0.0.5:9000")
	}
	for _, t := range rt.Targets {
		if t == nil || (t.Scheme != "http" && t.Scheme != "https") || t.Host == "" {
			return nil, errors.New("upstream target must be an http:// or https:// URL with a host")
		}
	}
	if rt.Cost < 0 {
		return nil, errors.New("cost is negative; the least is 1")
	}
	for _, l := range rt.Limits {
		if l.N < max(rt.Cost, 1) {
			return nil, errors.New("limit " + l.String() + " is below the route's cost, so no request could ever pass")
		}
	}
	s := &liveRoute{route: rt, metrics: g.metrics.route(rt.Name)}
	s.plain = g.transports.get(transportKind{timeout: rt.Timeout})
	s.secure = g.transports.get(transportKind{timeout: rt.Timeout, secure: true})
	for name, value := range rt.SetHeaders {
		if strings.EqualFold(name, "Host") {
			s.setHost = value
			continue
		}
		s.setNames = append(s.setNames, http.CanonicalHeaderKey(name))
		s.setValues = append(s.setValues, []string{value})
	}
	s.sets.route = rt
	s.sets.tenantCounters = p.TenantCounters
	s.sets.public = compileLimits(nil, rt, limiter.Route)
	return s, nil
}
