package gateway

import (
	"net"
	"net/netip"
	"sync"

	"postern/internal/keys"
)

// cappedListener bounds how many connections are open, in all and per client network. A
// connection too many is closed at once: to answer it would cost what the cap protects.
type cappedListener struct {
	net.Listener
	limits  ServerLimits
	trusted func() []netip.Prefix // proxies, behind each of which many callers stand

	mu        sync.Mutex
	open      int
	byNetwork map[netip.Addr]int
}

func newCappedListener(l net.Listener, limits ServerLimits, trusted func() []netip.Prefix) *cappedListener {
	return &cappedListener{Listener: l, limits: limits, trusted: trusted, byNetwork: make(map[netip.Addr]int)}
}

// Accept returns the next connection that there is room for.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := l.network(conn)
		if l.enter(from) {
			return &cappedConn{Conn: conn, listener: l, from: from}, nil
		}
		_ = conn.Close()
	}
}

// network is what a connection counts under; the zero Addr is not bounded by itself.
func (l *cappedListener) network(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	if contains(l.trusted(), address) {
		return netip.Addr{}
	}
	return keys.ClientNetwork(address)
}

func (l *cappedListener) enter(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.limits.Connections {
		return false
	}
	if from.IsValid() {
		if l.byNetwork[from] >= l.limits.ConnectionsPerAddress {
			return false
		}
		l.byNetwork[from]++
	}
	l.open++
	return true
}

func (l *cappedListener) leave(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if !from.IsValid() {
		return
	}
	if l.byNetwork[from]--; l.byNetwork[from] == 0 {
		delete(l.byNetwork, from)
	}
}

// cappedConn gives its place back when it is closed.
type cappedConn struct {
	net.Conn
	listener *cappedListener
	from     netip.Addr
	once     sync.Once
}

// Close implements net.Conn.
func (c *cappedConn) Close() error {
	c.once.Do(func() { c.listener.leave(c.from) })
	return c.Conn.Close()
}

// CloseWrite half-closes, which net/http does before it gives a connection up, so that the client
// can still read the last answer.
func (c *cappedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
