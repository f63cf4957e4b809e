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
	"time"

	"postern/internal/socket"
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

// transports hands out one transport for each kind that the routes need. They outlive a Swap, so
// that warm connections do too.
type transports struct {
	lookout *lookout

	mu     sync.Mutex
	byKind map[transportKind]*transport
}

// transport carries requests to upstreams: simple ones by itself, all others by http.Transport. Each
// way has connections of its own.
type transport struct {
	full *http.Transport
	lean *leanTransport // nil for https targets
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(out *http.Request) (*http.Response, error) {
	if t.lean != nil && simple(out) {
		return t.lean.RoundTrip(out)
	}
	return t.full.RoundTrip(out)
}

func (t *transport) close() {
	t.full.CloseIdleConnections()
	if t.lean != nil {
		t.lean.idle.close()
	}
}

// transportKind is what http.Transport cannot be told per request.
type transportKind struct {
	timeout time.Duration // until the response's headers, 0 for none
	secure  bool          // for https targets, which may speak HTTP/2
}

func (t *transports) get(kind transportKind) *transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr, ok := t.byKind[kind]; ok {
		return tr
	}
	if t.byKind == nil {
		t.byKind = make(map[transportKind]*transport)
	}
	tr := &transport{full: newTransport(kind)}
	if !kind.secure {
		tr.lean = newLeanTransport(kind.timeout, t.lookout)
	}
	t.byKind[kind] = tr
	return tr
}

// keep forgets the transports that no route needs any more.
func (t *transports) keep(used map[transportKind]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind, tr := range t.byKind {
		if !used[kind] {
			delete(t.byKind, kind)
			tr.close()
		}
	}
}

// close ends idle connections to all upstreams.
func (t *transports) close() {
	t.keep(nil)
}

// newTransport makes a tuned transport: no proxy from the environment, no compression of our own,
// many idle connections per upstream, HTTP/2 only where TLS negotiates it.
//
// The standard ResponseHeaderTimeout runs only until the headers arrive, so bodies, streams and
// tunnels are not cut. It makes a timer for each request, though. A plain connection has one request
// at a time, so there a read deadline does the same for nothing, see upstreamConn.
func newTransport(kind transportKind) *http.Transport {
	timeout := kind.timeout
	dialer := newDialer(timeout)
	tr := &http.Transport{
		Proxy: refuseReplay,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newUpstreamConn(socket.Direct(conn), timeout, !kind.secure), nil
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialer.Timeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    idlePerUpstream,
		IdleConnTimeout:        upstreamIdle,
		MaxResponseHeaderBytes: upstreamHeaderBytes,
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         4 << 10,
	}
	if kind.secure {
		tr.ResponseHeaderTimeout = timeout
	}
	return tr
}

// newDialer makes what connects to upstreams whose answers may take so long, 0 for no limit.
func newDialer(timeout time.Duration) *net.Dialer {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if timeout > 0 {
		dialer.Timeout = min(timeout, dialTimeout)
	}
	return dialer
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
	trace *httptrace.ClientTrace
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
		if u.answers {
			a.trace.WroteRequest = u.wrote
			u.begin()
		}
	}
}

// next allows or forbids the attempt that is about to begin: a second one only for an idempotent
// request of which nothing was written, and no third.
func (a *attempts) next(method string) error {
	a.begun++
	switch {
	case a.begun == 1:
		return nil
	case a.conn != nil && a.conn.late.Load():
		return errHeadersLate
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
