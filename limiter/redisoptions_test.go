package limiter_test

import (
	"strings"
	"testing"
	"time"

	"postern/limiter"
)

// TestRedisOptions: each mistake is told, and no password with it.
func TestRedisOptions(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct {
		name string
		o    limiter.RedisOptions
		want string
	}{
		{"nothing", limiter.RedisOptions{Node: "a"}, "no address"},
		{"no node", limiter.RedisOptions{Addrs: []string{"a:1"}}, "node id of 0 bytes"},
		{"long node", limiter.RedisOptions{Addrs: []string{"a:1"}, Node: strings.Repeat("x", 129)}, "node id of 129 bytes"},
		{"no port", limiter.RedisOptions{Addrs: []string{"a:1", "b"}, Node: "a"}, `address "b"`},
		{"both", limiter.RedisOptions{URL: "redis://a", Addrs: []string{"a:1"}, Node: "a"}, "not both"},
		{"sentinels of a cluster", limiter.RedisOptions{Addrs: []string{"a:1"}, MasterName: "m", Cluster: true, Node: "a"}, "not both"},
		{"no such database", limiter.RedisOptions{Addrs: []string{"a:1"}, DB: -1, Node: "a"}, "want 0 or more"},
		{"a cluster's database", limiter.RedisOptions{Addrs: []string{"a:1", "b:1"}, DB: 1, Node: "a"}, "only 0"},
		{"two databases", limiter.RedisOptions{URL: "redis://a/1", DB: 1, Node: "a"}, "in the URL"},
		{"password of no Sentinel", limiter.RedisOptions{Addrs: []string{"a:1"}, SentinelPassword: secret, Node: "a"}, "no name of a master"},
		{"budget", limiter.RedisOptions{Addrs: []string{"a:1"}, Node: "a", Budget: time.Microsecond}, "budget"},
		{"scheme", limiter.RedisOptions{URL: "http://u:" + secret + "@a", Node: "a"}, "want redis://"},
		{"broken", limiter.RedisOptions{URL: "redis://u:" + secret + "@a:x", Node: "a"}, "want redis://"},
		{"option", limiter.RedisOptions{URL: "redis://u:" + secret + "@a?max_retries=3", Node: "a"}, "nothing after"},
		{"database", limiter.RedisOptions{URL: "redis://u:" + secret + "@a/x", Node: "a"}, "number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.o.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want %q in it and no password", err, c.want)
			}
			if r, err := limiter.NewRedis(c.o); err == nil {
				t.Error("a limiter was made of it")
				must(t, r.Close())
			}
		})
	}
	for _, o := range []limiter.RedisOptions{
		{URL: "redis://u:p@a:1/3", Node: "a"}, {URL: "rediss://a", Node: "a"}, {Addrs: []string{"[::1]:6379"}, Node: "a"},
		{Addrs: []string{"a:1", "b:1"}, Node: "a"}, {Addrs: []string{"a:1"}, MasterName: "m", Node: "a"},
	} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
