package gateway

import (
	"net"
	"sync"
	"sync/atomic"
)

// tunnels are the client connections that were taken over for another protocol. http.Server has
// forgotten them, so Shutdown ends them here.
type tunnels struct {
	mu   sync.Mutex
	open map[*tunnelConn]struct{}
	none chan struct{} // closed when open becomes empty; nil while nobody waits
}

// tunnelConn counts what passes through a tunnel. Both directions run in goroutines of their own,
// one of which may outlive the handler, so it does not refer to the call.
type tunnelConn struct {
	net.Conn
	received, sent atomic.Int64
}

// Read implements net.Conn: what the client says.
func (t *tunnelConn) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.received.Add(int64(n))
	return n, err
}

// Write implements net.Conn: what the client gets.
func (t *tunnelConn) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.sent.Add(int64(n))
	return n, err
}

// CloseWrite passes a half-close on, which httputil.ReverseProxy does where it finds this method.
func (t *tunnelConn) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return t.Close()
}

func (t *tunnels) add(c net.Conn) *tunnelConn {
	tunnel := &tunnelConn{Conn: c}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = make(map[*tunnelConn]struct{})
	}
	t.open[tunnel] = struct{}{}
	return tunnel
}

func (t *tunnels) remove(c *tunnelConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	if len(t.open) == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

// drained returns a channel that is closed when no tunnel is open.
func (t *tunnels) drained() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	none := make(chan struct{})
	if len(t.open) == 0 {
		close(none)
	} else {
		t.none = none
	}
	return none
}

// closeAll ends every tunnel; their handlers then return. Each is closed by itself: to say farewell
// over TLS to one that does not read takes 5 s.
func (t *tunnels) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.open {
		go func() { _ = c.Close() }()
	}
}
