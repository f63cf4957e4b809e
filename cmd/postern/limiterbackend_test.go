//go:build realservers

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// TestTwoGatewaysShareRedis: a day is one for both, and each starts while Redis is not there.
func TestTwoGatewaysShareRedis(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	const limit = 20
	yaml := mainConfig(upstream.URL, fmt.Sprintf("%d/day", limit)) + declaredKeys +
		fmt.Sprintf("limiter: { backend: { addrs: [\"127.0.0.1:%d\"] }, on_loss: deny }\n", port)
	a, b := newSite(t, yaml), newSite(t, yaml)
	a.start()
	b.start()
	if got := a.admits(declaredText, http.StatusOK, 3); got != 0 {
		t.Fatalf("got %d admitted without Redis, want none", got)
	}
	redis := exec.Command("redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Process.Kill(); _ = redis.Wait() })
	got := 0
	for end := time.Now().Add(20 * time.Second); got < limit && time.Now().Before(end); {
		got += a.admits(declaredText, http.StatusOK, 3)
		got += b.admits(declaredText, http.StatusOK, 3)
	}
	if got != limit {
		t.Errorf("got %d admitted, want %d", got, limit)
	}
	if more := a.admits(declaredText, http.StatusOK, 5) + b.admits(declaredText, http.StatusOK, 5); more != 0 {
		t.Errorf("got %d admitted beyond the limit", more)
	}
}
