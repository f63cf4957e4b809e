package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// What a server grants any caller before it knows him. Go's parser is given twice the headers that
// the guard lets pass, so that the guard can answer 431 itself.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 60 * time.Second
	parsedHeaderBytes = 64 << 10
	http2Streams      = 100
	http2Ping         = 30 * time.Second // of silence, until we ask whether the client is there
	http2Pong         = 15 * time.Second // until it must have answered
)

func (l ServerLimits) withDefaults() ServerLimits {
	set := func(v *int, value int) {
		if *v <= 0 {
			*v = value
		}
	}
	set(&l.Connections, 20_000)
	set(&l.ConnectionsPerAddress, 2_000)
	set(&l.InFlight, 10_000)
	set(&l.InFlightPerAddress, 1_000)
	set(&l.Tunnels, 10_000)
	set(&l.MinBodyRate, 240)
	set(&l.MinAnswerRate, 240)
	return l
}

// servers are what Serve runs, for Shutdown to find.
type servers struct {
	mu      sync.Mutex
	running []*http.Server
	stopped bool
}

func (s *servers) add(srv *http.Server) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.running = append(s.running, srv)
	return true
}

func (s *servers) stop() []*http.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	return s.running
}

// Serve accepts on l until Shutdown, and then returns nil; TLS with HTTP/1.1 and HTTP/2 when t is
// not nil, else plain HTTP/1.1: never HTTP/2 without TLS. It may be called for several listeners
// at once.
func (g *Gateway) Serve(l net.Listener, t *tls.Config) error {
	srv := g.newServer()
	if !g.servers.add(srv) {
		_ = l.Close()
		return nil
	}
	err := srv.Serve(watchListener(g.capped(l), t, readHeaderTimeout))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// capped bounds what the clients of a listener hold, together with those of the others.
func (g *Gateway) capped(l net.Listener) net.Listener {
	return &cappedListener{Listener: l, census: g.census, trusted: func() []netip.Prefix { return g.snapshot.Load().trusted }}
}

func (g *Gateway) newServer() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler: g.Handler(),
		// net/http would answer OPTIONS * by itself, before the guard.
		DisableGeneralOptionsHandler: true,
		ConnContext:                  g.connContext,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               parsedHeaderBytes,
		Protocols:                    &protocols,
		// A client that does not take what is written is found by the census and by streams, so
		// there is no WriteByteTimeout, which would set two deadlines for each write.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: http2Streams,
			SendPingTimeout:      http2Ping,
			PingTimeout:          http2Pong,
		},
		// Broken handshakes and the like are everyday noise on an open port.
		ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// Shutdown drains: not ready at once, serving for Drain.Delay (answers ask for no further use of
// their connection meanwhile), then waits for running requests and tunnels up to Drain.Timeout and
// cuts the rest. The end of ctx cuts everything at once. The error tells that a request was cut.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.draining.Store(true)
	delay := time.NewTimer(g.drain.Delay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(ctx, g.drain.Timeout)
	defer cancel()
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
		cut  error
	)
	for _, srv := range g.servers.stop() {
		wait.Go(func() {
			err := srv.Shutdown(ctx)
			if err == nil {
				return
			}
			// net/http also waits, up to five seconds, for connections on which nothing was sent yet.
			if g.inFlight.Load() > 0 || g.held.Load() > 0 {
				mu.Lock()
				cut = errors.Join(cut, err)
				mu.Unlock()
			}
			_ = srv.Close()
		})
	}
	wait.Wait()
	if err := g.awaitTunnels(ctx); err != nil {
		cut = errors.Join(cut, err)
	}
	g.transports.close()
	if cut != nil {
		return fmt.Errorf("drain: %w", cut)
	}
	return nil
}

// awaitTunnels waits for tunnels, which http.Server does not know any more, and ends those that
// are left when ctx ends.
func (g *Gateway) awaitTunnels(ctx context.Context) error {
	idle := g.tunnels.drained()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		select {
		case <-idle: // both came about
			return nil
		default:
		}
		g.tunnels.closeAll()
		return ctx.Err()
	}
}
