package gateway

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"time"

	"postern/internal/keys"
)

// newProxy makes the one reverse proxy for all routes; what differs is in the call.
func (g *Gateway) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      roundTripper{},
		ModifyResponse: modifyResponse,
		ErrorHandler:   upstreamFailed,
		BufferPool:     &buffers{},
		ErrorLog:       log.New(io.Discard, "", 0), // what it has to say reaches upstreamFailed or survive
	}
}

// pass hands an admitted request to its upstream.
func (c *call) pass(r *http.Request) {
	out := withCall(r, c)
	if c.body = c.newBody(r); c.body != nil {
		// net/http looks at the request's own body to see what it must still read, so that one
		// stays as it is.
		with := *out
		with.Body = c.body
		out = &with
		if r.ContentLength < 0 || r.ContentLength > shortBody {
			ctx, cancel := context.WithCancel(out.Context())
			defer cancel()
			out = out.WithContext(ctx)
			c.watch(cancel)
		}
	}
	c.gateway.proxy.ServeHTTP(&c.response, out)
}

// rewrite makes the upstream's request out of the caller's. httputil.ReverseProxy has removed
// hop-by-hop headers by now, so nobody can have ours removed by naming them in Connection.
func rewrite(pr *httputil.ProxyRequest) {
	c, out := callOf(pr.In.Context()), pr.Out
	target := c.route.target()
	out.URL.Scheme, out.URL.Host = target.Scheme, target.Host
	if c.route.asCame {
		setRawPath(out.URL, c.request.rawPath)
	} else {
		out.URL.Path, out.URL.RawPath = c.route.upstreamPath(target, &c.request)
	}
	out.URL.RawQuery = joinQuery(target.RawQuery, pr.In.URL.RawQuery) // ReverseProxy drops what it cannot parse
	if !c.route.KeepHost {
		out.Host = ""
	}
	out.Trailer = nil
	cleanUpstreamHeaders(out.Header)
	if !c.route.ForwardCredential {
		c.presented.strip(out)
	}
	if c.would == "" { // what the route grants is for those it would admit
		c.route.setHeaders(out)
	}
	c.setIdentity(out.Header)
}

// joinQuery puts a target's own parameters before the caller's.
func joinQuery(own, query string) string {
	switch {
	case own == "":
		return query
	case query == "":
		return own
	default:
		return own + "&" + query
	}
}

// setHeaders sets the route's set_headers.
func (s *liveRoute) setHeaders(out *http.Request) {
	for i, name := range s.setNames {
		out.Header[name] = s.setValues[i]
	}
	if s.setHost != "" {
		out.Host = s.setHost
	}
}

// roundTripper chooses the transport by route, and follows the attempts it makes.
type roundTripper struct{}

// RoundTrip implements http.RoundTripper.
func (roundTripper) RoundTrip(out *http.Request) (*http.Response, error) {
	c := callOf(out.Context())
	// httputil.ReverseProxy has just made this trace for us alone. Adding a second one would
	// combine the two by reflection, on every request.
	if trace := httptrace.ContextClientTrace(out.Context()); trace != nil {
		c.attempts.trace = trace
		trace.GotConn = c.gotConn
	}
	transport := c.route.plain
	if out.URL.Scheme == "https" {
		transport = c.route.secure
	}
	c.sent = time.Now()
	res, err := transport.RoundTrip(out)
	c.headers = time.Now()
	if conn := c.attempts.conn; conn != nil {
		conn.answered()
	}
	return res, err
}

// modifyResponse adds our headers to an answer that goes around WriteHeader, a tunnel's, has answers
// without an announced end watched, and hands the upstream's headers over.
func modifyResponse(res *http.Response) error {
	c := callOf(res.Request.Context())
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		c.stamp(res.Header, res.StatusCode)
		if conn := c.attempts.conn; conn != nil {
			conn.becomeTunnel()
		}
	default:
		c.watchAnswer(res) // the body as it is: it may be closed while it is read
		cleanTrailers(res)
		if !eventStream(res.Header) { // which httputil.ReverseProxy wants to see, to flush at once
			moveHeaders(c.response.Header(), res)
		}
	}
	return nil
}

// moveHeaders makes the upstream's headers the answer's. httputil.ReverseProxy would copy them, name
// by name and value by value, each into a slice of its own; after this it finds none. Nothing else has
// set a header by now: interim answers take theirs away again.
func moveHeaders(to http.Header, res *http.Response) {
	for name, values := range res.Header {
		to[name] = values
	}
	res.Header = nil
}

// eventStream tells whether an answer is one of server-sent events.
func eventStream(h http.Header) bool {
	const kind = "text/event-stream"
	value := strings.TrimLeft(first(h["Content-Type"]), " \t")
	return len(value) >= len(kind) && strings.EqualFold(value[:len(kind)], kind)
}

// upstreamFailed answers when the upstream gave no answer that can be passed on.
func upstreamFailed(_ http.ResponseWriter, out *http.Request, err error) {
	c := callOf(out.Context())
	if c.wasCut() {
		panic(http.ErrAbortHandler) // to return would be a 200 to net/http
	}
	x := c.blame(out.Context(), err)
	if x == nil {
		c.left = true
		panic(http.ErrAbortHandler) // an answer of ours would tell somebody half gone that all was well
	}
	c.code = x.decision.Code
	if x.decision.Code.Status() >= http.StatusInternalServerError && c.route.alarm.due() {
		c.gateway.log.Warn("upstream failed", "route", c.routeName(), "target", out.URL.Host,
			"code", string(c.code), "error", err, "request_id", c.id)
	}
	if c.response.tunnel != nil {
		return // the connection is not ours to answer on any more
	}
	c.writeRefusal(x)
}

// blame finds whose fault it is that an exchange ended without an answer; nil: the client left.
func (c *call) blame(ctx context.Context, err error) *refusal {
	if c.body != nil {
		switch fault := c.body.failed(); {
		case errors.Is(fault, errBodyTooLarge):
			x := refuse(keys.BodyTooLarge)
			x.closeConn = true
			return x
		case errors.Is(fault, errBodyTooSlow):
			x := refuse(keys.BadRequest)
			x.decision.Detail = "The request body arrived too slowly."
			x.closeConn = true
			return x
		case fault != nil && ctx.Err() == nil:
			x := refuse(keys.BadRequest)
			x.decision.Detail = "The request body ended early or is malformed."
			x.closeConn = true
			return x
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return refuse(keys.UpstreamTimeout)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return refuse(keys.UpstreamUnreachable)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return refuse(keys.UpstreamUnreachable)
	}
	return refuse(keys.UpstreamBadResponse)
}
