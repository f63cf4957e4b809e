package gateway

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
	"postern/limiter"
)

// explained is a gateway with the real directory and limiter, whose clock stands still unless the
// test moves it, and the texts of credentials in every state.
type explained struct {
	*harness
	clock    *clock
	registry *prometheus.Registry
	journal  *lastCall
	spends   *spendingLimiter
	shown    []shownText
	routes   map[string]Route
}

// shownText is a credential as a caller holds it.
type shownText struct {
	id   keys.CredentialID // "" when nobody's
	kind keys.Kind
	text string
}

// lastCall hands on what is recorded of each call that ended.
type lastCall struct{ ended chan Call }

func (j *lastCall) Admitted(context.Context, Call) error   { return nil }
func (j *lastCall) Ended(_ context.Context, c Call, _ End) { j.ended <- c }

// spendingLimiter counts the calls that may spend.
type spendingLimiter struct {
	limiter.Limiter
	decided int
}

func (l *spendingLimiter) Decide(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	l.decided++
	return l.Limiter.Decide(ctx, q, a)
}

// loadOnly is a store that can only be loaded.
type loadOnly struct {
	keys.Store
	tenants     []keys.Tenant
	credentials []keys.Credential
}

func (s *loadOnly) Load(_ context.Context, v keys.LoadVisitor) (keys.Seq, error) {
	var errs []error
	for _, t := range s.tenants {
		errs = append(errs, v.Tenant(t))
	}
	for _, c := range s.credentials {
		errs = append(errs, v.Credential(c))
	}
	return 1, errors.Join(errs...)
}

func startExplained(t *testing.T) *explained {
	t.Helper()
	e := &explained{clock: newClock(), registry: prometheus.NewRegistry(), journal: &lastCall{ended: make(chan Call, 1)}, routes: map[string]Route{}}
	format, err := keys.NewFormat("pst")
	if err != nil {
		t.Fatal(err)
	}
	directory := e.directoryOf(t, format)
	other, err := net.Listen("tcp", "127.0.0.1:0") // a second name of the upstream, for routes that share none
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}
	go func() { _ = srv.Serve(other) }()
	t.Cleanup(func() { _ = srv.Close() })
	local := limiter.NewLocal(limiter.LocalOptions{Now: e.clock.now})
	e.spends = &spendingLimiter{Limiter: local}
	e.harness = start(t, nil, func(o *Options) {
		o.Now, o.Directory, o.Format, o.Metrics, o.Journal, o.Limiter = e.clock.now, directory, format, e.registry, e.journal, e.spends
		o.FailuresPerMinute = 3
		o.Policy = &Policy{Accept: []Carrier{{Kind: Bearer}, {Kind: XAPIKey}, {Kind: Basic}, {Kind: ClientHeaders}}, LegacyRateLimit: true,
			TrustedProxies: []netip.Prefix{loopback}, Routes: e.routesOf(o.Policy.Routes[0].Targets[0], &url.URL{Scheme: "http", Host: other.Addr().String()})}
	})
	for _, r := range e.policy.Routes {
		e.routes[r.Path] = r
	}
	return e
}

