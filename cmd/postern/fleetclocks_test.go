//go:build realservers

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/judge"
	"postern/limiter"
)

// skewedFleet is gateways in this process that share a PostgreSQL and a Redis, with clocks that are off
// by so much.
func skewedFleet(t *testing.T, limits string, off ...time.Duration) *fleetSite {
	t.Helper()
	f := &fleetSite{t: t, dir: t.TempDir(), postgres: newPostgres(t), redis: startRedisServer(t),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}}
	f.admin = f.client
	t.Cleanup(f.client.CloseIdleConnections)
	env := []string{"DATABASE_URL=" + newDatabase(t, f.postgres), "REDIS_URL=redis://" + f.redis.address}
	upstream := httptest.NewServer(http.HandlerFunc(answerOrStream))
	t.Cleanup(upstream.Close)
	for i, by := range off {
		name := fmt.Sprint("node", i+1)
		path := filepath.Join(f.dir, name+".yaml")
		text := fmt.Sprintf("version: 1\nlisten: { gateway: \"127.0.0.1:0\", admin: \"127.0.0.1:0\" }\ndrain: { delay: 0s, timeout: 2s }\n"+
			"store: env:DATABASE_URL\nlimiter: { backend: env:REDIS_URL }\nnode: { id: %s }\ndata_dir: %s\n", name, name) + mainConfig(upstream.URL, limits)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := startProgramOf(t, path, env, func() time.Time { return time.Now().Add(by) })
		f.token = r.token
		f.nodes = append(f.nodes, &fleetNode{name: fmt.Sprintf("%s, off by %v", name, by), site: &site{
			t: t, dir: f.dir, log: r.log, gateway: strings.TrimPrefix(r.gateway, "http://"), admin: strings.TrimPrefix(r.admin, "http://")}})
	}
	return f
}

// TestFleetClocks runs gateways whose clocks are wrong by an hour, and one by more than a day: limits are
// as exact as ever, the day is the same for all, and a key ends on all of them when the database's clock
// says so. The one that is a day ahead spends nothing: what a share admits, should Redis be late, is
// counted in the day that the gateway's own clock shows.
func TestFleetClocks(t *testing.T) {
	f := skewedFleet(t, "20/s, 5000/day", time.Hour, -time.Hour, 0, 25*time.Hour)
	spending := f.nodes[:3]
	for _, n := range f.nodes {
		f.await("shares on "+n.name, 30*time.Second, func() bool { return f.metric(n, "postern_limiter_sharing_gateways") == "4" })
	}
	limit, err := limiter.ParseLimit("20/s")
	if err != nil {
		t.Fatal(err)
	}

	t.Run("limits", func(t *testing.T) {
		f := f.in(t)
		key := f.makeKeys(1)[0]
		spent := f.dayUsed(f.nodes[0], key.ID)
		f.windowEmpty(key.ID)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		saw := f.siegeOf(ctx, key.Secret, 9, 2*time.Millisecond, spending...)
		spent += saw.statuses[http.StatusOK]
		v := judge.Judge(limit, saw.store)
		t.Logf("%v; %d admitted and %d refused by Redis, %d decided by shares", saw.statuses, v.Admitted, v.Refused, len(saw.share))
		if v.Over != 0 || v.Wrong != 0 || v.Admitted < int(limit.N) || v.Refused < 10*int(limit.N) {
			t.Errorf("%d over-admissions and %d wrong refusals among %d admitted and %d refused", v.Over, v.Wrong, v.Admitted, v.Refused)
		}
		// What shares admitted, on a machine too busy for Redis to answer in time, is told to Redis by
		// further calls; and what Redis counted without being heard it has counted.
		f.windowEmpty(key.ID)
		f.await("the day's count", 10*time.Second, func() bool {
			for _, n := range spending {
				if f.get(n, "spent", key.Secret) == http.StatusOK {
					spent++
				}
			}
			return f.dayUsed(f.nodes[0], key.ID) >= spent
		})
		lost := 0
		for _, n := range f.nodes {
			lost += figure(t, f.metric(n, "postern_limiter_lost_units_total"))
		}
		for _, n := range f.nodes {
			used := f.dayUsed(n, key.ID)
			if used < spent || used > spent+lost {
				t.Errorf("%s: the day has counted %d for %d admitted units and %d lost replies", n.name, used, spent, lost)
			}
		}
	})

	t.Run("expiry", func(t *testing.T) {
		f := f.in(t)
		const off = 500 * time.Millisecond // promised are 100 ms
		for _, at := range f.nodes[1:] {
			var key struct {
				generated
				CreatedAt time.Time `json:"created_at"`
			}
			begun := time.Now()
			end := begun.Add(1500 * time.Millisecond)
			f.mustAsk(at, http.StatusCreated, http.MethodPost, "/v1/keys",
				fmt.Sprintf(`{"name":"short","apis":["main"],"expires_at":%q}`, end.UTC().Format(time.RFC3339Nano)), &key)
			if key.CreatedAt.Before(begun.Add(-off)) || key.CreatedAt.After(time.Now().Add(off)) {
				t.Errorf("%s: created at %s, and it is %s", at.name, key.CreatedAt, begun.UTC())
			}
			var watchers sync.WaitGroup
			for _, n := range f.nodes {
				watchers.Go(func() {
					f.wantEnd(n, key.generated, end, off)
				})
			}
			watchers.Wait()
		}
	})
}

// wantEnd fails unless the gateway admits the key until its end, and then not, within so much.
func (f *fleetSite) wantEnd(n *fleetNode, key generated, end time.Time, off time.Duration) {
	admitted := 0
	for {
		begun := time.Now()
		status := f.get(n, "not spent", key.Secret)
		now := time.Now()
		switch {
		case status != http.StatusUnauthorized && begun.After(end.Add(off)):
			f.t.Errorf("%s: answered %d to a key %v after its end", n.name, status, begun.Sub(end))
			return
		case status != http.StatusUnauthorized:
			admitted++
		case admitted == 0 && now.Before(end.Add(-off)): // made a moment ago, and not known there yet
		case now.Before(end.Add(-off)):
			f.t.Errorf("%s: refused a key %v before its end", n.name, end.Sub(now))
			return
		default:
			f.t.Logf("%s: refused %v after the end, admitted %d times before", n.name, now.Sub(end), admitted)
			if admitted == 0 {
				f.t.Errorf("%s: never admitted it", n.name)
			}
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
