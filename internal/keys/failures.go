package keys

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds of the memory of failed authentications. One entry is about 40 bytes.
const (
	defaultFailures  = 20
	failureWindow    = time.Minute
	failureShards    = 64
	failuresPerShard = 1024
)

// Failures counts wrong credentials per client network within a minute, for the data path and for
// the control path alike. It is to be asked only after a credential proved wrong, so a right one is
// never held up by somebody else's guessing, and it knows no keys, so guessing never spends an
// owner's quota. It is safe for concurrent use.
//
// It is bounded: when a shard is full of networks that all failed within the last minute, an
// arbitrary one is forgotten. That costs an attacker with 65,536 networks nothing he would not
// have without the throttle: what protects keys is their 256 random bits.
type Failures struct {
	allowed int
	shards  [failureShards]failureShard
}

type failureShard struct {
	mu     sync.Mutex
	counts map[[16]byte]failureCount
}

type failureCount struct {
	since time.Time
	n     int
}

// NewFailures lets each network fail so often within a minute; 0 means 20.
func NewFailures(perMinute int) *Failures {
	if perMinute <= 0 {
		perMinute = defaultFailures
	}
	f := &Failures{allowed: perMinute}
	for i := range f.shards {
		f.shards[i].counts = make(map[[16]byte]failureCount)
	}
	return f
}

func (f *Failures) shard(address [16]byte) *failureShard {
	return &f.shards[(address[15]^address[13]^address[7]^address[6]*31^address[14]*7)%failureShards]
}

// Record counts one failure from a client address at now and returns how long further failures of
// its network are answered too_many_failures, 0 while it has not used up what is allowed.
func (f *Failures) Record(client netip.Addr, now time.Time) time.Duration {
	address := ClientNetwork(client).As16()
	shard := f.shard(address)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	count, known := shard.counts[address]
	if !known && len(shard.counts) >= failuresPerShard {
		shard.makeRoom(now)
	}
	if age := now.Sub(count.since); !known || age >= failureWindow || age < 0 {
		count = failureCount{since: now}
	}
	count.n = min(count.n+1, f.allowed+1)
	shard.counts[address] = count
	if count.n <= f.allowed {
		return 0
	}
	return count.since.Add(failureWindow).Sub(now)
}

// Peek returns what Record would, and counts nothing.
func (f *Failures) Peek(client netip.Addr, now time.Time) time.Duration {
	address := ClientNetwork(client).As16()
	shard := f.shard(address)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	count, known := shard.counts[address]
	if age := now.Sub(count.since); !known || age >= failureWindow || age < 0 || count.n < f.allowed {
		return 0
	}
	return count.since.Add(failureWindow).Sub(now)
}

// makeRoom drops one entry: the first that is over among a few, else the last of these. Looking at
// all would make a flood from many networks dear for us.
func (s *failureShard) makeRoom(now time.Time) {
	const looked = 8
	n := 0
	for address, count := range s.counts {
		n++
		if n == looked || now.Sub(count.since) >= failureWindow {
			delete(s.counts, address)
			return
		}
	}
}

// ClientNetwork is what failures and the limits of public routes count by: an IPv4 address, or the
// /64 that one IPv6 caller usually has to himself (RFC 6177).
func ClientNetwork(a netip.Addr) netip.Addr {
	if !a.Is6() || a.Is4In6() {
		return a.Unmap()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
