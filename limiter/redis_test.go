//go:build realservers

package limiter_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"postern/limiter"
)

// clocked is a limiter on Redis whose script reads a clock moved by hand: the time is put into
// Redis before each call.
type clocked struct {
	*limiter.Redis
	server *server
	now    func() time.Time
	mu     sync.Mutex
	set    int64 // in Redis
}

func (c *clocked) tick(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now().UnixMicro(); c.set != now {
		if err := c.server.Set(context.WithoutCancel(ctx), limiter.ClockKey, now, 0).Err(); err != nil {
			panic(err)
		}
		c.set = now
	}
}

func (c *clocked) Decide(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	c.tick(ctx)
	return c.Redis.Decide(ctx, tagged(q), a)
}

func (c *clocked) Peek(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	c.tick(ctx)
	return c.Redis.Peek(ctx, tagged(q), a)
}

// tagged gives the suite's queries without a tag the one that its others have: a counter has one tag.
func tagged(q *limiter.Query) *limiter.Query {
	same := *q
	same.Tag = "tag"
	return &same
}

// patient is a budget for tests that are not about time, on a machine that does other things too.
const patient = 20 * time.Second

func TestRedisConforms(t *testing.T) {
	s := startRedis(t)
	var last *limiter.Redis // which would go on to repair what the flush takes
	testLimiter(t, func(t testing.TB, now func() time.Time) limiter.Limiter {
		if last != nil {
			must(t, last.Close())
		}
		must(t, s.FlushAll(context.Background()).Err())
		r := limiter.NewRedisAt(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: "a", Budget: patient})
		last = r
		t.Cleanup(func() { must(t, r.Close()) })
		return &clocked{Redis: r, server: s, now: now}
	})
}
