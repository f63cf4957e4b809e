//go:build !race && linux && !386

package socket

func raceRead(uintptr, []byte)  {}
func raceWrite(uintptr, []byte) {}