// routesOf has one route for each thing that a decision depends on.
func (e *explained) routesOf(enforcing, observing *url.URL) []Route {
	anyMethod := map[string][]keys.Scope{"*": {}}
	sliding := func(n int64) []limiter.Limit {
		return []limiter.Limit{{N: n, Unit: limiter.Sliding, Window: 10 * time.Second}}
	}
	var all []Route
	add := func(path string, change func(*Route)) {
		r := Route{Name: "r" + strconv.Itoa(len(all)), Path: path, Targets: []*url.URL{enforcing}, Scopes: anyMethod, Cost: 1, MaxBody: -1, Timeout: 5 * time.Second}
		change(&r)
		all = append(all, r)
	}
	add("/orders/", func(r *Route) {
		r.API, r.Scopes = "orders", map[string][]keys.Scope{"GET": {"orders.read"}, "POST": {"orders.write"}}
	})
	add("/limited/", func(r *Route) { r.Limits = sliding(4) })
	add("/public/", func(r *Route) { r.Public, r.Scopes, r.Limits = true, nil, sliding(3) })
	add("/free/", func(r *Route) { r.Public, r.Scopes = true, map[string][]keys.Scope{"GET": {}} })
	add("/inside/", func(r *Route) { r.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	add("/basic/", func(r *Route) { r.Accept = []Carrier{{Kind: Basic}} })
	add("/bearer/", func(r *Route) { r.Accept = []Carrier{{Kind: Bearer}} })
	add("/query/", func(r *Route) { r.Accept = []Carrier{{Kind: Query, Name: "key"}} })
	add("/costly/", func(r *Route) { r.Cost = 3 })
	add("/dear/", func(r *Route) { r.Cost = 9 })
	add("/tests/", func(r *Route) { r.AcceptTest = true })
	add("/slash/", func(r *Route) { r.AllowEncodedSlash = true })
	add("/exact", func(*Route) {})
	add("/hosted/", func(r *Route) { r.Hosts = []string{"api.example.com"} })
	add("/shared/", func(r *Route) { r.Observe = true })
	observe := func(path string, change func(*Route)) {
		add(path, func(r *Route) {
			r.Observe, r.Targets = true, []*url.URL{observing}
			change(r)
		})
	}
	observe("/old/", func(*Route) {})
	observe("/old/limited/", func(r *Route) { r.Limits = sliding(3) })
	observe("/old/public/", func(r *Route) { r.Public, r.Scopes, r.Limits = true, nil, sliding(2) })
	observe("/old/inside/", func(r *Route) { r.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	observe("/old/reads/", func(r *Route) { r.Scopes = map[string][]keys.Scope{"GET": {"orders.read"}} })
	return all
}

// directoryOf loads credentials of every kind and state.
func (e *explained) directoryOf(t *testing.T, format keys.Format) *keys.Directory {
	t.Helper()
	pepper, err := keys.NewPepper(nil)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := keys.OpenVault(pepper, nil)
	if err != nil {
		t.Fatal(err)
	}
	window := func(n int64, w time.Duration) limiter.Limit {
		return limiter.Limit{N: n, Unit: limiter.Sliding, Window: w}
	}
	catalog := &keys.Catalog{
		APIs: map[keys.APIName]keys.API{"orders": {Name: "orders", Scopes: map[keys.Scope]string{"orders.read": "", "orders.write": ""}}},
		Plans: map[keys.PlanName]*keys.Plan{
			"free":  {Name: "free", Zone: time.UTC},
			"small": {Name: "small", Zone: time.UTC, Limits: []keys.PlanLimit{{Limit: window(4, 3*time.Second)}, {Limit: window(12, 20*time.Second)}}},
			"day":   {Name: "day", Zone: time.UTC, Limits: []keys.PlanLimit{{Limit: limiter.Limit{N: 30, Unit: limiter.Day}}}},
			"owner": {Name: "owner", Zone: time.UTC, Limits: []keys.PlanLimit{{Limit: window(8, time.Minute), Per: limiter.Owner}, {Limit: window(5, time.Second)}}},
		},
		TenantPlans: map[string]keys.TenantPlan{"trial": {}},
		Policy:      keys.Policy{KeysEnabled: true},
	}
	off := false
	now := e.clock.now()
	store := &loadOnly{tenants: []keys.Tenant{
		{ID: "default", Name: "default", Version: 1}, {ID: "acme", Name: "acme", Version: 1},
		{ID: "off", Name: "off", Version: 1, Settings: keys.TenantSettings{KeysEnabled: &off}}, {ID: "trial", Name: "trial", Plan: "trial", Version: 1},
	}}
	add := func(change func(*keys.Credential)) {
		c := keys.Credential{Kind: keys.APIKey, Tenant: "default", Owner: keys.Owner{Type: keys.OwnerUser, ID: "usr_1"}, Status: keys.Active,
			Plan: "free", APIs: []keys.APIName{"orders"}, Version: 1}
		change(&c)
		id, text, err := format.NewKey(nil, c.Test)
		c.ID = keys.CredentialID("key_" + id)
		secretID := id
		if c.Kind == keys.Client {
			c.ID = keys.CredentialID("app_" + id)
			secretID, text, err = format.NewClientSecret(nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		s := keys.StoredSecret{ID: keys.SecretID(secretID), Digest: vault.Digest(text.Reveal()), CreatedAt: now}
		if len(c.Secrets) > 0 {
			s.ExpiresAt = c.Secrets[0].ExpiresAt
		}
		vault.SealSecret(c.ID, &s)
		c.Secrets = []keys.StoredSecret{s}
		vault.SealCredential(&c)
		store.credentials = append(store.credentials, c)
		e.shown = append(e.shown, shownText{c.ID, c.Kind, text.Reveal()})
	}
	for _, plan := range []keys.PlanName{"free", "small", "day", "owner", "vanished"} {
		add(func(c *keys.Credential) { c.Plan = plan })
		add(func(c *keys.Credential) { c.Plan, c.Kind = plan, keys.Client })
		add(func(c *keys.Credential) {
			c.Plan, c.Tenant, c.Owner = plan, "acme", keys.Owner{Type: keys.OwnerTenant, ID: "acme"}
		})
	}
	for _, status := range []keys.Status{keys.Pending, keys.Suspended, keys.Revoked, keys.Denied} {
		add(func(c *keys.Credential) { c.Status = status })
	}
	add(func(c *keys.Credential) { c.ExpiresAt = now.Add(-time.Hour) })
	add(func(c *keys.Credential) { c.ExpiresAt = now.Add(time.Hour) }) // in the middle of the test
	add(func(c *keys.Credential) { c.Secrets = []keys.StoredSecret{{ExpiresAt: now.Add(-time.Hour)}} })
	add(func(c *keys.Credential) { c.Test = true })
	add(func(c *keys.Credential) { c.APIs, c.Scopes = nil, []keys.Scope{"orders.read"} })
	add(func(c *keys.Credential) { c.APIs = nil })
	add(func(c *keys.Credential) { c.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	add(func(c *keys.Credential) { c.Tenant = "off" })
	add(func(c *keys.Credential) { c.Tenant = "trial" })
	add(func(c *keys.Credential) { c.Tenant = "nowhere" })
	_, unknown, err := format.NewKey(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	_, unknownSecret, err := format.NewClientSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	e.shown = append(e.shown, shownText{"", keys.APIKey, unknown.Reveal()}, shownText{"", keys.APIKey, "nonsense"},
		shownText{"", keys.Client, unknownSecret.Reveal()}, shownText{})
	directory := keys.NewDirectory(keys.DirectoryOptions{Store: store, Vault: vault, Format: format, Catalog: catalog, Now: e.clock.now})
	if err := directory.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return directory
}

// explainedCase is a question and the request that it is about.
type explainedCase struct {
	question keys.Question
	raw      string
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// generate makes up a call: mostly sound ones, so that they get far.
func (e *explained) generate(r *rand.Rand) explainedCase {
	route := e.policy.Routes[r.IntN(len(e.policy.Routes))]
	path := route.Path
	if r.IntN(8) == 0 {
		path += pick(r, "..", "../free/x", "%2e%2e/x", "/x", "a%2Fb", `a\b`, "%00", "%252e", "..;/x", "a;b", "#x", "x/../../orders/1", "x/..//", "%zz", "a b", "\xff",
			"..%2f..%2forders/1", `..\orders/1`, "%5c../orders", "%u002e%u002e/orders/1", "{id}", `"`, strings.Repeat("a", 5000))
	} else {
		path += pick(r, "", "x", "x/y", "caf%C3%A9")
	}
	if r.IntN(40) == 0 {
		path = pick(r, "/", "/nowhere", "//"+path[1:], "/ORDERS/", `//"`+path[1:], "/old/../orders/1", "/orders/../old/1", "/old/limited/../x")
	}
	q := keys.Question{
		Method:  pick(r, "GET", "GET", "GET", "GET", "GET", "POST", "HEAD", "DELETE", "OPTIONS"),
		Host:    pick(r, "api.example.com", "api.example.com", "other.example.com"),
		Path:    path + pick(r, "", "", "", "?a=b", "?a=1;b", "?"),
		Address: netip.MustParseAddr(pick(r, "192.0.2.1", "192.0.2.1", "198.51.100.7", "10.1.2.3", "2001:db8::1", "2001:db8::2")),
	}
	if r.IntN(25) == 0 {
		q.Method = pick(r, "TRACE", "PROPFIND", "get", "CONNECT", "PRI", "REPORT", "G ET", "HEAd")
	}
	if r.IntN(25) == 0 {
		q.Host = pick(r, "api.example.com:8080", "API.example.com", "api.example.com.", "a,b", "[::1]", "a:b", "a@b", "x:99999", "")
	}
	if r.IntN(40) == 0 {
		q.Path += pick(r, "?x=#y", "?x=caf\u00e9")
	}
	shown := e.shown[r.IntN(len(e.shown))]
	for r.IntN(3) > 0 && (shown.id == "" || shown.text == "") { // most callers have a key
		shown = e.shown[r.IntN(len(e.shown))]
	}
	if shown.id != "" && r.IntN(2) == 0 {
		q.Key = shown.id
	} else {
		q.Secret = keys.NewSecret(shown.text)
	}
	target, header := q.Path, ""
	if shown.text != "" {
		target, header = carry(e.routes[route.Path], shown, target, r)
	}
	return explainedCase{q, q.Method + " " + target + " HTTP/1.1\r\nHost: " + q.Host + "\r\nX-Forwarded-For: " + q.Address.String() + "\r\n" + header + "\r\n"}
}

// carry puts a credential where the route accepts one of its kind.
func carry(route Route, shown shownText, target string, r *rand.Rand) (newTarget, header string) {
	accept := route.Accept
	if accept == nil {
		accept = []Carrier{{Kind: Bearer}, {Kind: XAPIKey}, {Kind: Basic}, {Kind: ClientHeaders}}
	}
	id := string(shown.id)
	if id == "" {
		id = "app_000000000000"
	}
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+shown.text)) + "\r\n"
	for _, i := range r.Perm(len(accept)) {
		switch c := accept[i]; {
		case c.Kind == Basic:
			return target, basic
		case c.Kind == ClientHeaders:
			return target, "X-Client-Id: " + id + "\r\nX-Client-Secret: " + shown.text + "\r\n"
		case shown.kind == keys.Client:
		case c.Kind == Bearer:
			return target, "Authorization: Bearer " + shown.text + "\r\n"
		case c.Kind == XAPIKey:
			return target, "X-API-Key: " + shown.text + "\r\n"
		case c.Kind == Query:
			path, query, _ := strings.Cut(target, "?")
			return path + "?" + query + "&key=" + shown.text, ""
		}
	}
	return target, "X-Unheard: " + "x" + "\r\n" // there is no place for it on this route
}

// TestExplain: what is explained is what happens, and explaining changes nothing. The cases are the same
// each time, so that each decision is among them; the long form makes others too.
func TestExplain(t *testing.T) {
	explainCases(t, 1)
	if long() && !t.Failed() {
		explainCases(t, uint64(time.Now().UnixNano()))
	}
}

func explainCases(t *testing.T, seed uint64) {
	e := startExplained(t)
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(1, seed))
	seen := map[string]int{}
	conn := &keptConn{harness: e.harness}
	for i := range 10_000 {
		if r.IntN(3) == 0 {
			e.clock.advance(time.Duration(r.Int64N(int64(2 * time.Second))))
		}
		one := e.generate(r)
		withMetrics := i%16 == 0 // to gather them takes longer than all the rest
		before := e.counted(t, withMetrics)
		got, err := e.gateway.Explain(one.question)
		if err != nil {
			t.Fatalf("%d: explain %+v: %v", i, one.question, err)
		}
		if after := e.counted(t, withMetrics); !reflect.DeepEqual(before, after) {
			t.Fatalf("%d: explaining %+v changed counters from %v to %v", i, one.question, before, after)
		}
		a := conn.send(one.raw)
		e.compare(t, i, one, got, a)
		seen[string(got.Code)+"/"+string(got.WouldRefuse)]++
		if t.Failed() {
			return
		}
	}
	t.Logf("decisions: %v", seen)
	for _, code := range []keys.Code{keys.Admitted, keys.BadRequest, keys.MissingCredentials, keys.InvalidCredentials, keys.CredentialExpired, keys.CredentialRevoked,
		keys.CredentialSuspended, keys.CredentialPending, keys.CredentialDenied, keys.KeysDisabled, keys.PlanNotEligible, keys.PlanUnavailable, keys.InsufficientScope,
		keys.IPNotAllowed, keys.CostExceedsLimit, keys.RouteNotFound, keys.MethodNotAllowed, keys.RateLimited, keys.QuotaExceeded, keys.TooManyFailures} {
		if seen[string(code)+"/"] == 0 {
			t.Errorf("no generated case was decided %q", code)
		}
	}
	for _, code := range []keys.Code{keys.BadRequest, keys.InvalidCredentials, keys.RateLimited, keys.MethodNotAllowed, keys.IPNotAllowed} {
		if seen["/"+string(code)] == 0 {
			t.Errorf("no generated case would have been refused with %q", code)
		}
	}
}

// counted is everything that a request changes: metrics, what was spent, failures by network.
func (e *explained) counted(t *testing.T, withMetrics bool) any {
	t.Helper()
	failures := map[string]time.Duration{}
	for _, a := range []string{"192.0.2.1", "198.51.100.7", "10.1.2.3", "2001:db8::1"} {
		failures[a] = e.gateway.failures.Peek(netip.MustParseAddr(a), e.clock.now())
	}
	var metrics map[string]float64
	if withMetrics {
		metrics = gather(t, e.registry)
	}
	return []any{metrics, e.spends.decided, failures, e.gateway.inFlight.Load()}
}

// keptConn sends requests on one connection as long as it lasts.
type keptConn struct {
	harness *harness
	conn    net.Conn
	r       *bufio.Reader
}

func (k *keptConn) send(raw string) answer {
	k.harness.t.Helper()
	if k.conn == nil {
		conn, err := net.Dial("tcp", k.harness.address)
		if err != nil {
			k.harness.t.Fatal(err)
		}
		k.conn, k.r = conn, bufio.NewReader(conn)
	}
	_ = k.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(k.conn, raw); err != nil {
		k.harness.t.Fatal(err)
	}
	method, _, _ := strings.Cut(raw, " ")
	res, err := http.ReadResponse(k.r, &http.Request{Method: method})
	if err != nil {
		k.harness.t.Fatalf("read the answer to %q: %v", raw, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		k.harness.t.Fatal(err)
	}
	if res.Close {
		k.conn.Close()
		k.conn = nil
	}
	return makeAnswer(res, body)
}

// compare holds what was explained against what happened.
func (e *explained) compare(t *testing.T, i int, one explainedCase, got keys.Explanation, a answer) {
	t.Helper()
	about := fmt.Sprintf("%d: %q: explained %+v", i, one.raw, got)
	if a.Header.Get("X-Request-Id") == "" { // net/http's parser refused it, and nothing of ours saw it
		if a.StatusCode != got.Code.Status() {
			t.Errorf("%s; the parser answered %d", about, a.StatusCode)
		}
		return
	}
	happened := <-e.journal.ended
	if happened.Code != got.Code || happened.WouldRefuse != got.WouldRefuse || a.StatusCode != got.Code.Status() {
		t.Errorf("%s; happened: %q, would be %q, status %d", about, happened.Code, happened.WouldRefuse, a.StatusCode)
		return
	}
	if got.Code == keys.Admitted && got.Route != happened.Route {
		t.Errorf("%s; went to route %q", about, happened.Route)
	}
	if got.Code == keys.Admitted && got.WouldRefuse == "" && len(got.Limits) > 0 {
		cost := max(e.routes[e.pathOf(got.Route)].Cost, 1)
		for _, l := range got.Limits {
			want := fmt.Sprintf("%q;r=%d;", l.Name, l.Limit-l.Used-cost)
			if header := a.Header.Get("RateLimit"); !strings.Contains(header, want) {
				t.Errorf("%s; RateLimit is %s, want %s in it", about, header, want)
			}
		}
	}
	if got.Code.Status() == http.StatusTooManyRequests && a.Request.Method != http.MethodHead {
		compareRefusedLimits(t, about, got, a)
	}
}

func compareRefusedLimits(t *testing.T, about string, got keys.Explanation, a answer) {
	t.Helper()
	if want := retrySeconds(got.RetryAfter); a.Header.Get("Retry-After") != want {
		t.Errorf("%s; Retry-After is %s, want %s", about, a.Header.Get("Retry-After"), want)
	}
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatal(err)
	}
	var want []problemLimit
	for _, l := range got.Limits {
		if l.Retry > 0 && got.Code != keys.TooManyFailures {
			want = append(want, problemLimit{Name: l.Name, Limit: l.Limit, Window: l.Window, Used: l.Used, RetryAfterMS: milliseconds(l.Retry)})
		}
	}
	if p.RetryAfterMS == nil || *p.RetryAfterMS != milliseconds(got.RetryAfter) || !reflect.DeepEqual(p.Limits, want) {
		t.Errorf("%s; answered %s", about, a.body)
	}
}

func (e *explained) pathOf(route string) string {
	for path, r := range e.routes {
		if r.Name == route {
			return path
		}
	}
	return ""
}
