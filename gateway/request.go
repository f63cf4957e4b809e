package gateway

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"postern/internal/keys"
)

// statusClientGone is what the log says of requests whose client left before the answer. It is
// never sent. The number is nginx's.
const statusClientGone = 499

// serveHTTP is one request: decide, then refuse or pass on, then tell about it.
func (g *Gateway) serveHTTP(w http.ResponseWriter, r *http.Request) {
	c := g.begin(w, r)
	c.enter()
	defer c.end()
	x := c.overlook(c.decide(r))
	if x == nil && !c.preflight {
		x = c.overlook(c.recordAdmission(r.Context()))
	}
	c.settle(x)
	if c.admitted && c.principal != nil {
		c.principal.Used(c.now)
	}
	switch {
	case x != nil:
		c.refuse(x)
	case !c.preflight:
		c.pass(r)
	}
	c.awaitFlush()
}

// recordAdmission makes the call's use durable before its first byte goes upstream.
func (c *call) recordAdmission(ctx context.Context) *refusal {
	if c.gateway.journal == nil {
		return nil
	}
	if err := c.gateway.journal.Admitted(ctx, c.record()); err != nil {
		c.gateway.log.Error("an admitted call could not be recorded and was refused",
			"error", err, "request_id", c.id)
		x := refuse(keys.Overloaded)
		x.retryAfter = time.Second
		return x
	}
	return nil
}

// record is what the journal gets to know.
func (c *call) record() Call {
	cost := int64(1)
	if c.route != nil {
		cost = max(c.route.Cost, 1)
	}
	return Call{
		RequestID: c.id, Time: c.now, Route: c.routeName(), Method: c.inbound.Method,
		Cost: cost, Principal: c.principal, Code: c.code, WouldRefuse: c.would,
	}
}

// refuse answers a "no".
func (c *call) refuse(x *refusal) {
	if c.wantsLimits(c.inbound.Context()) {
		c.peekLimits(c.inbound.Context())
	}
	c.writeRefusal(x)
}

func (c *call) writeRefusal(x *refusal) {
	var rt *route
	if c.route != nil {
		rt = c.route.route
	}
	c.snapshot.refuser.write(&c.response, c.inbound, c.id, rt, x)
}

// end runs however the request ended, also by a panic: then nothing more is admitted, the caller
// gets a 500 if nothing was sent yet, and the process lives.
func (c *call) end() {
	cause := recover()
	defer func() {
		c.leave()
		c.gateway.release(c)
	}()
	if cause != nil {
		cause = c.survive(cause)
	}
	c.tell()
	if cause != nil {
		panic(http.ErrAbortHandler) // the answer is torn; net/http must close the connection
	}
}

// survive handles a panic; what it returns is nil when the answer is complete.
func (c *call) survive(cause any) any {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		c.torn()
		return cause
	}
	c.code = keys.InternalError
	c.gateway.log.Error("a request panicked", "panic", cause, "request_id", c.id,
		"route", c.routeName(), "stack", string(debug.Stack()))
	if c.response.status != 0 {
		return cause
	}
	return c.apologise()
}

// torn finds whose fault it was that an answer ended in the middle.
func (c *call) torn() {
	if c.left || c.response.tunnel != nil || c.wasCut() {
		return
	}
	if c.inbound.Context().Err() != nil {
		c.left = true
		return
	}
	c.code = keys.UpstreamBadResponse
	if c.route != nil && c.route.alarm.due() {
		c.gateway.log.Warn("an upstream's answer ended in the middle", "route", c.routeName(), "request_id", c.id)
	}
}

// apologise answers 500. Should that panic too, the connection is closed without an answer.
func (c *call) apologise() (cause any) {
	defer func() { cause = recover() }()
	x := refuse(keys.InternalError)
	x.closeConn = true
	c.writeRefusal(x)
	return nil
}

// tell closes the books on the request: journal, metrics, access log.
func (c *call) tell() {
	took := time.Since(c.begun)
	end := End{Status: c.response.status, Sent: c.response.sent, Duration: took}
	if c.body != nil {
		end.Received, _ = c.body.finish()
		c.noteLargeBody(end.Received)
	}
	c.gateway.streams.remove(c.stream)
	c.wasCut()
	if t := c.response.tunnel; t != nil {
		c.gateway.tunnels.remove(t)
		end.Received, end.Sent = t.received.Load(), t.sent.Load()
	}
	if c.left {
		end.Status = statusClientGone
	} else if end.Status == 0 {
		end.Status = http.StatusOK // net/http sends it for a handler that wrote nothing
	}
	if c.gateway.journal != nil && !c.preflight {
		c.gateway.journal.Ended(context.WithoutCancel(c.inbound.Context()), c.record(), end)
	}
	c.observe(end)
	c.logAccess(end)
}
