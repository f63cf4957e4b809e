package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
)

// watchListener returns a listener whose HTTP/1 connections are watched (see wire). With t, it
// does the TLS handshakes itself, each in a goroutine of its own and within handshake, because
// only then is it known whether HTTP/2 was negotiated: those are handed on as the *tls.Conn that
// net/http wants to see. Give it to http.Server.Serve, never ServeTLS, together with
// connContext. Bound the connections of l: each counts from its accept on.
func watchListener(l net.Listener, t *tls.Config, handshake time.Duration) net.Listener {
	if t == nil {
		return &plainListener{l}
	}
	t = t.Clone()
	if len(t.NextProtos) == 0 {
		t.NextProtos = []string{"h2", "http/1.1"}
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &tlsListener{
		Listener: l, config: t, handshake: handshake, ctx: ctx, stop: stop,
		ready: make(chan net.Conn), failed: make(chan error),
	}
	w.running.Go(w.acceptAll)
	return w
}

type plainListener struct{ net.Listener }

// Accept implements net.Listener.
func (l *plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return watchConn(c), nil
}

type tlsListener struct {
	net.Listener
	config    *tls.Config
	handshake time.Duration
	ctx       context.Context // the listener's own life; Accept has no context to hand over
	stop      context.CancelFunc
	running   sync.WaitGroup
	ready     chan net.Conn
	failed    chan error
}

// Accept returns the next connection whose handshake is done.
func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the listener and every handshake that is not done.
func (l *tlsListener) Close() error {
	l.stop()
	err := l.Listener.Close()
	l.running.Wait()
	return err
}

func (l *tlsListener) acceptAll() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			select {
			case l.failed <- err: // net/http waits a little after temporary ones and asks again
			case <-l.ctx.Done():
				return
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		l.running.Go(func() { l.shake(c) })
	}
}

func (l *tlsListener) shake(c net.Conn) {
	ctx, cancel := context.WithTimeout(l.ctx, l.handshake)
	defer cancel()
	t := tls.Server(c, l.config)
	if err := t.HandshakeContext(ctx); err != nil {
		var notTLS tls.RecordHeaderError
		if errors.As(err, &notTLS) && notTLS.Conn != nil {
			// Somebody speaks HTTP to the TLS port; the least that he can understand.
			_ = notTLS.Conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = notTLS.Conn.Write([]byte("HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nThis port speaks HTTPS.\n"))
		}
		_ = c.Close()
		return
	}
	if t.ConnectionState().NegotiatedProtocol == acmez.ACMETLS1Protocol {
		_ = c.Close() // the handshake was the proof that a CA asked for, and nothing may follow (RFC 8737 section 3)
		return
	}
	ready := net.Conn(t)
	if t.ConnectionState().NegotiatedProtocol != "h2" {
		ready = watchConn(t)
	}
	select {
	case l.ready <- ready:
	case <-l.ctx.Done():
		_ = c.Close()
	}
}
