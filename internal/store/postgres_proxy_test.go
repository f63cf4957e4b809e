//go:build realservers

package store_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"postern/internal/pgserver"
)

// fault is what a proxy does to what passes.
type fault int

const (
	none        fault = iota
	silent            // nothing passes, and new connections are taken and never answered
	cutBefore         // a commit is not passed on, and its connection ends; once
	cutAfter          // a commit is passed on, and its connection ends before the answer; once
	cutForGood        // as cutAfter, and from then on nobody is let in
	unreachable       // every connection ends at once
)

// proxy stands between a store and the server.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	fault fault
	conns []net.Conn
	cuts  int // commits that were cut
}

// newProxy returns one that passes everything on.
func newProxy(t *testing.T, s *pgserver.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: fmt.Sprintf("127.0.0.1:%d", s.Port)}
	go p.accept()
	t.Cleanup(func() {
		l.Close() // nothing to lose
		p.set(unreachable)
	})
	return p
}

// address is the server's own by way of the proxy.
func (p *proxy) address(direct string) string {
	return strings.ReplaceAll(direct, p.to, p.listener.Addr().String())
}

func (p *proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	if f == unreachable || f == none { // what was held back is lost
		for _, c := range p.conns {
			c.Close() // nothing to lose
		}
		p.conns = nil
	}
}

func (p *proxy) now() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		switch p.now() {
		case unreachable:
			client.Close() // that is the fault
			continue
		case silent:
			p.keep(client)
			continue
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close() // the server is not there
			continue
		}
		p.keep(client, server)
		go p.pass(client, server, true)
		go p.pass(server, client, false)
	}
}

func (p *proxy) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
}

// pass copies one direction. A commit is a simple query, in one packet.
func (p *proxy) pass(from, to net.Conn, toServer bool) {
	defer from.Close() // both ways end together
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		f := p.now()
		if f == silent {
			continue
		}
		cut := toServer && bytes.Contains(bytes.ToLower(buffer[:n]), []byte("commit\x00"))
		if cut && (f == cutBefore || f == cutAfter || f == cutForGood) {
			p.mu.Lock()
			p.cuts++
			p.fault = none
			if f == cutForGood {
				p.fault = unreachable
			}
			p.mu.Unlock()
			from.Close() // the client hears nothing any more
			if f == cutBefore {
				return
			}
			if _, err := to.Write(buffer[:n]); err == nil {
				_, _ = to.Read(buffer) // the server has committed
			}
			if f == cutForGood {
				p.set(unreachable)
			}
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
