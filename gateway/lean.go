package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"postern/internal/socket"
)

// Rules of this file and its neighbours (exchange.go, leanconn.go, idleconns.go, requesthead.go):
// http.Transport keeps two goroutines for each connection and hands a request from one to the other
// and back, which costs more than all that the gateway decides about it. Most requests need none of
// that: they have no body, so nothing is left to send when the answer comes. The lean transport
// writes and reads those on the caller's goroutine. What it puts on the wire is byte for byte what
// http.Transport would, answers go through the same parser, and whatever is unusual about a request
// is left to http.Transport.

// What an upstream can do wrong on the lean way, beside what the parser and the connection say.
var (
	errHeadersTooLarge = errors.New("upstream's response headers are too large")
	errUnaskedSwitch   = errors.New("upstream switched protocols, which nobody asked for")
)

// leanTransport carries simple requests to http upstreams over HTTP/1.1. It is an
// http.RoundTripper, safe for concurrent use.
type leanTransport struct {
	dialer   *net.Dialer
	patience time.Duration // until the response's headers, 0 for none
	lookout  *lookout      // who has waiting requests look after their clients
	idle     idleConns
	heads    requestHeads
}

var _ http.RoundTripper = (*leanTransport)(nil)

func newLeanTransport(patience time.Duration, l *lookout) *leanTransport {
	return &leanTransport{
		dialer: newDialer(patience), patience: patience, lookout: l,
		idle: idleConns{every: upstreamIdle / idleLooks, most: idlePerUpstream},
	}
}

// simple tells whether a request is one for the lean way: for a plain upstream, without a body, and
// without anything that changes how it or its answer is framed, or what becomes of the connection.
func simple(out *http.Request) bool {
	if out.URL.Scheme != "http" || out.Body != nil || out.ContentLength != 0 ||
		out.Close || len(out.TransferEncoding) > 0 || len(out.Trailer) > 0 {
		return false
	}
	for _, name := range [...]string{"Connection", "Upgrade", "Expect", "Te"} {
		if _, there := out.Header[name]; there {
			return false
		}
	}
	return true
}

// RoundTrip implements http.RoundTripper, for requests that are simple. Errors are those of the
// connection (a timeout is a net.Error, a failed dial a net.OpError), of http.ReadResponse, or the
// ones above; the context's end, too, is seen as an error of the connection. Closing the body before
// its end, from whatever goroutine, closes the connection.
func (t *leanTransport) RoundTrip(out *http.Request) (*http.Response, error) {
	if err := out.Context().Err(); err != nil {
		return nil, err
	}
	head := t.heads.get()
	err := head.write(out)
	var x *exchange
	if err == nil {
		x, err = t.send(out, head.text)
	}
	t.heads.put(head)
	if err != nil {
		return nil, err
	}
	answered := false
	defer func() {
		if !answered { // also when passing an interim answer on panics
			_ = x.Close()
		}
	}()
	res, err := x.conn.readAnswer(out)
	if err != nil {
		return nil, err
	}
	x.begin(res)
	answered = true
	return res, nil
}

// send writes a request to an idle connection or, where there is none, to a new one. An upstream may
// close an idle connection in just this moment: an idempotent request of which no byte was written is
// then sent on a new connection, once.
func (t *leanTransport) send(out *http.Request, head []byte) (*exchange, error) {
	ctx := out.Context()
	host := out.URL.Host
	c := t.idle.take(host)
	for used := c != nil; ; used = false {
		if c == nil {
			var err error
			if c, err = t.dial(ctx, host); err != nil {
				return nil, err
			}
		}
		x := &exchange{conn: c, ctx: ctx}
		t.lookout.add(waiting{on: x})
		c.begin()
		n, err := c.Write(head)
		if err == nil {
			c.requestWritten(httptrace.WroteRequestInfo{})
			return x, nil
		}
		_ = x.Close()
		if n > 0 || !used || !idempotent(out.Method) || ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
		c = nil
	}
}

// dial opens a connection to the host, and perhaps port, of an upstream's URL.
func (t *leanTransport) dial(ctx context.Context, host string) (*leanConn, error) {
	address, err := dialAddress(host)
	if err != nil {
		return nil, err
	}
	conn, err := t.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return newLeanConn(newUpstreamConn(socket.Direct(conn), t.patience, true), host, &t.idle)
}

// dialAddress adds the port that a URL's host may leave out, and puts the name in ASCII.
func dialAddress(host string) (string, error) {
	address, err := httpguts.PunycodeHostPort(host)
	if err != nil {
		return "", err
	}
	switch colon := strings.LastIndexByte(address, ':'); {
	case colon < 0 || strings.HasSuffix(address, "]"):
		address += ":80"
	case colon == len(address)-1:
		address += "80"
	}
	return address, nil
}

// readAnswer reads the head of a request's answer and passes interim ones on. All heads together may
// have upstreamHeaderBytes.
func (c *leanConn) readAnswer(out *http.Request) (*http.Response, error) {
	c.left = upstreamHeaderBytes
	for {
		res, err := http.ReadResponse(c.in, out)
		if err != nil {
			return nil, err
		}
		switch status := res.StatusCode; {
		case status == http.StatusSwitchingProtocols:
			return nil, errUnaskedSwitch
		case status < 100 || status > 199:
			c.left = unlimited
			c.answered()
			return res, nil
		}
		trace := httptrace.ContextClientTrace(out.Context())
		if trace == nil || trace.Got1xxResponse == nil {
			continue
		}
		if err := trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
			return nil, err
		}
	}
}
