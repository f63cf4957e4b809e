package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// redisServer is a redis-server of this run.
type redisServer struct {
	*process
	port string
}

func (b *bench) startRedis(ctx context.Context) (*redisServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // a TCP listener's address always splits
	l.Close()
	p, err := start(ctx, b.dir, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "")
	if err != nil {
		return nil, err
	}
	if _, err := p.line(); err != nil {
		return nil, err
	}
	s := &redisServer{p, port}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err := s.calls(ctx); err == nil {
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("redis-server on port %s does not answer", port)
}

// calls is how many calls of the limiter's script it has run.
func (s *redisServer) calls(ctx context.Context) (float64, error) {
	out, err := exec.CommandContext(ctx, "redis-cli", "-p", s.port, "info", "commandstats").Output()
	if err != nil {
		return 0, fmt.Errorf("ask redis: %w", err)
	}
	if !strings.HasPrefix(string(out), "# Commandstats") {
		return 0, fmt.Errorf("ask redis: %.100s", out)
	}
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_evalsha:calls="); ok {
			number, _, _ := strings.Cut(rest, ",")
			return strconv.ParseFloat(number, 64)
		}
	}
	return 0, nil
}

// measureRedis measures limits counted in Redis: the whole gateway with one hot key, and the limiter
// alone. Redis's processor time is its own account, INFO's used_cpu_user and used_cpu_sys.
func (b *bench) measureRedis(ctx context.Context) error {
	s, err := b.startRedis(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	before, err := s.cpu()
	if err != nil {
		return err
	}
	// A stall of the machine that outlasts the budget shall not end the run.
	limits := fmt.Sprintf(`{ backend: { addrs: ["127.0.0.1:%s"] }, on_loss: allow }`, s.port)
	err = b.compare(ctx, comparison{
		title: "Whole gateway, limits in Redis, one key", ratio: 1.25, allocations: 95, limits: limits, shared: true, keys: min(10_000, b.keys),
		aside: func(ctx context.Context, g *gatewayUnderTest, requests int) error {
			resident, err := metric(ctx, g.admin, "process_resident_memory_bytes")
			if err != nil {
				return err
			}
			b.judge("gateway's resident memory, 10,000 keys", resident/(1<<20), "MiB", 80)
			calls, err := s.calls(ctx)
			if err != nil {
				return err
			}
			after, err := s.cpu()
			if err != nil {
				return err
			}
			// Requests share calls, up to as many as there are connections.
			each := calls / float64(requests)
			if each < 0.5/float64(b.connections) {
				return fmt.Errorf("%.0f calls of Redis for %d requests: it was not asked", calls, requests)
			}
			tell("Redis calls a request", each, "")
			b.judge("Redis's CPU a request", float64((after-before).Nanoseconds())/1000/float64(requests), "µs", 10)
			return nil
		},
	})
	if err != nil {
		return err
	}
	err = b.compare(ctx, comparison{
		title: "Whole gateway, limits in Redis, 2,000 requests a second", ratio: 1.5, limits: limits, shared: true, pace: 2000, rounds: max(1, b.rounds/3),
	})
	if err != nil {
		return err
	}
	return b.measureRedisLimiter(ctx)
}

// measureRedisLimiter times the limiter without a gateway, beside a plain GET by the same client.
func (b *bench) measureRedisLimiter(ctx context.Context) error {
	found, err := b.goBench(ctx, "./limiter", "^BenchmarkRedis", "2")
	if err != nil {
		return err
	}
	fmt.Println("\nLimiter in Redis, without a gateway")
	for _, c := range []struct{ name, what string }{{"1_clients", "a plain GET alone"}, {"32_clients", "a plain GET, 32 clients"}} {
		r, ok := found["RedisGet/"+c.name+"-2"]
		if !ok {
			return fmt.Errorf("there is no BenchmarkRedisGet/%s", c.name)
		}
		tell(c.what+", client's CPU", r.cpuNanoseconds/1000, "µs")
		tell(c.what+", Redis's CPU", r.others["redis-ns/op"]/1000, "µs")
	}
	for _, name := range []string{"alone", "alone_refused", "32_clients", "32_clients_refused", "two_limits", "one_limit", "32_clients_one_key"} {
		r, ok := found["RedisDecide/"+name+"-2"]
		if !ok {
			return fmt.Errorf("there is no BenchmarkRedisDecide/%s", name)
		}
		what := strings.ReplaceAll(name, "_", " ")
		tell(what+", one decision", r.nanoseconds/1000, "µs")
		tell(what+", gateway's CPU", r.cpuNanoseconds/1000, "µs")
		tell(what+", allocations", r.allocations, "")
		if name == "two_limits" || name == "one_limit" || name == "32_clients_one_key" {
			b.judge(what+", Redis's CPU", r.others["redis-ns/op"]/1000, "µs", 10)
		} else {
			tell(what+", Redis's CPU", r.others["redis-ns/op"]/1000, "µs")
		}
	}
	hot, ok := found["RedisHotKey-2"]
	if !ok {
		return fmt.Errorf("there is no BenchmarkRedisHotKey")
	}
	tell("one key at 10,000/s, asked", hot.others["asked/s"], "/s")
	b.judge("one key at 10,000/s, Redis calls", hot.others["calls/s"], "/s", 3000)
	return nil
}
