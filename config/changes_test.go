package config_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"postern/config"
)

const someRoutes = `version: 1
apis: { orders: { scopes: { orders.read: See orders } } }
plans: { standard: { limits: [2/s, 1000/day] } }
policy: { default_plan: standard }
routes:
  orders:
    match: { path: /orders/ }
    upstream: { targets: ["http://10.0.0.5:9000"] }
    api: orders
    scopes: { GET: [orders.read] }
    set_headers: { Authorization: Bearer literal-secret, X-Team: "env:TEAM" }
`

func parse(t *testing.T, text string, env ...string) *config.Config {
	t.Helper()
	c, _, err := config.Parse("gateway.yaml", []byte(text), config.LoadOptions{Env: append(env, "TEAM=blue-team-secret")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEffective shows what is written, defaults beside it, and no secret.
func TestEffective(t *testing.T) {
	c := parse(t, someRoutes, "POSTERN_DRAIN__DELAY=1s", "POSTERN_POLICY__KEYS_ENABLED=false")
	text, err := json.Marshal(c.Effective())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"data_dir":"./data"`, `"drain":{"delay":"1s","timeout":"30s"}`, `"keys_enabled":false`, `"limits":["2/s","1000/day"]`,
		`"Authorization":"[secret]"`, `"X-Team":"env:TEAM"`, `"cost":1`, `"time_zone":"UTC"`, `"accept":["bearer","x-api-key","basic","client-headers"]`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("got no %s in %s", want, text)
		}
	}
	for _, never := range []string{"literal-secret", "blue-team-secret"} {
		if strings.Contains(string(text), never) {
			t.Errorf("the secret %s is shown: %s", never, text)
		}
	}
}

// TestChanges lists what differs, and what of it only a restart brings about.
func TestChanges(t *testing.T) {
	old := parse(t, someRoutes)
	for _, c := range []struct {
		name, from, to string
		changed, fixed []string
	}{
		{"nothing", "", "", nil, nil},
		{"a default written out", "version: 1\n", "version: 1\nmax_stale: 1h\n", nil, nil},
		{"a comment", "version: 1\n", "version: 1 # first\n", nil, nil},
		{"a limit", "1000/day", "2000/day", []string{"plans.standard.limits"}, nil},
		{"a route that came", "routes:\n", "routes:\n  open: { match: { path: /open }, upstream: { targets: [\"http://10.0.0.5:9000\"] }, public: true }\n",
			[]string{"routes.open"}, nil},
		{"what is read at the start", "version: 1\n", "version: 1\nlisten: { gateway: \":9999\" }\ncredentials: { prefix: acme, accept: [bearer] }\nlog: { level: debug, format: json }\n",
			[]string{"credentials.accept", "credentials.prefix", "listen.gateway", "log.format", "log.level"},
			[]string{"credentials.prefix", "listen.gateway", "log.format"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed, fixed := old.Changes(parse(t, strings.Replace(someRoutes, c.from, c.to, 1)))
			if !slices.Equal(changed, c.changed) || !slices.Equal(fixed, c.fixed) {
				t.Errorf("got changed %q, fixed %q; want %q, %q", changed, fixed, c.changed, c.fixed)
			}
		})
	}
}
