//go:build realservers

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// TestMovingUp takes a machine to Redis, to PostgreSQL and back: what a day has counted comes along each
// time, also where Redis has forgotten it.
func TestMovingUp(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	redis := startRedisServer(t)
	t.Setenv("DATABASE_URL", newDatabase(t, newPostgres(t)))
	t.Setenv("REDIS_URL", "redis://"+redis.address)
	s := newSite(t, mainConfig(upstream.URL, "10/day"))
	text, err := os.ReadFile(s.path("gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	key := s.must("keys", "create", "--name", "moving", "--api", "main")
	spend := func(where string, want int) {
		t.Helper()
		if got := s.admits(key, http.StatusOK, want); got != want {
			t.Fatalf("%s: got %d admitted, want %d\n%s", where, got, want, s.log)
		}
	}
	spend("on one machine", 3)

	s.stop()
	s.write(string(text) + "limiter: { backend: env:REDIS_URL }\n")
	s.start()
	spend("with Redis", 3)

	s.stop()
	t.Setenv("REDIS_URL", "") // which a copy does not need
	s.must("store", "copy", "--to", "env:DATABASE_URL")
	t.Setenv("REDIS_URL", "redis://"+redis.address)
	redis.flush()
	s.write(string(text) + "limiter: { backend: env:REDIS_URL }\nstore: env:DATABASE_URL\n")
	s.start()
	spend("with PostgreSQL and an empty Redis", 2)

	s.stop()
	s.must("store", "copy", "--to", "sqlite:back.db")
	s.write(string(text) + "store: sqlite:back.db\n")
	s.start()
	spend("back on one machine", 2)
	if got := s.call(key); got != http.StatusTooManyRequests {
		t.Errorf("the eleventh call of the day: got %d, want 429", got)
	}
}
