// Package socket makes TCP connections that cost less where messages are small and far apart.
//
// Before each system call Go's runtime makes ready for one that takes long, and wakes the thread that would
// then give the processor to others (sysmon), if that one sleeps. It sleeps whenever nothing runs, which
// between two messages is always: so a gateway that is not busy woke it about four times a request, and it
// took a sixth of all processor time (measured at 2,000 requests a second with limits in Redis). A socket
// that does not block is read and written in microseconds, with nothing to make ready for. Connections of
// this package do small reads and writes so (syscall.RawSyscall); waiting and deadlines are the runtime's
// as ever. On Unix systems other than Linux they are what they were.
//
// The price: should the kernel ever take long over such a call, as one does that is short of memory, the
// processor is held meanwhile, and a collection of garbage that begins waits for it.
package socket

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// small is the longest read or write that is made without the runtime's knowing: about a microsecond of
// copying. What is longer is worth the ceremony.
const small = 16 << 10

// Conn is a TCP connection, see the package comment. Make it with Direct. It is safe for concurrent use,
// as every net.Conn is.
type Conn struct {
	*net.TCPConn
	raw   syscall.RawConn
	asked syscall.RawConn // what SyscallConn returns

	reading sync.Mutex // of what in has
	in      transfer
	writing sync.Mutex // of what out has
	out     transfer
	looking sync.Mutex // of what at has
	at      glance
}

// transfer is a read or a write under way. Functions for syscall.RawConn are bound once, because a closure
// for each call would be allocated.
type transfer struct {
	bytes []byte
	done  int // of bytes
	errno syscall.Errno
	step  func(fd uintptr) (done bool)
}

// glance is a look at what there is to read.
type glance struct {
	quiet bool
	take  func(fd uintptr)
}

var (
	_ net.Conn     = (*Conn)(nil)
	_ syscall.Conn = (*Conn)(nil)
)

// Direct returns c as a *Conn if it is a TCP connection, and else c itself. Nothing else may use a
// connection that was given to it.
func Direct(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c // it is closed, and its next use says so
	}
	d := &Conn{TCPConn: tcp, raw: raw}
	d.asked = quietFirst{raw, d}
	d.in.step, d.out.step, d.at.take = d.in.read, d.out.write, d.at.look
	return d
}

// SyscallConn implements syscall.Conn for those who look whether anything has come before they use a
// connection again, as go-redis does. Where nothing has, their function is not called by Read.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.asked, nil }

// quietFirst is the socket, of which a look at whether it is quiet costs as little as a read.
type quietFirst struct {
	syscall.RawConn
	conn *Conn
}

// Read calls f, as syscall.RawConn says, unless there is nothing to read.
func (q quietFirst) Read(f func(fd uintptr) (done bool)) error {
	if q.conn.Quiet() {
		return nil
	}
	return q.RawConn.Read(f)
}

// Quiet tells, without waiting, whether the connection is open and nothing has come on it: no byte that was
// not read, no end, no error.
func (c *Conn) Quiet() bool {
	c.looking.Lock()
	defer c.looking.Unlock()
	return c.raw.Control(c.at.take) == nil && c.at.quiet
}

// Quiet tells the same of any socket.
func Quiet(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var g glance
	return raw.Control(g.look) == nil && g.quiet
}

// failed is an error of a system call as the net package tells of it.
func (c *Conn) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// waited is an error of waiting, by syscall.RawConn, under the name of what waited.
func waited(op string, err error) error {
	if e, ok := err.(*net.OpError); ok {
		e.Op = op
	}
	return err
}
