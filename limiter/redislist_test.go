//go:build realservers

package limiter_test

import (
	"errors"
	"testing"
	"time"

	"postern/limiter"
)

// TestRedisList keeps the list of three gateways in Redis.
func TestRedisList(t *testing.T) {
	s := startRedis(t)
	names := []string{"a", "b", "c"}
	var gateways []*limiter.Redis
	var rosters []*limiter.Roster
	ahead := time.Duration(0)
	for _, name := range names {
		r, err := limiter.NewRedis(limiter.RedisOptions{Addrs: []string{s.addr}, Node: name, Budget: time.Second})
		must(t, err)
		t.Cleanup(func() { must(t, r.Close()) })
		gateways, rosters = append(gateways, r), append(rosters, limiter.NewRoster(name, true).By(func() time.Time { return time.Now().Add(ahead) }))
	}
	beat := func(i int) {
		t.Helper()
		must(t, gateways[i].Beat(t.Context(), rosters[i]))
	}
	share := func(i int) int64 { return limiter.ShareOf(rosters[i], 10, 0, time.Now()) }
	beat(0)
	if share(0) != 0 {
		t.Errorf("at once: got %d, want nothing until it is sure to be alone", share(0))
	}
	ahead += limiter.Lease
	beat(0)
	if share(0) != 10 || share(1) != 0 {
		t.Errorf("one of them: got shares %d and %d of 10, want all and nothing", share(0), share(1))
	}
	for range 4 {
		for i := range names {
			beat(i)
		}
		ahead += limiter.Lease / 2
	}
	if sum := share(0) + share(1) + share(2); sum != 10 || share(0) < 3 || share(1) < 3 || share(2) < 3 {
		t.Errorf("got shares %d, %d, %d, want 10 dealt out evenly", share(0), share(1), share(2))
	}
	// The third has not been heard of for longer than its lease.
	line, err := s.HGet(t.Context(), "postern:{nodes}", "c").Result()
	must(t, err)
	must(t, s.HSet(t.Context(), "postern:{nodes}", "c", "1"+line[16:]).Err()) // the time as it was long ago
	ahead += 2 * limiter.Lease                                                // nor is it reckoned with any more
	beat(0)
	beat(1)
	beat(0)
	if share(0) != 5 {
		t.Errorf("got %d, want a half of 10 without the third", share(0))
	}
	beat(1)
	if share(1) != 5 {
		t.Errorf("got %d, want the other half", share(1))
	}
	beat(2)
	if share(2) != 0 {
		t.Errorf("the third is back: got %d, want 0 until the others make room", share(2))
	}
	// A copy of the first's folder, say, which runs beside it.
	twin := limiter.NewRoster("a", true)
	if err := gateways[0].Beat(t.Context(), twin); !errors.Is(err, limiter.ErrNodeTaken) {
		t.Errorf("another run of the same id: got %v, want ErrNodeTaken", err)
	}
	must(t, gateways[0].Leave(t.Context(), rosters[0]))
	must(t, gateways[0].Beat(t.Context(), twin))
	if err := gateways[0].Leave(t.Context(), rosters[0]); !errors.Is(err, limiter.ErrNodeTaken) {
		t.Errorf("whose line is another's: got %v, want ErrNodeTaken", err)
	}
	if ttl := s.PTTL(t.Context(), "postern:{nodes}").Val(); ttl <= 0 || ttl > 2*limiter.Lease {
		t.Errorf("the list lives for %v", ttl)
	}
}

// TestRedisFailover kills the server under two gateways and starts it again.
func TestRedisFailover(t *testing.T) {
	s := startRedis(t)
	rosters := together(t, "a", "b")
	var fleet []*limiter.Failover
	for _, roster := range rosters {
		r, err := limiter.NewRedis(limiter.RedisOptions{Addrs: []string{s.addr}, Node: roster.Self()})
		must(t, err)
		t.Cleanup(func() { must(t, r.Close()) })
		f := limiter.NewFailover(limiter.FailoverOptions{Shared: r, Roster: roster})
		t.Cleanup(func() { must(t, f.Close()) })
		must(t, r.Ping(t.Context()))
		fleet = append(fleet, f)
	}
	hour, day := on(t, "key", "10/h"), on(t, "key", "100/day")
	day.Span = limiter.NewCalendar(limiter.Day, nil).At(time.Now())
	spend := func(tries int) (admitted int, byShare bool) {
		t.Helper()
		for i := range tries {
			a := decide(t, fleet[i%2], 1, hour, day)
			if a.Allowed {
				admitted++
			}
			byShare = a.ByShare
		}
		return admitted, byShare
	}
	if n, byShare := spend(6); n != 6 || byShare {
		t.Fatalf("at first: got %d of 6, by share %v", n, byShare)
	}
	s.kill()
	if n, byShare := spend(40); n != 10 || !byShare {
		t.Errorf("without the server: got %d, by share %v; want the shares of 10", n, byShare)
	}
	s.start(t)
	back := time.Now()
	eventually(t, 5*time.Second, "the store decides again", func() bool {
		return fleet[0].Lost().IsZero() && fleet[1].Lost().IsZero()
	})
	t.Logf("the store decided again %v after its return", time.Since(back))
	// It came back empty: its window is too, its day is not.
	if n, byShare := spend(20); n != 10 || byShare {
		t.Errorf("back: got %d, by share %v; want the window's 10", n, byShare)
	}
	a := decide(t, fleet[0], 1, day)
	if !a.Allowed || a.States[0].Used != 6+10+10+1 {
		t.Errorf("got %+v, want every unit of the day", a)
	}
}
