//go:build linux && !386

package socket

import (
	"io"
	"syscall"
	"unsafe"
)

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 || len(p) > small {
		return c.TCPConn.Read(p)
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	t := &c.in
	t.bytes, t.done, t.errno = p, 0, 0
	err := c.raw.Read(t.step)
	t.bytes = nil
	switch {
	case err != nil:
		return 0, waited("read", err)
	case t.errno != 0:
		return 0, c.failed("read", t.errno)
	case t.done == 0:
		return 0, io.EOF
	}
	return t.done, nil
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 || len(p) > small {
		return c.TCPConn.Write(p)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	t := &c.out
	t.bytes, t.done, t.errno = p, 0, 0
	err := c.raw.Write(t.step)
	t.bytes = nil
	switch {
	case err != nil:
		return t.done, waited("write", err)
	case t.errno != 0:
		return t.done, c.failed("write", t.errno)
	}
	return t.done, nil
}

// read is one read(2), again when a signal came first; false: there is nothing yet.
func (t *transfer) read(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&t.bytes[0])), uintptr(len(t.bytes)))
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case 0:
			t.done = int(n)
			raceRead(fd, t.bytes[:n])
		default:
			t.errno = errno
		}
		return true
	}
}

// write is as many write(2) as there is room for; false: there is no room for the rest yet.
func (t *transfer) write(fd uintptr) bool {
	raceWrite(fd, t.bytes[t.done:])
	for t.done < len(t.bytes) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&t.bytes[t.done])), uintptr(len(t.bytes)-t.done))
		switch errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		case 0:
			t.done += int(n)
		default:
			t.errno = errno
			return true
		}
	}
	return true
}

// look looks at the next byte without taking it.
func (g *glance) look(fd uintptr) {
	var next [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&next[0])), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	g.quiet = errno == syscall.EAGAIN
}
