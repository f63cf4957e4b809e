package gateway

import (
	"bufio"
	"fmt"
	"math"

	"postern/internal/socket"
)

// leanConn is a connection to an upstream that carries one request at a time. No goroutine waits
// behind it.
type leanConn struct {
	*upstreamConn
	home   *idleConns // where it waits between two requests
	host   string     // as the upstream's URL has it
	since  int        // look of home before which it began to wait; guarded by home
	in     *bufio.Reader
	left   int64 // bytes that may still be read
	socket *socket.Conn
}

// unlimited is leanConn.left while a body is read.
const unlimited = math.MaxInt64

func newLeanConn(u *upstreamConn, host string, home *idleConns) (*leanConn, error) {
	direct, ok := u.Conn.(*socket.Conn)
	if !ok {
		_ = u.Close()
		return nil, fmt.Errorf("connection to %s has no socket, but is %T", host, u.Conn)
	}
	c := &leanConn{upstreamConn: u, home: home, host: host, socket: direct}
	c.in = bufio.NewReaderSize(c, 4<<10)
	return c, nil
}

// Read implements net.Conn.
func (c *leanConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errHeadersTooLarge
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.upstreamConn.Read(p)
	c.left -= int64(n)
	return n, err
}

// quiet tells whether a waiting connection is still open and nothing has come on it. Bytes that
// nobody asked for would be taken for the answer to the next request. Neither waits for the upstream
// nor is it foolproof: what comes a moment later looks like an answer.
func (c *leanConn) quiet() bool { return c.socket.Quiet() }
