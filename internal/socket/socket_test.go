package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"postern/internal/socket"
)

// pair returns both ends of a connection over loopback; the first is direct.
func pair(t testing.TB) (direct *socket.Conn, other *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	a, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { c.Close(); a.Close() })
	return socket.Direct(c).(*socket.Conn), a.(*net.TCPConn)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestConn holds both ends to what the net package asks of a net.Conn: deadlines, closing, racing.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := pair(t)
		d := socket.Direct(b)
		return a, d, func() { a.Close(); d.Close() }, nil
	})
}

// TestSizes: what is written comes, whether it is small, large or more than the buffers hold.
func TestSizes(t *testing.T) {
	direct, other := pair(t)
	for _, size := range []int{1, 100, 16 << 10, 16<<10 + 1, 8 << 20} {
		sent := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		for _, way := range []struct {
			name     string
			from, to net.Conn
		}{{"written", direct, other}, {"read", other, direct}} {
			wrote := make(chan error, 1)
			go func() {
				n, err := way.from.Write(sent)
				if err == nil && n != size {
					err = io.ErrShortWrite
				}
				wrote <- err
			}()
			got := make([]byte, size)
			// The buffer is offered in pieces of both kinds.
			for done := 0; done < size; {
				n, err := way.to.Read(got[done:min(size, done+1000+done%40_000)])
				must(t, err)
				done += n
			}
			must(t, <-wrote)
			if !bytes.Equal(sent, got) {
				t.Errorf("%d bytes %s: other ones came", size, way.name)
			}
		}
	}
}

// TestSmallWriteWaits: a small write for which there is no room waits for it, and its deadline ends it with what was
// taken counted.
func TestSmallWriteWaits(t *testing.T) {
	direct, other := pair(t)
	piece := make([]byte, 10_000)
	must(t, direct.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
	total := 0
	for {
		n, err := direct.Write(piece)
		total += n
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want that the deadline passed", err)
		}
		break
	}
	must(t, direct.SetWriteDeadline(time.Time{}))
	wrote := make(chan error, 1)
	go func() {
		_, err := direct.Write(piece) // waits until the other end reads
		direct.CloseWrite()
		wrote <- err
	}()
	came, err := io.Copy(io.Discard, other)
	must(t, err)
	must(t, <-wrote)
	if want := int64(total + len(piece)); came != want {
		t.Errorf("%d bytes came, want %d: those that were reported as written", came, want)
	}
}

// TestQuiet: only an open connection on which nothing came is.
func TestQuiet(t *testing.T) {
	cases := []struct {
		name  string
		do    func(direct *socket.Conn, other *net.TCPConn)
		quiet bool
	}{
		{"nothing", func(*socket.Conn, *net.TCPConn) {}, true},
		{"a byte", func(_ *socket.Conn, other *net.TCPConn) { other.Write([]byte("x")) }, false},
		{"a byte that was read", func(direct *socket.Conn, other *net.TCPConn) {
			other.Write([]byte("x"))
			direct.Read(make([]byte, 1))
		}, true},
		{"the end", func(_ *socket.Conn, other *net.TCPConn) { other.CloseWrite() }, false},
		{"a reset", func(_ *socket.Conn, other *net.TCPConn) { other.SetLinger(0); other.Close() }, false},
		{"closed here", func(direct *socket.Conn, _ *net.TCPConn) { direct.Close() }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			direct, other := pair(t)
			c.do(direct, other)
			got := direct.Quiet()
			for end := time.Now().Add(5 * time.Second); got != c.quiet && time.Now().Before(end); got = direct.Quiet() {
				time.Sleep(time.Millisecond) // until it is delivered
			}
			if got != c.quiet {
				t.Errorf("got quiet %t, want %t", got, c.quiet)
			}
			raw, err := direct.SyscallConn()
			must(t, err)
			asked := false
			err = raw.Read(func(uintptr) bool { asked = true; return true })
			if closed := c.name == "closed here"; (err != nil) != closed || asked != (!c.quiet && !closed) {
				t.Errorf("a raw read: asked %t, %v", asked, err)
			}
		})
	}
}

// TestErrors: they are the net package's.
func TestErrors(t *testing.T) {
	small := make([]byte, 10)
	t.Run("end", func(t *testing.T) {
		direct, other := pair(t)
		other.Close()
		if n, err := direct.Read(small); n != 0 || err != io.EOF {
			t.Errorf("got %d, %v, want io.EOF", n, err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		direct, other := pair(t)
		other.SetLinger(0)
		other.Close()
		_, err := direct.Read(small)
		var op *net.OpError
		if !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" || op.Addr.String() != direct.RemoteAddr().String() {
			t.Errorf("read: got %v", err)
		}
		if _, err = direct.Write(small); !errors.Is(err, syscall.EPIPE) || !errors.As(err, &op) || op.Op != "write" {
			t.Errorf("write: got %v", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		direct, _ := pair(t)
		must(t, direct.SetDeadline(time.Unix(1, 0)))
		_, err := direct.Read(small)
		var op *net.OpError
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &op) || op.Op != "read" || !op.Timeout() {
			t.Errorf("got %v", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		direct, _ := pair(t)
		reading := make(chan error)
		go func() {
			_, err := direct.Read(small)
			reading <- err
		}()
		direct.Close()
		if err := <-reading; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read that waited: got %v", err)
		}
		if _, err := direct.Write(small); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a write: got %v", err)
		}
	})
}

// TestOthersStay: what is no TCP connection is used as it is.
func TestOthersStay(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := socket.Direct(a); got != a {
		t.Errorf("got %T", got)
	}
}

// TestAllocations: a small message and a look at a quiet connection allocate nothing.
func TestAllocations(t *testing.T) {
	direct, other := pair(t)
	echo := socket.Direct(other)
	message := make([]byte, 300)
	n := testing.AllocsPerRun(200, func() {
		if _, err := direct.Write(message); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(echo, message); err != nil {
			t.Error(err)
		}
		if !direct.Quiet() {
			t.Error("not quiet")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// TestOrder: what was done before a write is there after the read of it, also for the race detector, whichever end is
// direct.
func TestOrder(t *testing.T) {
	direct, other := pair(t)
	for _, way := range [][2]net.Conn{{direct, other}, {other, direct}, {direct, socket.Direct(other)}} {
		before := 0
		go func() {
			before = 1
			_, _ = way[0].Write([]byte("x"))
		}()
		if _, err := way[1].Read(make([]byte, 1)); err != nil || before != 1 {
			t.Errorf("got %d, %v", before, err)
		}
	}
}
