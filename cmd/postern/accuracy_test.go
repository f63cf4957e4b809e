//go:build realservers

package main

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestBenchAccuracy runs the short form on a Redis of its own. It fails by itself where a limit is not
// as exact as promised.
func TestBenchAccuracy(t *testing.T) {
	s := newSite(t, "")
	var rows []siegeResult
	if err := json.Unmarshal([]byte(s.must("bench", "accuracy", "--short", "-o", "json")), &rows); err != nil {
		t.Fatal(err)
	}
	for _, backend := range []string{"local", "redis"} {
		for _, gateways := range []int{1, 3, 5} {
			if !slices.ContainsFunc(rows, func(r siegeResult) bool { return r.Backend == backend && r.Gateways == gateways && r.Admitted > 0 }) {
				t.Errorf("no row of %d gateways by %s", gateways, backend)
			}
		}
	}
	if _, messages, err := s.try("bench", "accuracy", "--redis", "redis://127.0.0.1:1"); err == nil {
		t.Errorf("an address on the command line was taken: %s", messages)
	}
	t.Setenv("NO_REDIS_URL", "nonsense")
	s.refuses(exitUsage, []string{"--redis", "NO_REDIS_URL"}, "bench", "accuracy", "--redis", "env:NO_REDIS_URL")
}
