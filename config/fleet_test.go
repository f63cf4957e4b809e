package config_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"postern/config"
)

// TestCommonLeavesOutWhatIsOfANode: gateways of a fleet differ in their addresses and folders, and in
// nothing that decides about a request.
func TestCommonLeavesOutWhatIsOfANode(t *testing.T) {
	common := func(text string) string {
		c, _, err := config.Parse("c.yaml", []byte(text), config.LoadOptions{Env: []string{"T=Bearer c4n4ry"}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(c.Common())
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	const route = "routes: { a: { match: { path: / }, upstream: { targets: [\"http://127.0.0.1:9000\"] }, public: true, limits: [1/s], set_headers: { Authorization: env:T } } }\n"
	first := common(route)
	if other := common(route + "listen: { gateway: \":9999\" }\nnode: { id: b }\ndata_dir: /tmp/x\nlog: { level: debug }\n"); other != first {
		t.Errorf("got %s\nand %s", first, other)
	}
	for _, change := range []string{"max_stale: 2h\n", "plans: { p: { limits: [1/s] } }\n", "policy: { keys_enabled: false }\n"} {
		if common(route+change) == first {
			t.Errorf("%q makes no difference", change)
		}
	}
	if strings.Contains(first, "c4n4ry") {
		t.Error("a secret is in it")
	}
}

// TestFleetWarnings: what several gateways cannot do exactly is said, and nothing else.
func TestFleetWarnings(t *testing.T) {
	const (
		postgres = "store: env:DATABASE_URL\n"
		redis    = "limiter: { backend: env:REDIS_URL }\n"
		route    = "routes: { a: { match: { path: / }, upstream: { targets: [\"http://127.0.0.1:9000\"] }, public: true, limits: [1/s] } }\n"
		domains  = "listen: { gateway: \":443\" }\ntls: { domains: [api.example.com] }\n"
	)
	tests := []struct {
		name, text string
		want       []string // the beginning of each warning
	}{
		{"a fleet", postgres + redis, nil},
		{"a fleet with certificates", postgres + redis + domains, nil},
		{"a fleet without a database", "store: none\n" + redis, nil},
		{"one gateway that counts in Redis", redis, nil},
		{"one gateway with certificates that counts in Redis", redis + domains, nil},
		{"one gateway that trusts its database briefly", "max_stale: 1s\n", nil},
		{"one gateway from a file", "store: none\n" + domains, nil},
		{"a shared store, limits apart", postgres, []string{"w.yaml:1:8: limiter.backend: each gateway that shares the store counts by itself"}},
		{"limits apart, as written", postgres + "limiter: { backend: local }\n", []string{"w.yaml:2:21: limiter.backend: each gateway that shares the store counts by itself"}},
		{"a failover would stop it", postgres + redis + "max_stale: 9s\n", []string{"w.yaml:3:12: max_stale: a database that is away for longer"}},
		{"a failover may last that long", postgres + redis + "max_stale: 10s\n", nil},
		{"nothing is limited while Redis is lost", postgres + "limiter: { backend: env:REDIS_URL, on_loss: allow }\n", []string{"w.yaml:2:45: limiter.on_loss: while the limiter is lost, nothing is limited"}},
		{"certificates of each gateway's own", "store: none\n" + redis + domains, []string{"w.yaml:4:17: tls.domains: each gateway that shares the limits has certificates of its own"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := config.Parse("w.yaml", []byte(tt.text+route), config.LoadOptions{
				Env: []string{"DATABASE_URL=postgres://postern@db/postern", "REDIS_URL=redis://r:6379"}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				got = append(got, w.String())
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
