//go:build realservers

package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"postern/limiter"
)

// TestRedisHoldsNobodyUp: however long a log is, and however much of it has expired, no call takes
// Redis longer than a millisecond, by Redis's own measure.
func TestRedisHoldsNobodyUp(t *testing.T) {
	const calls = 200
	s := startRedis(t)
	r := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}})
	c := on(t, "key", "1000000/h")
	decide(t, r, 1, c)
	key := s.Keys(t.Context(), "postern:*").Val()[0]
	// 4096 entries, more than quantising leaves of any limit: `old` of them have expired.
	fill := func(old int) {
		must(t, s.Eval(t.Context(), `
			local T = redis.call('TIME') local now = T[1] * 1000000 + T[2]
			local e = {struct.pack('<dd', 0, 0)}
			for i = 1, 4096 do e[i + 1] = struct.pack('<dd', i <= ARGV[1] + 0 and now - 3600000000 - 5000 + i or now - 5000 + i, i) end
			redis.call('SET', KEYS[1], table.concat(e) .. struct.pack('<ddI4I4', 0, now + 7200000000, 0, 4097), 'PX', 7200000)
			return 1`, []string{key}, old).Err())
	}
	must(t, s.ConfigSet(t.Context(), "slowlog-log-slower-than", "0").Err())
	must(t, s.ConfigSet(t.Context(), "slowlog-max-len", "100000").Err())
	for _, old := range []int{0, 1, 4095, 4096} {
		var durations []time.Duration
		for i := range calls {
			fill(old)
			must(t, s.SlowLogReset(t.Context()).Err())
			limit := c
			if i%2 == 1 && old < 4096 {
				limit.Limit.N = int64(4096 - old) // refused, and must look for when one frees
			}
			a := decide(t, r, 1, limit)
			if got := a.States[0].Used; got != int64(4096-old)+int64((i+1)%2) && old < 4096 {
				t.Fatalf("%d expired: got %d used", old, got)
			}
			for _, entry := range s.SlowLogGet(t.Context(), -1).Val() {
				if entry.Args[0] == "evalsha" {
					durations = append(durations, entry.Duration)
				}
			}
		}
		judgeSlow(t, fmt.Sprintf("%d of 4096 expired", old), durations)
	}
	// The largest limits that there are, over a window's whole life.
	var durations []time.Duration
	for _, text := range []string{"1000000/s", "1000/h", "1000000000000/8784h"} {
		must(t, s.FlushAll(t.Context()).Err())
		must(t, s.SlowLogReset(t.Context()).Err())
		for range 1200 {
			decide(t, r, 1, on(t, "key", text))
		}
		for _, entry := range s.SlowLogGet(t.Context(), -1).Val() {
			if entry.Args[0] == "evalsha" {
				durations = append(durations, entry.Duration)
			}
		}
	}
	judgeSlow(t, "large limits", durations)
}

// judgeSlow judges times that Redis measured on the wall clock, on a machine that does other things
// too: the promise is for what the script takes, so a few calls may have waited for a processor.
func judgeSlow(t *testing.T, what string, durations []time.Duration) {
	t.Helper()
	var slow int
	var most, sum time.Duration
	for _, d := range durations {
		most, sum = max(most, d), sum+d
		if d > time.Millisecond {
			slow++
		}
	}
	if len(durations) == 0 {
		t.Fatalf("%s: SLOWLOG has no call", what)
	}
	t.Logf("%s: %d calls, mean %v, longest %v", what, len(durations), sum/time.Duration(len(durations)), most)
	if slow > len(durations)/10 {
		t.Errorf("%s: %d of %d calls took longer than 1ms", what, slow, len(durations))
	}
}

// TestRedisScriptMemory: neither the script nor what Lua keeps grows.
func TestRedisScriptMemory(t *testing.T) {
	s := startRedis(t)
	r := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}})
	run := func(n int) {
		for i := range n {
			decide(t, r, 1, on(t, fmt.Sprint(i%50), "1000000/s"), today(t, fmt.Sprint(i%50), "1000000/day"))
		}
	}
	run(3000)
	before := s.info(t, "memory", "used_memory_vm_eval")
	run(20_000)
	if after := s.info(t, "memory", "used_memory_vm_eval"); after > before+512<<10 {
		t.Errorf("Lua's memory grew from %v to %v", before, after)
	}
	if n := s.info(t, "memory", "number_of_cached_scripts"); n > 2 {
		t.Errorf("got %v scripts, want one", n)
	}
	allExpire(t, s)
}

