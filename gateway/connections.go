package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/keys"
	"postern/internal/socket"
)

// answerPatience is how long a client may keep us waiting for the next answerPatience × MinAnswerRate
// bytes of an answer. Only time spent in a write counts, so streams and tunnels may be idle.
const answerPatience = 30 * time.Second

// paceTicks is how many looks answerPatience takes.
const paceTicks = 6

// census is what clients hold: connections, in all and per client network. It also finds those that
// do not read, for all connections at once: a deadline for each write would cost each answer, a
// counter in memory costs nothing.
type census struct {
	limits ServerLimits
	every  time.Duration // between two looks at the writes
	ticks  atomic.Int64  // looks so far, from 1

	mu       sync.Mutex
	conns    map[*cappedConn]struct{}
	networks map[netip.Addr]*network
	timer    *time.Timer // to the next look; nil while there are no connections
}

// network is what one client network holds.
type network struct {
	address  netip.Addr
	open     int // connections; guarded by the census
	inFlight counter
	held     counter
}

// counter counts; nil counts nothing.
type counter struct{ n atomic.Int64 }

// Add changes the count and returns it.
func (c *counter) Add(n int64) int64 {
	if c == nil {
		return 0
	}
	return c.n.Add(n)
}

// Load returns the count.
func (c *counter) Load() int64 {
	if c == nil {
		return 0
	}
	return c.n.Load()
}

func newCensus(limits ServerLimits) *census {
	s := &census{limits: limits, every: answerPatience / paceTicks,
		conns: make(map[*cappedConn]struct{}), networks: make(map[netip.Addr]*network)}
	s.ticks.Store(1)
	return s
}

// enter counts a connection; nil when there is no room for it. The zero address is not bounded by
// itself.
func (s *census) enter(conn net.Conn, from netip.Addr) *cappedConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.limits.Connections {
		return nil
	}
	c := &cappedConn{census: s}
	if from.IsValid() {
		n := s.networks[from]
		if n == nil {
			n = &network{address: from}
			s.networks[from] = n
		}
		if n.open >= s.limits.ConnectionsPerAddress {
			return nil
		}
		n.open++
		c.from = n
	}
	c.Conn = socket.Direct(conn)
	s.conns[c] = struct{}{}
	if s.timer == nil {
		s.timer = time.AfterFunc(s.every, s.look)
	}
	return c
}

func (s *census) leave(c *cappedConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if c.from == nil {
		return
	}
	if c.from.open--; c.from.open == 0 {
		delete(s.networks, c.from.address)
	}
}

// look wakes the writes that have waited for too long.
func (s *census) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	tick := s.ticks.Add(1)
	for c := range s.conns {
		if since := c.since.Load(); since != 0 && c.waited.Load()+tick-since >= paceTicks {
			c.wake()
		}
	}
	if s.timer != nil {
		s.timer.Reset(s.every)
	}
}

// cappedListener bounds how many connections are open, in all and per client network. A
// connection too many is closed at once: to answer it would cost what the cap protects.
type cappedListener struct {
	net.Listener
	census  *census
	trusted func() []netip.Prefix // proxies, behind each of which many callers stand
}

// Accept returns the next connection that there is room for.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.census.enter(conn, l.network(conn)); c != nil {
			return c, nil
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

// cappedConn is a client's connection beneath TLS and HTTP. It gives its place back when it is
// closed, and fails when the client does not read.
type cappedConn struct {
	net.Conn
	census  *census
	from    *network // nil: not bounded by itself
	once    sync.Once
	answers atomic.Int64 // over HTTP/2

	// The present write began at this tick, 0: there is none. net/http and TLS write one at a time.
	since  atomic.Int64
	waited atomic.Int64 // ticks that earlier writes of the present share took
	passed int64        // bytes of the present share

	waking sync.Mutex // guards woken, and the write deadline with it
	woken  bool       // the write deadline is the census's
}

// wake ends the present write for a look at what has passed.
func (c *cappedConn) wake() {
	c.waking.Lock()
	defer c.waking.Unlock()
	c.woken = true
	_ = c.SetWriteDeadline(time.Unix(1, 0))
}

// wasWoken tells whether wake ended a write, and takes its deadline back. Apart from each other the two
// would meet a wake in between: its deadline would stay, and nobody would know whose it is.
func (c *cappedConn) wasWoken() bool {
	c.waking.Lock()
	defer c.waking.Unlock()
	if !c.woken {
		return false
	}
	c.woken = false
	_ = c.SetWriteDeadline(time.Time{})
	return true
}

// Write implements net.Conn. It fails when the client takes less than MinAnswerRate for
// answerPatience.
func (c *cappedConn) Write(p []byte) (int, error) {
	total := 0
	for {
		begin := c.census.ticks.Load()
		c.since.Store(begin)
		n, err := c.Conn.Write(p[total:])
		c.since.Store(0)
		total += n
		slow := c.pace(n, c.census.ticks.Load()-begin)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || slow || !c.wasWoken() {
			return total, err
		}
		// What has passed was enough.
	}
}

// pace accounts what a write brought, and tells whether it is too little.
func (c *cappedConn) pace(n int, ticks int64) (slow bool) {
	c.passed += int64(n)
	share := int64(c.census.limits.MinAnswerRate) * int64(answerPatience/time.Second)
	if c.passed >= share {
		// A look that comes while a write returns counts for the next share, whose bytes may have passed
		// with this one: up to one tick's worth is carried over.
		c.passed = min(c.passed-share, share/paceTicks)
		c.waited.Store(0)
		return false
	}
	return ticks > 0 && c.waited.Add(ticks) >= paceTicks
}

// Close implements net.Conn.
func (c *cappedConn) Close() error {
	c.once.Do(func() { c.census.leave(c) })
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

// connKey is the context key of a connection: its wire, or beneath HTTP/2 the cappedConn. Keys of
// this package are nil pointers, which compare fastest: they are looked up several times a request.
type connKey struct{}

// connContext is for http.Server.ConnContext: it makes the connection known to its calls.
func (g *Gateway) connContext(ctx context.Context, c net.Conn) context.Context {
	var w *wire
	switch c := c.(type) {
	case *wire:
		w = c
	case *tlsWire:
		w = &c.wire
	}
	under := c
	if w != nil {
		under = w.Conn
	}
	if t, ok := under.(*tls.Conn); ok {
		under = t.NetConn()
	}
	capped, _ := under.(*cappedConn)
	if w == nil {
		return context.WithValue(ctx, (*connKey)(nil), capped)
	}
	w.capped = capped
	w.hangUp.watchedBy(&g.lookout)
	return context.WithValue(ctx, (*connKey)(nil), w)
}

// connectionOf returns a request's connection, by its context: the wire is nil over HTTP/2, both are
// when it is not from a listener of ours.
func connectionOf(ctx context.Context) (*wire, *cappedConn) {
	switch c := ctx.Value((*connKey)(nil)).(type) {
	case *wire:
		return c, c.capped
	case *cappedConn:
		return nil, c
	}
	return nil, nil
}
