package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// uptime is the time since the machine was started, sleep included. That it cannot be read is not
// known to happen; then nothing ages by it.
func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