// TestRedisClockSteps: a step back within the window refuses a little longer at most, one beyond
// it brings the entries along, so that nobody waits for the clock to catch up; nothing is given out twice.
func TestRedisClockSteps(t *testing.T) {
	s := startRedis(t)
	clock := clockAt(t, "2026-11-21T10:00:00Z")
	r := limiter.NewRedisAt(t, limiter.RedisOptions{Addrs: []string{s.addr}, Node: "a", Budget: patient})
	defer r.Close()
	l := &clocked{Redis: r, server: s, now: clock.now}
	c := on(t, "key", "3/min")
	decide(t, l, 1, c)
	clock.move(10 * time.Second)
	decide(t, l, 1, c)

	clock.move(-30 * time.Second) // within the window: the newest is 30 s ahead
	want(t, decide(t, l, 1, c), answer(true, limiter.State{Used: 3, Reset: 80 * time.Second}))
	want(t, decide(t, l, 1, c), answer(false, limiter.State{Used: 3, Retry: 80 * time.Second, Reset: 80 * time.Second}))

	clock.move(-time.Hour) // beyond it
	want(t, decide(t, l, 1, c), answer(false, limiter.State{Used: 3, Retry: 50 * time.Second, Reset: 50 * time.Second}))
	clock.move(49 * time.Second)
	want(t, decide(t, l, 1, c), answer(false, limiter.State{Used: 3, Retry: time.Second, Reset: time.Second}))
	clock.move(time.Second)
	want(t, decide(t, l, 1, c), answer(true, limiter.State{Used: 3, Reset: 10 * time.Second}))
	allExpire(t, s)
}

// TestRedisByItsOwnClock: the real script follows the server's clock and no other. The server is five
// years ahead, just before a midnight, and is moved over it.
func TestRedisByItsOwnClock(t *testing.T) {
	dir := t.TempDir()
	library, shift := filepath.Join(dir, "clock.so"), filepath.Join(dir, "shift")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", library, "testdata/shiftedclock.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	day := limiter.NewCalendar(limiter.Day, nil)
	here := day.At(time.Now().AddDate(5, 0, 0))
	ahead := here.End/1e6 - 1800 - time.Now().Unix() // half an hour to midnight there
	set := func(seconds int64) { must(t, os.WriteFile(shift, fmt.Appendln(nil, seconds), 0o644)) }
	set(ahead)
	s := prepareRedis(t)
	s.env = []string{"LD_PRELOAD=" + library, "CLOCK_SHIFT=" + shift}
	s.start(t)

	r := newRedis(t, limiter.RedisOptions{Addrs: []string{s.addr}})
	q := &limiter.Query{Tag: "tag", Cost: 1, Checks: []limiter.Check{on(t, "key", "2/day"), on(t, "key", "1/h")}}
	q.Checks[0].Span = day.At(time.Now())
	var a limiter.Answer
	var over *limiter.PeriodError
	if err := r.Decide(t.Context(), q, &a); !errors.As(err, &over) || !errors.Is(err, limiter.ErrPeriodOver) {
		t.Fatalf("got %v, want that the day is another one", err)
	}
	if !here.Contains(over.Now.UnixMicro()) {
		t.Fatalf("got the time %v, want the server's", over.Now)
	}
	q.Checks[0].Span = day.At(over.Now)
	must(t, r.Decide(t.Context(), q, &a))
	if !a.Allowed || a.States[0].Reset > 30*time.Minute || a.States[0].Reset < 20*time.Minute {
		t.Errorf("got %+v, want admitted, and half an hour to midnight", a)
	}
	must(t, r.Decide(t.Context(), q, &a))
	if a.Allowed || a.States[1].Retry < 50*time.Minute {
		t.Errorf("got %+v, want refused for an hour", a)
	}
	set(ahead + 2400) // over midnight, within the hour
	if err := r.Decide(t.Context(), q, &a); !errors.Is(err, limiter.ErrPeriodOver) {
		t.Fatalf("got %v, want that the day is over", err)
	}
	q.Checks[0].Span = day.At(time.UnixMicro(here.End))
	must(t, r.Decide(t.Context(), q, &a))
	if a.Allowed || a.States[0].Used != 0 || a.States[1].Retry > 20*time.Minute {
		t.Errorf("got %+v, want a new day, and 20 minutes of the hour", a)
	}
	set(ahead + 3700)
	must(t, r.Decide(t.Context(), q, &a))
	if !a.Allowed || a.States[1].Used != 1 {
		t.Errorf("got %+v, want admitted", a)
	}
	set(ahead - 3600) // set back by two hours, more than the window: the newest counts as just admitted
	q.Checks[0].Span = here
	must(t, r.Decide(t.Context(), q, &a))
	if a.Allowed || a.States[0].Used != 1 || a.States[1].Retry > time.Hour || a.States[1].Retry < 50*time.Minute {
		t.Errorf("got %+v, want refused for an hour", a)
	}
}

