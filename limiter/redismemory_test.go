//go:build realservers

package limiter_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/limiter"
)

// sharedLog is a log that is written to and read at the same time.
type sharedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *sharedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *sharedLog) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// TestRedisEviction: a server that drops keys when it is full is told of; one that refuses is not.
func TestRedisEviction(t *testing.T) {
	for policy, told := range map[string]bool{"volatile-lru": true, "noeviction": false} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", policy)
			log := &sharedLog{}
			newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Log: slog.New(slog.NewTextHandler(log, nil))})
			must(t, s.Info(t.Context()).Err()) // from now on Redis tells how often
			asked := 0.0                       // by this test, before the answer that is read
			eventually(t, 20*time.Second, "the limiter asks the server", func() bool {
				asked++
				return s.info(t, "commandstats", "cmdstat_info") > asked
			})
			if told {
				eventually(t, 20*time.Second, "it is told of", func() bool { return log.has("maxmemory_policy=" + policy) })
			} else if log.has("maxmemory_policy") {
				t.Error("a server that drops nothing is told of")
			}
		})
	}
}

// TestRedisEvictionUnknown: a user who may not ask is told what that takes, once, and counts all the same.
func TestRedisEvictionUnknown(t *testing.T) {
	t.Parallel()
	s := startRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	args := []any{"ACL", "SETUSER", "app", "on", ">secret", "resetchannels", "resetkeys", "-@all"}
	for _, right := range strings.Fields(leastRights) {
		args = append(args, right)
	}
	must(t, s.Do(t.Context(), args...).Err())
	log := &sharedLog{}
	r := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}, Username: "app", Password: "secret", Log: slog.New(slog.NewTextHandler(log, nil))})
	eventually(t, 20*time.Second, "what it takes is told", func() bool { return log.has("+info") })
	if log.has("maxmemory_policy") {
		t.Error("what nobody may know is told")
	}
	decide(t, r, 1, on(t, "key", "10/s"))
}

func TestEvictionPolicy(t *testing.T) {
	for info, want := range map[string]string{
		"# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n":                             "",
		"# Memory\r\nmaxmemory:104857600\r\nmaxmemory_human:100M\r\nmaxmemory_policy:allkeys-lru": "allkeys-lru",
		"maxmemory_policy:volatile-ttl\r\nmaxmemory:1\r\n":                                        "volatile-ttl",
		"maxmemory:1\r\nmaxmemory_policy:noeviction\r\n":                                          "",
		"nothing of this": "",
	} {
		if got := limiter.EvictionPolicy(info); got != want {
			t.Errorf("%q: got %q, want %q", info, got, want)
		}
	}
}
