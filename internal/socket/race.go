//go:build race && linux && !386

package socket

import (
	"runtime"
	"syscall"
	"unsafe"
)

// The race detector learns of reads and writes from the functions of syscall that this package does without.
// They are made with nothing to read or write, which orders what is before a write before what is after the
// read of it, as the net package's own do; and the buffers are named here.

func raceRead(fd uintptr, p []byte) {
	if len(p) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(&p[0]), len(p))
	}
	_, _ = syscall.Read(int(fd), nil)
}

func raceWrite(fd uintptr, p []byte) {
	if len(p) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(&p[0]), len(p))
	}
	_, _ = syscall.Write(int(fd), nil)
}
