package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"postern/internal/keys"
)

// ServeRedirect accepts plain HTTP on l until Shutdown and sends every caller to the same address
// over HTTPS, at the given port. It passes nothing on, looks at no credential, and redirects to
// hosts that a route knows only: it must not send people wherever a forged Host says. What a CA asks
// for is answered by prove, which tells whether it was that; nil: there is no CA.
func (g *Gateway) ServeRedirect(l net.Listener, httpsPort string, prove Prover) error {
	srv := g.newServer()
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.redirect(w, r, httpsPort, prove) })
	if !g.servers.add(srv) {
		_ = l.Close()
		return nil
	}
	if err := srv.Serve(watchListener(g.capped(l), nil, readHeaderTimeout)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// Prover answers a CA's request for a proof, which comes over plain HTTP (RFC 8555 section 8.3).
type Prover func(w http.ResponseWriter, r *http.Request, host string) bool

func (g *Gateway) redirect(w http.ResponseWriter, r *http.Request, httpsPort string, prove Prover) {
	snapshot := g.snapshot.Load()
	c := g.newCall()
	c.identify(r, false)
	var in inspected
	x := inspect(r, wireOf(r.Context()), &in)
	if x == nil && in.odd == nil && prove != nil && prove(w, r, in.host) {
		return
	}
	if x == nil {
		x = in.odd
	}
	if x == nil && !snapshot.table.knows(in.host) {
		x = refuse(keys.RouteNotFound)
	}
	if x != nil {
		x.closeConn = true
		snapshot.refuser.write(w, r, c.id, nil, x)
		return
	}
	host := in.host
	if httpsPort != "443" {
		host = net.JoinHostPort(in.host, httpsPort)
	} else if ip := net.ParseIP(in.host); ip != nil && ip.To4() == nil {
		host = "[" + in.host + "]"
	}
	w.Header().Set(headerRequestID, c.id)
	w.Header().Set("Location", "https://"+host+r.URL.RequestURI())
	w.Header().Set("Connection", "close")
	// 308 keeps the method and body, so that a call to the wrong scheme is not turned into a GET.
	w.WriteHeader(http.StatusPermanentRedirect)
}

// knows tells whether any route could take a request to the host.
func (t *table) knows(host string) bool {
	return t.byHost[host] != nil || len(t.any.exact)+len(t.any.below) > 0
}
