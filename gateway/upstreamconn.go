package gateway

import (
	"errors"
	"net"
	"net/http/httptrace"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// upstreamConn counts what was written to an upstream, so that a request of which a byte was sent
// is never sent again, and bounds how long the upstream may take: nothing of a request's body for
// patience, and to answer for patience after the request was written.
type upstreamConn struct {
	net.Conn
	written  atomic.Int64
	patience time.Duration // 0: none
	bounded  atomic.Bool   // a write deadline is set
	tunnel   atomic.Bool

	answers bool        // the deadline for answers is ours to keep, not the transport's
	late    atomic.Bool // and has passed
	mu      sync.Mutex
	waiting bool                             // for the headers of an answer
	due     time.Time                        // when they must be there; zero: the request is not written
	armed   bool                             // a read deadline is set, for due or earlier
	wrote   func(httptrace.WroteRequestInfo) // requestWritten, bound once
}

// errHeadersLate tells that an upstream did not answer in time.
var errHeadersLate error = &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}

// newUpstreamConn wraps a new connection. answers is for connections that have one request at a
// time.
func newUpstreamConn(c net.Conn, patience time.Duration, answers bool) *upstreamConn {
	u := &upstreamConn{Conn: c, patience: patience, answers: answers && patience > 0}
	u.wrote = u.requestWritten
	return u
}

// smallWrite is what always finds room in a new connection's buffers, and all there is to write of
// most requests; they do without a deadline.
const smallWrite = 4 << 10

// Write implements net.Conn.
func (c *upstreamConn) Write(p []byte) (int, error) {
	if c.patience > 0 && (len(p) >= smallWrite || c.bounded.Load()) && !c.tunnel.Load() {
		c.bounded.Store(true)
		_ = c.SetWriteDeadline(time.Now().Add(c.patience))
	}
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// Read implements net.Conn. To set and lift a read deadline for each request costs more than to
// write down when the answer is due. So a deadline that is set stays until it passes, and then it is
// seen here whether an answer is due: on a busy connection once in patience.
func (c *upstreamConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err == nil || !c.answers || !errors.Is(err, os.ErrDeadlineExceeded) || c.overdue() {
			return n, err
		}
	}
}

// overdue tells, when a read deadline has passed, whether an answer is late. If not it sets the next
// deadline.
func (c *upstreamConn) overdue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting && !c.due.IsZero() && !time.Now().Before(c.due) {
		c.late.Store(true)
		return true
	}
	if !c.waiting {
		c.due = time.Time{}
	}
	c.armed = !c.due.IsZero()
	_ = c.SetReadDeadline(c.due)
	return false
}

// begin is called when a request got the connection, before any of it is written.
func (c *upstreamConn) begin() {
	if !c.answers {
		return
	}
	c.mu.Lock()
	c.waiting, c.due = true, time.Time{}
	c.mu.Unlock()
}

// requestWritten starts the wait for the answer. It is the httptrace hook, and may come after the
// answer: then there is nothing to wait for.
func (c *upstreamConn) requestWritten(httptrace.WroteRequestInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waiting {
		return
	}
	c.due = time.Now().Add(c.patience)
	if !c.armed {
		c.armed = true
		_ = c.SetReadDeadline(c.due)
	}
}

// answered ends the wait: what follows the headers may take as long as it likes.
func (c *upstreamConn) answered() {
	if !c.answers {
		return
	}
	c.mu.Lock()
	c.waiting = false
	c.mu.Unlock()
}

// becomeTunnel lifts the bound on writing: a tunnel may be silent for as long as it likes.
func (c *upstreamConn) becomeTunnel() {
	c.tunnel.Store(true)
	_ = c.SetWriteDeadline(time.Time{})
}
