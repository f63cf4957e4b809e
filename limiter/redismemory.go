package limiter

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// memoryWatch tells of servers that drop counters when their memory is full, each once.
type memoryWatch struct {
	looked  time.Time
	refused bool // this user may not ask

	mu   sync.Mutex        // a cluster's servers are asked at the same time
	told map[string]string // by server: the policy that was told of
}

// memoryPatience bounds a look.
const memoryPatience = 200 * time.Millisecond

// lookAtMemory looks once a minute, until the server says that this user may not ask (INFO).
func (r *Redis) lookAtMemory(w *memoryWatch) {
	if w.refused || !w.looked.IsZero() && time.Since(w.looked) < tidyEvery {
		return
	}
	w.looked = time.Now()
	// Counts are pushed by the same goroutine. A server that cannot be asked now is asked in a minute.
	ctx, cancel := context.WithTimeout(r.closing, memoryPatience)
	defer cancel()
	err := r.store.each(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		w.tell(r, cmp.Or(r.store.master, c.Options().Addr), evictionPolicy(text))
		return nil
	})
	if redis.HasErrorPrefix(err, "NOPERM") {
		w.refused = true
		r.log.Info("redis does not tell whether it drops counters when its memory is full; its user needs +info for that")
	}
}

func (w *memoryWatch) tell(r *Redis, server, policy string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if policy == w.told[server] {
		return
	}
	if w.told == nil {
		w.told = map[string]string{}
	}
	w.told[server] = policy
	if policy != "" {
		r.log.Warn("redis drops counters when its memory is full, and limits then admit more than they say; set its maxmemory-policy to noeviction",
			"server", server, "maxmemory_policy", policy)
	}
}

// evictionPolicy reads INFO: by which policy a server drops keys, empty if it never does.
func evictionPolicy(info string) string {
	policy, bounded := "", false
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "maxmemory":
			bounded = value != "0"
		case "maxmemory_policy":
			policy = value
		}
	}
	if !bounded || policy == "noeviction" {
		return ""
	}
	return policy
}
