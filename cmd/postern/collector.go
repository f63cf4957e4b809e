package main

import (
	"runtime"
	"runtime/debug"
)

// While the keys are loaded nearly everything that is allocated stays, so collecting each time the
// heap has doubled looks through the same keys again and again: a fifth of the work of a large start.
const (
	usualPercent   = 100 // runtime/debug.SetGCPercent
	loadingPercent = 300
	smallHeap      = 64 << 20
)

// collectLess lets the heap grow fourfold between collections until restore is called, which gives back
// what that took. The heap does not get larger than it may later, when it doubles on top of all
// keys; a limit by GOMEMLIMIT holds all the same. Whoever has set GOGC knows better: then nothing changes.
func collectLess() (restore func()) {
	if before := debug.SetGCPercent(loadingPercent); before != usualPercent {
		debug.SetGCPercent(before)
		return func() {}
	}
	return func() {
		debug.SetGCPercent(usualPercent)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > smallHeap {
			go debug.FreeOSMemory() // nobody need wait for the collection in it
		}
	}
}
