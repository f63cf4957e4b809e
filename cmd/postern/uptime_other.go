//go:build !linux

package main

import "time"

// uptime is not known on other systems: nothing ages by it there, as on a machine that never sleeps.
func uptime() time.Duration { return 0 }
