package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what an upstream can make us hold.
const (
	dialTimeout         = 5 * time.Second
	upstreamIdle        = 90 * time.Second
	upstreamHeaderBytes = 128 << 10
	idlePerUpstream     = 2048
)

// errNoReplay ends a request whose first attempt failed and which must not be sent again.
var errNoReplay = errors.New("connection to upstream lost after the request was sent")

// transports hands out one http.Transport for each distinct timeout. The standard library's
// ResponseHeaderTimeout is a timer that runs only until the headers arrive, so bodies, streams and
// tunnels are not cut, and it costs less than a cancelable context per request.
type transports struct {
	mu        sync.Mutex
	byTimeout map[time.Duration]*http.Transport
}

// get returns the transport for a timeout, 0 for none. Transports outlive a Swap, so that warm
// connections do too.
func (t *transports) get(timeout time.Duration) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr, ok := t.byTimeout[timeout]; ok {
		return tr
	}
	if t.byTimeout == nil {
		t.byTimeout = make(map[time.Duration]*http.Transport)
	}
	tr := newTransport(timeout)
	t.byTimeout[timeout] = tr
	return tr
}

// keep forgets the transports of timeouts that no route has any more.
func (t *transports) keep(used map[time.Duration]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for timeout, tr := range t.byTimeout {
		if !used[timeout] {
			delete(t.byTimeout, timeout)
			tr.CloseIdleConnections()
		}
	}
}

// close ends idle connections to all upstreams.
func (t *transports) close() {
	t.keep(nil)
}

// newTransport makes a tuned transport: no proxy from the environment, no compression of our own,
// many idle connections per upstream, HTTP/2 only where TLS negotiates it.
func newTransport(timeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if timeout > 0 {
		dialer.Timeout = min(timeout, dialTimeout)
	}
	return &http.Transport{
		Proxy: refuseReplay,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &upstreamConn{Conn: conn, patience: timeout}, nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialer.Timeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    idlePerUpstream,
		IdleConnTimeout:        upstreamIdle,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: upstreamHeaderBytes,
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         4 << 10,
	}
}

// upstreamConn counts what was written to an upstream, so that a request of which a byte was sent
// is never sent again, and bounds for how long the upstream may take nothing of a request's body:
// ResponseHeaderTimeout begins only after it.
type upstreamConn struct {
	net.Conn
	written  atomic.Int64
	patience time.Duration // 0: none
	bounded  atomic.Bool   // a write deadline is set
	tunnel   atomic.Bool
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

// becomeTunnel lifts the bound: a tunnel may be silent for as long as it likes.
func (c *upstreamConn) becomeTunnel() {
	c.tunnel.Store(true)
	_ = c.SetWriteDeadline(time.Time{})
}

// A closing TLS connection writes an alert, which is no byte of a request; the shortest request
// inside TLS is longer.
const alertBytes = 64

// attempts follows one request through the transport's attempts. The standard transport repeats
// an idempotent request also after it was sent, when the connection ends before the answer begins:
// measured, an upstream that reads a GET and hangs up sees it once more. Postern promises that
// nothing is sent twice.
type attempts struct {
	begun int
	conn  *upstreamConn // of the latest attempt; nil: HTTP/2, whose own rule is as strict
	start int64         // conn.written when it was handed to the request
}

// gotConn is the httptrace hook.
func (a *attempts) gotConn(info httptrace.GotConnInfo) {
	a.conn = nil
	conn := info.Conn
	if t, ok := conn.(*tls.Conn); ok {
		if t.ConnectionState().NegotiatedProtocol == "h2" {
			return
		}
		conn = t.NetConn()
	}
	if u, ok := conn.(*upstreamConn); ok {
		a.conn, a.start = u, u.written.Load()
	}
}

// next allows or forbids the attempt that is about to begin: a second one only for an idempotent
// request of which nothing was written, and no third.
func (a *attempts) next(method string) error {
	a.begun++
	switch {
	case a.begun == 1:
		return nil
	case a.begun > 2 || !idempotent(method):
		return errNoReplay
	case a.conn != nil && a.conn.written.Load()-a.start >= alertBytes:
		return errNoReplay
	}
	return nil
}

// refuseReplay is asked by http.Transport at the start of each attempt. Its name there is Proxy,
// and it never chooses one: it is the only place where the transport lets an attempt be refused.
func refuseReplay(r *http.Request) (*url.URL, error) {
	if c := callOf(r.Context()); c != nil {
		return nil, c.attempts.next(r.Method)
	}
	return nil, nil
}

// idempotent methods may be repeated (RFC 9110, 9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// buffers is the httputil.BufferPool of response bodies.
type buffers struct{ pool sync.Pool }

// bufferSize is what one response copy holds.
const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return new([bufferSize]byte)[:]
}

// Put implements httputil.BufferPool. The array's pointer is pooled: a slice would be boxed.
func (b *buffers) Put(p []byte) {
	if len(p) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(p))
	}
}
