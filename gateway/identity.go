package gateway

import "net/http"

// Canonical names of what the upstream gets to know, and can trust: whatever a caller sends by
// these names has been deleted.
const (
	headerKeyID  = "X-Postern-Key-Id"
	headerKind   = "X-Postern-Kind"
	headerTenant = "X-Postern-Tenant"
	headerOwner  = "X-Postern-Owner"
	headerPlan   = "X-Postern-Plan"
	headerScopes = "X-Postern-Scopes"
)

const (
	headerForwardedFor   = "X-Forwarded-For"
	headerForwardedHost  = "X-Forwarded-Host"
	headerForwardedProto = "X-Forwarded-Proto"
)

// setIdentity tells the upstream who calls, from where, and by which id we know the request. All
// values lie in one array.
func (c *call) setIdentity(h http.Header) {
	values := c.slab.take(11)[:0]
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	observe := c.route.Observe // then what the caller says of these passes
	if !observe || len(h[headerRequestID]) == 0 {
		set(headerRequestID, c.id)
	}
	if v := h[headerTraceparent]; (len(v) != 1 || !saneTrace(v[0])) && !(observe && len(v) > 0) {
		set(headerTraceparent, c.trace)
		delete(h, "Tracestate") // it belongs to the traceparent that was not there
	}
	set(headerForwardedFor, c.forwardedFor())
	set(headerForwardedHost, c.inbound.Host)
	set(headerForwardedProto, c.forwardedProto())
	p := c.principal
	if p == nil || c.would != "" {
		return
	}
	set(headerKeyID, string(p.ID))
	set(headerKind, string(p.Kind))
	set(headerTenant, string(p.Tenant))
	set(headerOwner, p.Owner)
	set(headerPlan, string(p.PlanName()))
	set(headerScopes, p.Rights().Header)
}

// forwardedFor names the caller and, where trusted proxies stand between, the nearest of them.
func (c *call) forwardedFor() string {
	peer := hostOf(c.inbound.RemoteAddr)
	if !c.proxied {
		return peer
	}
	if address := c.address.String(); address != peer {
		return address + ", " + peer
	}
	return peer
}

// forwardedProto is the scheme that the caller used, as far as trusted proxies or we can tell.
func (c *call) forwardedProto() string {
	if c.proxied {
		if v := c.inbound.Header[headerForwardedProto]; len(v) == 1 && (v[0] == "http" || v[0] == "https") {
			return v[0]
		}
	}
	if c.inbound.TLS != nil {
		return "https"
	}
	return "http"
}

// hostOf cuts the port and the brackets off host:port, without allocating.
func hostOf(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == ':' {
			address = address[:i]
			break
		}
	}
	if len(address) > 1 && address[0] == '[' {
		address = address[1 : len(address)-1]
	}
	return address
}
