package config_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/config"
	"postern/internal/keys"
	"postern/limiter"
)

func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d good files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			load(t, file)
		})
	}
}

// load loads a file that has neither problems nor warnings.
func load(t *testing.T, file string) *config.Config {
	t.Helper()
	c, warnings, err := config.Load(file, config.LoadOptions{Env: []string{"UPSTREAM_TOKEN=Bearer xyz", "DATABASE_URL=postgres://postern:secret@db/postern"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := load(t, "testdata/good/smallest.yaml")
	dir, err := filepath.Abs("testdata/good")
	if err != nil {
		t.Fatal(err)
	}
	check(t, "dir", c.Dir, dir)
	check(t, "data_dir", string(c.DataDir), filepath.Join(dir, "data"))
	check(t, "store", c.Store, config.Store{SQLite: filepath.Join(dir, "data", "postern.db")})
	check(t, "secrets", c.Secrets, config.Secrets{Pepper: config.Ref{File: filepath.Join(dir, "pepper")}, Keyset: config.Ref{File: filepath.Join(dir, "keyset.json")}})
	check(t, "listen", c.Listen, config.Listen{Gateway: ":8080", Admin: "127.0.0.1:8081"})
	check(t, "limiter", c.Limiter, config.Limiter{OnLoss: "local"})
	check(t, "credentials", c.Credentials, config.Credentials{Prefix: "pst", Accept: config.Carriers{
		{Kind: config.CarrierBearer}, {Kind: config.CarrierXAPIKey}, {Kind: config.CarrierBasic}, {Kind: config.CarrierClientHeaders}}})
	check(t, "headers", c.Headers, config.Headers{LegacyRateLimit: true})
	check(t, "log", c.Log, config.Log{Level: "info", Format: "auto"})
	check(t, "drain", c.Drain, config.Drain{Delay: 5 * time.Second, Timeout: 30 * time.Second})
	check(t, "max_stale", c.MaxStale, time.Hour)
	check(t, "policy", c.Policy, config.Policy{
		KeysEnabled: true, MaxKeysPerTenant: keys.Unlimited, MaxKeysPerUser: keys.Unlimited,
		SecretVisibility: config.Visibility{APIKey: "once", Client: "revealable"},
		Owner:            config.OwnerRule{APIKey: "user", Client: "tenant"},
		Name:             "required", Approval: "none", Signup: "off",
		TenantMayChange: []string{"keys_enabled", "max_keys_per_user", "default_expiry", "max_expiry"},
	})
	r := c.Routes["everything"]
	check(t, "route", *r, config.Route{
		Name: "everything", Where: "testdata/good/smallest.yaml:4", Match: config.Match{Path: "/"}, Upstream: r.Upstream, Public: true,
		Limits: []limiter.Limit{{N: 100, Window: time.Second}}, Cost: 1, Timeout: 30 * time.Second, MaxBody: 10 << 20,
		AllowedIPs: config.Prefixes{}, OnLoss: "local", Enforce: true,
	})
	check(t, "upstream host", r.Upstream.Host, "upstream")
	check(t, "upstream target", r.Upstream.Targets[0].String(), "http://127.0.0.1:9000")
}

func TestEverySetting(t *testing.T) {
	c := load(t, "testdata/good/block_style.yaml")
	r := c.Routes["orders"]
	for name, want := range map[string]string{"Authorization": "Bearer xyz", "X-From-File": "from a file", "X-Plain": "plain text"} {
		check(t, name, r.SetHeaders[name].Reveal(), want)
	}
	check(t, "hosts", r.Match.Hosts, []string{"api.example.com", "[::1]"})
	check(t, "scopes", r.Scopes, config.Scopes{"GET": {"orders.read"}, "POST": {"orders.read", "orders.write"}})
	check(t, "limits", r.Limits, []limiter.Limit{{N: 100, Window: time.Second}, {N: 5000, Window: time.Minute}})
	check(t, "max_body", r.MaxBody, config.Unlimited)
	check(t, "timeout", r.Timeout, 2*time.Minute)
	check(t, "cors", r.CORS, &config.CORS{
		Origins: []string{"https://app.example.com", "http://localhost:3000"}, Methods: []string{"GET", "HEAD", "POST"},
		Headers: []string{"X-Api-Key"}, Expose: []string{"X-Request-Id"}, Credentials: true, MaxAge: time.Hour,
	})
	check(t, "accept", r.Accept, config.Carriers{{Kind: config.CarrierBearer}, {Kind: config.CarrierHeader, Name: "X-Token"}, {Kind: config.CarrierQuery, Name: "key"}})
	var ranges []string
	for _, p := range r.AllowedIPs {
		ranges = append(ranges, p.String())
	}
	check(t, "allowed_ips", ranges, []string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"})
	check(t, "on_loss", r.OnLoss, "deny")
	check(t, "plan", []config.PlanLimit(c.Plans["standard"].Limits), []config.PlanLimit{
		{Limit: limiter.Limit{N: 2, Window: time.Second}, Per: limiter.Credential},
		{Limit: limiter.Limit{N: 100, Window: 10 * time.Second}, Per: limiter.Credential},
		{Limit: limiter.Limit{N: 500000, Unit: limiter.Day}, Per: limiter.Owner},
		{Limit: limiter.Limit{N: 1000000, Unit: limiter.Month}, Per: limiter.Tenant},
	})
	check(t, "zone", c.Plans["standard"].TimeZone.String(), "America/Santiago")
	check(t, "expiry", c.Policy.DefaultExpiry, keys.Lifetime{Months: 6})
	check(t, "methods of a public route", c.Routes["status"].Scopes, config.Scopes{"GET": {}})
	check(t, "empty cors", load(t, "testdata/good/empty_sections_of_later_versions.yaml").Routes["everything"].CORS, (*config.CORS)(nil))
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := load(t, "testdata/good/block_style.yaml")
	var b strings.Builder
	for name, value := range c.Routes["orders"].SetHeaders {
		b.WriteString(name + value.String())
	}
	if strings.Contains(b.String(), "xyz") {
		t.Errorf("a header's value prints: %s", b.String())
	}
}

func TestCatalog(t *testing.T) {
	c := load(t, "testdata/good/block_style.yaml").Catalog()
	check(t, "title from the name", c.APIs["billing"].Title, "billing")
	check(t, "scopes", c.APIs["orders"].Scopes, map[keys.Scope]string{"orders.read": "See orders", "orders.write": "Place orders"})
	check(t, "plan", c.Plans["standard"].Name, keys.PlanName("standard"))
	check(t, "plan limits", len(c.Plans["standard"].Limits), 4)
	check(t, "default plan", c.Policy.DefaultPlan, keys.PlanName("standard"))
	check(t, "caps", [2]int{c.Policy.MaxKeysPerTenant, c.Policy.MaxKeysPerUser}, [2]int{5, 1000})
	check(t, "visibility", c.Policy.SecretVisibility, map[keys.Kind]keys.Visibility{keys.APIKey: keys.Once, keys.Client: keys.Revealable})
	check(t, "owner", c.Policy.OwnerOf, map[keys.Kind]keys.OwnerType{keys.APIKey: keys.OwnerUser, keys.Client: keys.OwnerTenant})
	check(t, "contact", c.Policy.Contact.URL.String(), "mailto:keys@example.com")
	check(t, "name", c.Policy.NameRequired, true)
	check(t, "approval", c.Policy.ApprovalRequired, false)
}

func TestDeclared(t *testing.T) {
	file := "testdata/good/declared_only.yaml"
	c := load(t, file)
	check(t, "store", c.Store.None(), true)
	all := c.Declared()
	if len(all) != 2 {
		t.Fatalf("got %d declared keys, want 2", len(all))
	}
	ci, partner := all[0], all[1]
	check(t, "where", ci.Where, file+":11")
	check(t, "plan by default", ci.Plan, keys.PlanName("standard"))
	check(t, "kind", [2]keys.Kind{ci.Kind, partner.Kind}, [2]keys.Kind{keys.APIKey, keys.Client})
	check(t, "hash", ci.Hash[0], byte(0x2c))
	check(t, "never", ci.ExpiresAt, time.Time{})
	check(t, "expires", partner.ExpiresAt, time.Date(2099, 1, 31, 0, 0, 0, 0, time.UTC))
	check(t, "tenant", partner.Tenant, keys.DefaultTenant)
}

func TestRefRead(t *testing.T) {
	c := load(t, "testdata/good/smallest.yaml")
	file := config.Ref{File: filepath.Join(c.Dir, "header.txt")}
	if got, err := file.Read(nil); err != nil || string(got) != "from a file\n" {
		t.Errorf("file: got %q, %v, want its bytes as they are", got, err)
	}
	variable := config.Ref{Env: "PEPPER"}
	if got, err := variable.Read([]string{"PEPPER=abc"}); err != nil || string(got) != "abc" {
		t.Errorf("variable: got %q, %v", got, err)
	}
	if _, err := variable.Read(nil); err == nil || !strings.Contains(err.Error(), "PEPPER") {
		t.Errorf("variable not set: got %v, want its name", err)
	}
	check(t, "string", variable.String(), "env:PEPPER")
}

func TestLoopback(t *testing.T) {
	for address, want := range map[config.Address]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "": false, "example.com:1": false,
	} {
		check(t, string(address), address.Loopback(), want)
	}
}

func check[T any](t *testing.T, name string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}
