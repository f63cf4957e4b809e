package config_test

import (
	"strings"
	"testing"
	"time"

	"postern/config"
)

const base = `version: 1
log: { level: warn }
listen: { gateway: ":1000", admin: "127.0.0.1:1001" }
routes:
  orders:
    match: { path: /orders/ }
    upstream: { targets: ["http://127.0.0.1:9000"] }
    public: true
    limits: [10/s]
    timeout: 10s
    set_headers: { X-One: file-one, X-Two: file-two }
`

func TestOrderOfLayers(t *testing.T) {
	c, warnings, err := config.Parse("layers.yaml", []byte(base), config.LoadOptions{
		Env: []string{
			"HOME=/root", "POSTERN_ADMIN_URL=http://x", "POSTERN_ADMIN_TOKEN=x",
			"POSTERN_LOG__LEVEL=error", "POSTERN_LISTEN__GATEWAY=:2000", "POSTERN_LISTEN={probes: \":2002\", gateway: \":2003\"}",
			"POSTERN_ROUTES__ORDERS__TIMEOUT=20s", "POSTERN_ROUTES__ORDERS__SET_HEADERS={X-Two: env-two}",
			"POSTERN_TRUSTED_PROXIES=[10.0.0.7, 10.1.0.0/16]", "POSTERN_HEADERS__LEGACY_RATE_LIMIT=false",
			"POSTERN_ROUTES__ORDERS__COST=2", "POSTERN_SECRETS__PEPPER=env:PEPPER", "POSTERN_STORE=none",
			"POSTERN_PLANS__EXTRA__LIMITS=[5/s]", "POSTERN_POLICY__CONTACT__TEXT=Sales: write to us",
		},
		Flags: map[string]any{
			"listen.gateway": ":3000", "drain.delay": 0 * time.Second, "credentials.accept": []string{"bearer"},
			"routes.orders.websocket": true, "policy.max_keys_per_user": 7, "policy.owner": map[string]any{"api_key": "tenant"},
			"store": "sqlite:flag.db",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "no route asks") {
			t.Errorf("warning: %s", w)
		}
	}
	check(t, "file alone", string(c.Listen.Admin), "127.0.0.1:1001")
	check(t, "variable over file", c.Log.Level, "error")
	check(t, "flag over variable", string(c.Listen.Gateway), ":3000")
	check(t, "variable with a map", string(c.Listen.Probes), ":2002")
	check(t, "variable under a name", c.Routes["orders"].Timeout, 20*time.Second)
	check(t, "variable with a list", len(c.TrustedProxies), 2)
	check(t, "variable false over default", c.Headers.LegacyRateLimit, false)
	check(t, "variable with a number", c.Routes["orders"].Cost, int64(2))
	check(t, "variable with a reference", c.Secrets.Pepper.Env, "PEPPER")
	check(t, "variable makes an entry", c.Plans["extra"].Limits[0].Limit.N, int64(5))
	check(t, "variable with a colon", c.Policy.Contact.Text, "Sales: write to us")
	check(t, "maps are merged", c.Routes["orders"].SetHeaders["X-One"].Reveal()+" "+c.Routes["orders"].SetHeaders["X-Two"].Reveal(), "file-one env-two")
	check(t, "flag that is no text", c.Drain.Delay, 0)
	check(t, "flag with a list", c.Credentials.Accept, config.Carriers{{Kind: config.CarrierBearer}})
	check(t, "flag with a truth value", c.Routes["orders"].WebSocket, true)
	check(t, "flag with a number", c.Policy.MaxKeysPerUser, 7)
	check(t, "flag with a map", c.Policy.Owner, config.OwnerRule{APIKey: "tenant", Client: "tenant"})
	check(t, "default below a flag", c.Drain.Timeout, 30*time.Second)
	check(t, "flag over variable for a store", strings.HasSuffix(c.Store.SQLite, "/data/flag.db"), true)
}

func TestUnknownVariablesWarn(t *testing.T) {
	tests := []struct{ name, variable, want string }{
		{"from Kubernetes", "POSTERN_SERVICE_HOST=10.0.0.1", "environment variable POSTERN_SERVICE_HOST: is no setting of Postern and is ignored"},
		{"a port from Kubernetes", "POSTERN_PORT_8080_TCP=tcp://10.0.0.1:8080", "environment variable POSTERN_PORT_8080_TCP: is no setting of Postern and is ignored"},
		{"misspelt", "POSTERN_LOG__LEVLE=info", "environment variable POSTERN_LOG__LEVLE: is no setting of Postern and is ignored\n    → did you mean POSTERN_LOG__LEVEL?"},
		{"single underscore", "POSTERN_LISTEN_GATEWAY=:1", "environment variable POSTERN_LISTEN_GATEWAY: is no setting of Postern and is ignored"},
		{"too deep", "POSTERN_LOG__LEVEL__X=1", "environment variable POSTERN_LOG__LEVEL__X: is no setting of Postern and is ignored"},
		{"nothing", "POSTERN_=1", "environment variable POSTERN_: is no setting of Postern and is ignored"},
		{"a name that none can have", "POSTERN_ROUTES___X__COST=1", "environment variable POSTERN_ROUTES___X__COST: is no setting of Postern and is ignored"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := config.Parse("layers.yaml", []byte(base), config.LoadOptions{Env: []string{tt.variable}})
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) != 1 || warnings[0].String() != tt.want {
				t.Errorf("got %v, want %s", warnings, tt.want)
			}
		})
	}
}

func TestBadVariablesAndFlags(t *testing.T) {
	tests := []struct {
		name, variable string
		flags          map[string]any
		want           string
	}{
		{"value", "POSTERN_LOG__LEVEL=loud", nil, "environment variable POSTERN_LOG__LEVEL: log.level: \"loud\" is not known here\n    → write one of debug, info, warn, error"},
		{"empty value", "POSTERN_MAX_STALE=", nil, `environment variable POSTERN_MAX_STALE: max_stale: "" is not a whole number with a unit`},
		{"list without brackets", "POSTERN_CREDENTIALS__ACCEPT=bearer", nil, "environment variable POSTERN_CREDENTIALS__ACCEPT: credentials.accept: must be a list, not a single value"},
		{"broken list", "POSTERN_TRUSTED_PROXIES=[10.0.0.1", nil, "environment variable POSTERN_TRUSTED_PROXIES: trusted_proxies: cannot be read as YAML"},
		{"not available", "POSTERN_MAIL__HOST=smtp", nil, "environment variable POSTERN_MAIL__HOST: mail: is not available in this version"},
		{"new route that lacks everything", "POSTERN_ROUTES__NEW__COST=1", nil, "environment variable POSTERN_ROUTES__NEW__COST: routes.new.match.path: is missing"},
		{"unknown flag", "", map[string]any{"log.levle": "info"}, "flag log.levle: is no setting\n    → did you mean level?"},
		{"flag", "", map[string]any{"drain.timeout": 5}, "flag drain.timeout: drain.timeout: 5 has no unit"},
		{"flag of nothing", "", map[string]any{"log.level": nil}, "flag log.level: log.level: has no value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := config.Parse("layers.yaml", []byte(base), config.LoadOptions{Env: []string{tt.variable}, Flags: tt.flags})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
