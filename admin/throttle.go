package admin

import (
	"net/netip"
	"sync"
	"time"
)

// Failed sign-ins of one address within failureWindow before they are answered 429, and how many
// addresses are remembered.
const (
	maxFailures     = 20
	failureWindow   = time.Minute
	maxFailureAddrs = 4096
)

// throttle counts failed sign-ins by client address in fixed windows that begin with an address's
// first failure. It only ever changes how a failure is answered: a correct token never comes here.
// Memory is bounded; past the bound an arbitrary address is forgotten, which costs only its count.
// It is safe for concurrent use.
type throttle struct {
	mu    sync.Mutex
	addrs map[netip.Prefix]failures
}

type failures struct {
	since time.Time
	count int
}

func newThrottle() *throttle { return &throttle{addrs: map[netip.Prefix]failures{}} }

// failed records a failure and returns how long the address should wait: 0 for the first
// maxFailures of a window.
func (t *throttle) failed(a netip.Addr, now time.Time) time.Duration {
	key := network(a)
	t.mu.Lock()
	defer t.mu.Unlock()
	f, known := t.addrs[key]
	if !known && len(t.addrs) >= maxFailureAddrs {
		t.forget(now)
	}
	if age := now.Sub(f.since); !known || age >= failureWindow || age < 0 {
		f = failures{since: now}
	}
	if f.count < maxFailures {
		f.count++
		t.addrs[key] = f
		return 0
	}
	return f.since.Add(failureWindow).Sub(now)
}

// forget makes room by looking at a few entries: the ended windows among them go, else the first.
// Map order is random, so repeated calls find the ended ones soon.
func (t *throttle) forget(now time.Time) {
	var first netip.Prefix
	seen, gone := 0, 0
	for key, f := range t.addrs {
		if seen == 0 {
			first = key
		}
		if now.Sub(f.since) >= failureWindow {
			delete(t.addrs, key)
			gone++
		}
		if seen++; seen == 16 {
			break
		}
	}
	if gone == 0 {
		delete(t.addrs, first)
	}
}

// network is what one client can be expected to hold: an IPv4 address, or an IPv6 /64 (RFC 6177).
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all such share one count
	}
	return p
}
