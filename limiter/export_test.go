package limiter

import (
	"strings"
	"testing"
	"time"
)

// ShareOf is how much of n units a gateway has at a time.
func ShareOf(r *Roster, n int64, turn uint64, now time.Time) int64 { return r.at(now).share(n, turn) }

// By makes a roster go by another clock.
func (r *Roster) By(now func() time.Time) *Roster {
	r.now = now
	return r
}

// EvictionPolicy is what an INFO of Redis says.
func EvictionPolicy(info string) string { return evictionPolicy(info) }

// ClockKey is where the script of NewRedisAt finds the time, in µs.
const ClockKey = "postern-test-clock"

// NewRedisAt makes a limiter whose script reads the time from a key; all else is what NewRedis makes.
func NewRedisAt(t testing.TB, o RedisOptions) *Redis {
	t.Helper()
	const clock = "local T = call('TIME'); local now = T[1] * 1000000 + T[2]\n"
	script := strings.Replace(redisScript, clock, "local now = tonumber(call('GET', '"+ClockKey+"'))\n", 1)
	if script == redisScript {
		t.Fatal("redis.lua reads the clock in another way now")
	}
	r, err := newRedis(o, script)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
