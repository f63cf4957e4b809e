package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
)

// Gateway is the data path.
type Gateway struct{}

// New builds it; the error names the part that does not fit.
func New(o Options) (*Gateway, error) { panic("stub") }

// Swap puts another policy in force.
func (g *Gateway) Swap(p *Policy) error { panic("stub") }

// Handler serves requests as the listener does, for tests.
func (g *Gateway) Handler() http.Handler { panic("stub") }

// Serve accepts on l until Shutdown; TLS when t is not nil (HTTP/1.1 and HTTP/2). Returns nil after Shutdown.
func (g *Gateway) Serve(l net.Listener, t *tls.Config) error { panic("stub") }

// Shutdown drains: not ready at once, serving for Drain.Delay, then waits for running requests up
// to Drain.Timeout and cuts the rest. ctx's end cuts everything at once.
func (g *Gateway) Shutdown(ctx context.Context) error { panic("stub") }

// Ready returns nil while traffic can be served, else why not (not loaded, draining, stale).
func (g *Gateway) Ready() error { panic("stub") }
