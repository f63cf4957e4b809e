//go:build realservers

package limiter_test

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// cable is a way to a server that a test can break: it cuts the connection when a reply of the script
// comes back, or holds what comes back for a while.
type cable struct {
	addr, to string
	listener net.Listener
	cut      atomic.Bool  // the next reply to EVAL or EVALSHA ends its connection instead
	cuts     atomic.Int64 // how often it did
	cutAll   atomic.Bool  // every one does
	hole     atomic.Bool  // what goes in does not come out, and nothing says so
	delay    atomic.Int64 // ns by which every reply is late
	conns    sync.Map
	group    sync.WaitGroup
}

func lay(t testing.TB, to string) *cable { return layAt(t, 0, to) }

func layAt(t testing.TB, port int, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
	must(t, err)
	c := &cable{addr: l.Addr().String(), to: to, listener: l}
	c.group.Go(c.serve)
	t.Cleanup(func() {
		_ = l.Close()
		c.conns.Range(func(k, _ any) bool { _ = k.(net.Conn).Close(); return true })
		c.group.Wait()
	})
	return c
}

func (c *cable) serve() {
	for {
		in, err := c.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		c.conns.Store(in, nil)
		c.conns.Store(out, nil)
		var script atomic.Bool // the newest command is a script
		c.group.Go(func() {
			defer out.Close()
			c.copy(out, in, func(b []byte) bool { script.Store(bytes.Contains(b, []byte("eval"))); return true })
		})
		c.group.Go(func() {
			defer in.Close()
			c.copy(in, out, func([]byte) bool {
				time.Sleep(time.Duration(c.delay.Load()))
				if script.Load() && (c.cutAll.Load() || c.cut.CompareAndSwap(true, false)) {
					c.cuts.Add(1)
					return false
				}
				return true
			})
		})
	}
}

func (c *cable) copy(to, from net.Conn, pass func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && (!pass(buffer[:n])) {
			_ = from.Close()
			return
		}
		if n > 0 && !c.hole.Load() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