// TestRedisClusterMoves: while a slot moves from one server to another, calls are redirected, by ASK and then
// by MOVED, and each is counted once.
func TestRedisClusterMoves(t *testing.T) {
	servers, addrs := startCluster(t, 3)
	r := newRedis(t, limiter.RedisOptions{Addrs: addrs})
	ctx := context.Background()
	c := on(t, "key", "1000/h")
	for range 5 {
		decide(t, r, 1, c)
	}
	slot := servers[0].ClusterKeySlot(ctx, "postern:{tag}:").Val()
	from, to := slotOwner(t, servers, slot)
	key := from.ClusterGetKeysInSlot(ctx, int(slot), 10).Val()
	if len(key) != 1 {
		t.Fatalf("got %v, want the one key", key)
	}
	must(t, to.Do(ctx, "cluster", "setslot", slot, "importing", nodeID(t, from)).Err())
	must(t, from.Do(ctx, "cluster", "setslot", slot, "migrating", nodeID(t, to)).Err())
	host, port := splitAddr(to.addr)
	must(t, from.Do(ctx, "migrate", host, port, key[0], 0, 5000).Err())
	for range 5 { // ASK
		decide(t, r, 1, c)
	}
	for _, s := range servers {
		must(t, s.Do(ctx, "cluster", "setslot", slot, "node", nodeID(t, to)).Err())
	}
	for range 5 { // MOVED, then known
		decide(t, r, 1, c)
	}
	if got := used(t, r, c); got != 15 {
		t.Errorf("got %d used, want 15", got)
	}
	// Every tag has its server, and one server's end leaves the others deciding.
	for i := range 100 {
		var a limiter.Answer
		must(t, r.Decide(ctx, &limiter.Query{Tag: fmt.Sprint(i), Cost: 1, Checks: []limiter.Check{c, on(t, "}{", "1/h")}}, &a))
	}
	for _, s := range servers {
		if n := s.DBSize(ctx).Val(); n == 0 {
			t.Errorf("%s holds nothing", s.addr)
		}
	}
}

// TestRedisSentinel: after a failover the new master decides.
func TestRedisSentinel(t *testing.T) {
	master := startRedis(t)
	host, port := splitAddr(master.addr)
	replica := startRedis(t, "--replicaof", host+" "+port)
	ctx := context.Background()
	eventually(t, 30*time.Second, "the replica follows", func() bool {
		return replica.Do(ctx, "wait", 0, 0).Err() != nil || master.info(t, "replication", "connected_slaves") == 1
	})
	sentinel := freePort(t)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	must(t, os.WriteFile(file, fmt.Appendf(nil, "port %d\nbind 127.0.0.1\nsentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
		sentinel, host, port), 0o644))
	cmd := exec.Command("redis-sentinel", file)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	r := newRedis(t, limiter.RedisOptions{Addrs: []string{"127.0.0.1:" + strconv.Itoa(sentinel)}, MasterName: "main", Budget: 2 * time.Second})
	c := today(t, "key", "1000/day")
	eventually(t, 30*time.Second, "it decides", func() bool { ok, err := tryOne(t, r, c); return ok && err == nil })
	eventually(t, 30*time.Second, "the count is on the replica", func() bool { return replica.DBSize(ctx).Val() == 1 })
	eventually(t, 30*time.Second, "sentinel knows the replica", func() bool {
		out, err := exec.Command("redis-cli", "-p", strconv.Itoa(sentinel), "sentinel", "replicas", "main").Output()
		return err == nil && len(out) > 10
	})
	master.kill()
	eventually(t, 60*time.Second, "the new master decides", func() bool { ok, err := tryOne(t, r, c); return ok && err == nil })
	if n := replica.DBSize(ctx).Val(); n == 0 {
		t.Error("the new master holds nothing")
	}
}
