package gateway

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// call is one request while it lives: each fact is found once and stands here. Calls are pooled;
// nothing of one may be kept when its request is over. What outlives the handler (header values,
// which net/http writes after it returned, and the body, which the transport may still be reading)
// is therefore allocated, never part of a call.
type call struct {
	gateway  *Gateway
	snapshot *snapshot

	inbound *http.Request // as the listener handed it over
	begun   time.Time     // monotonic, for durations
	now     time.Time     // by the gateway's clock, for decisions
	id      string
	trace   string     // a traceparent, in case the caller sent none
	address netip.Addr // whom we take the caller for
	proxied bool       // a trusted proxy sits between

	step      step   // of the decision, the one begun last
	trial     *trial // what is explained; nil for a request
	request   inspected
	route     *liveRoute // nil until routed
	presented presented
	principal *keys.Principal // nil until authenticated, and on public routes
	subject   string          // public routes: whom limits count
	preflight bool            // answered already
	admitted  bool
	code      keys.Code // final: why refused, or how the upstream failed
	would     keys.Code // why refused, if the route did not only observe

	limitedBy []string  // how limits were decided, unless by the limiter as a whole
	set       *limitSet // whose state is in answer; nil when nothing is known
	query     limiter.Query
	answer    limiter.Answer

	attempts attempts
	sent     time.Time // handed to the transport
	headers  time.Time // the upstream's headers arrived
	left     bool      // the client was gone before the answer
	body     *requestBody
	stream   *stream     // open while the credential is looked at again
	conn     *cappedConn // nil: not from a listener of ours
	wire     *wire       // nil: HTTP/2, or not from a listener of ours
	held     bool        // see hold

	response responseWriter
	text     []byte                      // scratch
	slab     *slab                       // of what outlives the call
	line     AccessLine                  // handed to the access log
	gotConn  func(httptrace.GotConnInfo) // attempts.gotConn, bound once
}

// The transport and the reverse proxy know a request by its context alone, so the call must be found
// from there. An HTTP/1 connection has one request at a time and a wire in its context: the call
// stands in the wire, which costs nothing. HTTP/2 has many, each with a context that carries its
// call. withCall is the one setter, callOf the one getter.

// callKey is the context key of an HTTP/2 request's call.
type callKey struct{}

func withCall(r *http.Request, c *call) *http.Request {
	if c.wire != nil {
		c.wire.call = c
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), (*callKey)(nil), c))
}

func callOf(ctx context.Context) *call {
	if w := wireOf(ctx); w != nil {
		return w.call
	}
	c, _ := ctx.Value((*callKey)(nil)).(*call)
	return c
}

// begin takes a call from the pool for a request.
func (g *Gateway) begin(w http.ResponseWriter, r *http.Request) *call {
	c := g.calls.Get().(*call)
	c.snapshot = g.snapshot.Load()
	c.begun = time.Now()
	c.now = c.begun
	if g.clock != nil {
		c.now = g.clock()
	}
	c.inbound = r
	c.wire, c.conn = connectionOf(r.Context())
	c.response.ResponseWriter = w
	return c
}

// release forgets everything of a request, above all the credential, and keeps what was allocated
// for the call itself.
func (g *Gateway) release(c *call) {
	if c.wire != nil {
		c.wire.call = nil
	}
	text, slab, gotConn := c.text[:0], c.slab, c.gotConn
	checks, states := c.query.Checks[:0], c.answer.States[:0]
	*c = call{}
	c.gateway, c.text, c.slab, c.gotConn = g, text, slab, gotConn
	c.query.Checks, c.answer.States = checks, states
	c.response.call = c
	g.calls.Put(c)
}

func (g *Gateway) newCall() *call {
	c := &call{gateway: g, text: make([]byte, 0, 512), slab: new(slab)}
	c.gotConn = c.attempts.gotConn
	c.response.call = c
	return c
}

// routeName is how logs and metrics call the route: "" when there is none.
func (c *call) routeName() string {
	if c.route == nil {
		return ""
	}
	return c.route.Name
}

// keyID is the credential's id, "" when nobody was proved.
func (c *call) keyID() string {
	if c.principal == nil {
		return ""
	}
	return string(c.principal.ID)
}
