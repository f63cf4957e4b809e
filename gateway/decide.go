package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"postern/internal/keys"
)

// decide is the life of a request up to the verdict: nil, and the request may pass, or why not.
// The order of its steps is the security policy. Nothing is spent before the last of them, and no
// step reads what an earlier one has not made unambiguous. Explain runs it too, see explain.go.
func (c *call) decide(r *http.Request) *refusal {
	c.step = stepGuard
	if x := c.guard(r); x != nil { // is this one unambiguous request, and may it be looked at now?
		return x
	}
	for {
		if x := c.decideByPolicy(r); x == nil || !c.overtaken(x) {
			return x
		}
	}
}

// decideByPolicy is the part of decide that a reload may have to repeat: it changes nothing until its
// last step, which spends only if it admits.
func (c *call) decideByPolicy(r *http.Request) *refusal {
	c.step = stepRoute
	if x := c.findRoute(); x != nil { // to a route, in a shape that the route takes?
		return x
	}
	c.step = stepPreflight
	if c.answerPreflight(r) { // browsers ask without credentials
		return nil
	}
	c.step = stepBody
	if x := c.announcedBody(r); x != nil { // does it say that its body is too large?
		return x
	}
	if !c.route.Public {
		c.step = stepCredential
		if x := c.findCredential(r); x != nil { // what does it show?
			return x
		}
		c.step = stepAuthenticate
		if x := c.authenticate(); x != nil { // who is that?
			return x
		}
	}
	c.step = stepAddress
	if x := c.checkAddress(); x != nil { // may he call from there?
		return x
	}
	c.step = stepScopes
	if x := c.checkScopes(r.Method); x != nil { // may he do that?
		return x
	}
	c.step = stepLimits
	return c.checkLimits() // how much may he still?
}

// overtaken tells whether the routes that refused were replaced meanwhile, by a reload that took from
// the catalog what they ask for. Then the call is made ready to be decided by the new ones.
func (c *call) overtaken(x *refusal) bool {
	if code := x.decision.Code; code != keys.InsufficientScope && code != keys.PlanUnavailable {
		return false
	}
	now := c.gateway.snapshot.Load()
	if now == c.snapshot {
		return false
	}
	c.snapshot, c.route, c.principal, c.presented, c.set = now, nil, nil, presented{}, nil
	return true
}

// guard finds the address and the id, so that even the oddest request has both in the log, and lets
// one unambiguous request pass if there is room for it.
func (c *call) guard(r *http.Request) *refusal {
	var unheard bool
	c.address, unheard = clientAddress(r, c.snapshot.trusted)
	c.proxied = len(c.snapshot.trusted) > 0 && peerTrusted(r, c.snapshot.trusted)
	c.identify(r, c.proxied)
	if unheard {
		c.gateway.adviseProxy(c.address)
	}
	if x := inspect(r, c.wire, &c.request); x != nil {
		return x
	}
	if c.request.odd != nil && !c.snapshot.table.lenient {
		return c.request.odd
	}
	if c.crowded() {
		x := refuse(keys.Overloaded)
		x.retryAfter = time.Second
		return x
	}
	return nil
}

// findRoute chooses the route by host and path. What the route does not take (an upgrade, an
// encoded slash) is refused here, before anybody's credential is read.
func (c *call) findRoute() *refusal {
	if c.request.odd != nil {
		return c.findOddRoute()
	}
	rt, x := c.snapshot.table.find(&c.request)
	if rt != nil {
		c.route = c.snapshot.routes[rt.index]
		if x != nil && x.decision.Code == keys.BadRequest {
			c.request.odd = x
			return c.findOddRoute()
		}
	}
	return x
}

// answerPreflight answers a CORS preflight, which is no call: it spends nothing and shows nothing.
// A route that only observes leaves it to its upstream, which answered it before.
func (c *call) answerPreflight(r *http.Request) bool {
	if c.route.Observe {
		return c.route.cors.isPreflight(r)
	}
	c.preflight = c.route.cors.preflight(&c.response, r, c.id)
	return c.preflight
}

// announcedBody refuses by Content-Length, before the request costs anything. A body without an
// announced length is cut while it flows.
func (c *call) announcedBody(r *http.Request) *refusal {
	if c.route.MaxBody >= 0 && r.ContentLength > c.route.MaxBody {
		return refuse(keys.BodyTooLarge)
	}
	return nil
}

// findCredential takes the one credential that the request carries in a place the route accepts.
func (c *call) findCredential(r *http.Request) *refusal {
	x := c.route.carriers.find(r, c.gateway.format, &c.presented)
	if c.trial != nil {
		return c.trial.present(c, x)
	}
	return x
}

// authenticate asks the directory. Wrong credentials count against the address they come from, and
// only theirs: the throttle is not asked before a credential proved wrong.
func (c *call) authenticate() *refusal {
	principal, code := c.identity()
	switch code {
	case keys.Admitted:
	case keys.InvalidCredentials:
		if wait := c.failed(); wait > 0 {
			x := refuse(keys.TooManyFailures)
			x.retryAfter = wait
			return x
		}
		return refuse(code)
	case keys.DirectoryUnavailable:
		x := refuse(code)
		x.retryAfter = time.Second
		return x
	default: // possession is proved, so he may know what is the matter
		c.principal = principal
		return refuse(code)
	}
	c.principal = principal
	if principal.Test && !c.route.AcceptTest {
		x := refuse(keys.InvalidCredentials)
		x.decision.Detail = "This is a test key, and the route takes live ones only."
		return x
	}
	return nil
}

func (c *call) identity() (*keys.Principal, keys.Code) {
	if c.trial != nil {
		return c.trial.identity(c)
	}
	return c.gateway.directory.Authenticate(c.presented.Presented, c.now)
}

// failed counts a wrong credential against its address, and returns for how long that has had too many.
// On a route that only observes it counts nothing, as nothing is spent there in vain.
func (c *call) failed() time.Duration {
	if c.trial.blind() {
		return 0
	}
	if c.trial != nil || c.route.Observe {
		return c.gateway.failures.Peek(c.address, c.now)
	}
	return c.gateway.failures.Record(c.address, c.now)
}

// checkAddress holds the address against the route's and the credential's lists.
func (c *call) checkAddress() *refusal {
	if x := addressAllowed(c.route.AllowedIPs, c.address); x != nil || c.principal == nil || c.principal.AllowedAnywhere() {
		return x
	}
	return addressAllowed(c.principal.AllowedIPs, c.address)
}

// checkScopes holds the method's scopes and the route's API against the credential's rights.
func (c *call) checkScopes(method string) *refusal {
	need, x := c.route.methodRule(method)
	if x != nil || c.route.Public {
		return x
	}
	return c.route.authorize(need, c.principal.Rights())
}

// settle notes the verdict for whoever records it.
func (c *call) settle(x *refusal) {
	c.admitted = x == nil && !c.preflight
	if x != nil {
		c.code = x.decision.Code
	}
}

// wantsLimits tells whether a refusal is owed the rate-limit headers: its caller proved who he is,
// and the limits were not reached yet.
func (c *call) wantsLimits(ctx context.Context) bool {
	if c.principal == nil || c.set != nil || ctx.Err() != nil {
		return false
	}
	return slices.Contains([]keys.Code{keys.InsufficientScope, keys.IPNotAllowed,
		keys.MethodNotAllowed, keys.CostExceedsLimit}, c.code)
}

// peerTrusted tells whether the connection itself comes from a trusted proxy.
func peerTrusted(r *http.Request, trusted []netip.Prefix) bool {
	return contains(trusted, peerAddress(r.RemoteAddr))
}
