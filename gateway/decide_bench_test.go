package gateway

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// decider is a gateway with the real directory and limiter, and the Authorization values of n keys. A
// request has just been read when it is decided, so one request serves all: only its key, and what
// is kept of the key, lie anywhere in memory.
func decider(t testing.TB, n int) (*Gateway, *http.Request, []string) {
	t.Helper()
	format, err := keys.NewFormat("pst")
	if err != nil {
		t.Fatal(err)
	}
	catalog := &keys.Catalog{
		APIs: map[keys.APIName]keys.API{"orders": {Name: "orders", Scopes: map[keys.Scope]string{"orders.read": ""}}},
		Plans: map[keys.PlanName]*keys.Plan{"standard": {Name: "standard", Zone: time.UTC, Limits: []keys.PlanLimit{
			{Limit: limiter.Limit{N: 1000, Unit: limiter.Sliding, Window: time.Second}}, {Limit: limiter.Limit{N: 1e9, Unit: limiter.Day}}}}},
		Policy: keys.Policy{KeysEnabled: true, DefaultPlan: "standard"},
	}
	directory := keys.NewDirectory(keys.DirectoryOptions{Format: format, Catalog: catalog})
	random := rand.NewChaCha8([32]byte{})
	declared := make([]keys.Declared, n)
	bearers := make([]string, n)
	for i := range declared {
		_, secret, err := format.NewKey(random, false)
		if err != nil {
			t.Fatal(err)
		}
		declared[i] = keys.Declared{Name: fmt.Sprint("key", i), Kind: keys.APIKey, Plan: "standard",
			Hash: sha256.Sum256([]byte(secret.Reveal())), APIs: []keys.APIName{"orders"}, Where: fmt.Sprint("test:", i+1)}
		bearers[i] = "Bearer " + secret.Reveal()
	}
	if err := directory.LoadDeclared(declared); err != nil {
		t.Fatal(err)
	}
	local := limiter.NewLocal(limiter.LocalOptions{})
	t.Cleanup(func() { _ = local.Close() })
	g, err := New(Options{
		Policy: &Policy{
			Accept: []Carrier{{Kind: Bearer}, {Kind: XAPIKey}, {Kind: Basic}, {Kind: ClientHeaders}}, LegacyRateLimit: true,
			Routes: []Route{{Name: "orders", Path: "/orders/", Hosts: []string{"example.com"}, API: "orders", Cost: 1, MaxBody: -1,
				Targets: []*url.URL{{Scheme: "http", Host: "127.0.0.1:9"}}, Scopes: map[string][]keys.Scope{"GET": {"orders.read"}}}},
		},
		Directory: directory, Limiter: local, Format: format,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/orders/1?x=1", nil)
	r.RemoteAddr = "192.0.2.1:4711"
	r.Header.Set("Accept", "*/*")
	r.Header.Set("User-Agent", "bench")
	r.Header.Set("Authorization", bearers[0])
	return g, r, bearers
}

// decideOnce is what happens to a request before it is passed on.
func decideOnce(t testing.TB, g *Gateway, w http.ResponseWriter, r *http.Request) {
	c := g.begin(w, r)
	if x := c.decide(r); x != nil {
		t.Errorf("refused: %+v", x)
	}
	g.release(c)
}

func BenchmarkDecision(b *testing.B) {
	g, r, bearers := decider(b, 100_000)
	w := httptest.NewRecorder()
	authorization := r.Header["Authorization"]
	for _, authorization[0] = range bearers { // each key's counters exist, as those of keys in use do
		decideOnce(b, g, w, r)
	}
	b.ReportAllocs()
	begin := cpuTime(b)
	i := 0
	for b.Loop() {
		authorization[0] = bearers[i*7919%len(bearers)]
		decideOnce(b, g, w, r)
		i++
	}
	b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N), "cpu-ns/op")
}
