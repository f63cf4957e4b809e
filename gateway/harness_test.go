package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// The credentials that every harness knows.
const (
	goodKey    = "good-key"
	quotaKey   = "quota-key"
	ownerKey   = "owner-key"
	expiredKey = "expired-key"
	testKey    = "test-key"
	lonelyKey  = "lonely-key" // its plan is gone
	benchKey   = "bench-key"  // limits that never bite
)

// fakeDirectory finds principals by the whole text.
type fakeDirectory struct {
	mu      sync.Mutex
	by      map[string]*keys.Principal
	code    map[string]keys.Code
	ready   error
	down    bool
	explode bool
	revoked map[keys.CredentialID]bool
}

func (d *fakeDirectory) Authenticate(p keys.Presented, _ time.Time) (*keys.Principal, keys.Code) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.explode {
		panic("directory exploded")
	}
	if d.down {
		return nil, keys.DirectoryUnavailable
	}
	who, ok := d.by[p.Text]
	if !ok {
		return nil, keys.InvalidCredentials
	}
	if d.revoked[who.ID] {
		return who, keys.CredentialRevoked
	}
	return who, d.code[p.Text]
}

func (d *fakeDirectory) Recheck(p keys.Presented, _ *keys.Principal, now time.Time) keys.Code {
	_, code := d.Authenticate(p, now)
	return code
}

func (d *fakeDirectory) Ready(time.Time) error { return d.ready }

func (d *fakeDirectory) set(f func(*fakeDirectory)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// newFakeDirectory knows the credentials above.
func newFakeDirectory() *fakeDirectory {
	sliding := func(n int64, w time.Duration) limiter.Limit {
		return limiter.Limit{N: n, Unit: limiter.Sliding, Window: w}
	}
	catalog := &keys.Catalog{
		APIs: map[keys.APIName]keys.API{"orders": {Name: "orders", Scopes: map[keys.Scope]string{
			"orders.read": "See orders", "orders.write": "Place orders"}}},
		Plans: map[keys.PlanName]*keys.Plan{
			"free":  {Name: "free", Zone: time.UTC},
			"quota": {Name: "quota", Zone: time.UTC, Limits: []keys.PlanLimit{{Limit: sliding(2000, time.Second)}, {Limit: limiter.Limit{N: 1000, Unit: limiter.Day}}}},
			"bench": {Name: "bench", Zone: time.UTC, Limits: []keys.PlanLimit{{Limit: sliding(1e6, time.Second)}, {Limit: limiter.Limit{N: 1e9, Unit: limiter.Day}}}},
			"owner": {Name: "owner", Zone: time.UTC, Limits: []keys.PlanLimit{{Limit: sliding(2, time.Second)}, {Limit: limiter.Limit{N: 5, Unit: limiter.Day}, Per: limiter.Owner}}},
		},
		Policy: keys.Policy{KeysEnabled: true},
	}
	make := func(id keys.CredentialID, plan keys.PlanName, test bool) *keys.Principal {
		return keys.NewPrincipal(keys.Credential{
			ID: id, Kind: keys.APIKey, Tenant: keys.DefaultTenant, Plan: plan, Test: test, Status: keys.Active,
			Owner: keys.Owner{Type: keys.OwnerUser, ID: "usr_1"}, APIs: []keys.APIName{"orders"},
		}, catalog)
	}
	return &fakeDirectory{
		by: map[string]*keys.Principal{
			goodKey: make("key_good00000000", "free", false), quotaKey: make("key_quota0000000", "quota", false),
			ownerKey: make("key_owner0000000", "owner", false), expiredKey: make("key_expired00000", "free", false),
			testKey: make("key_test00000000", "free", true), lonelyKey: make("key_lonely000000", "vanished", false),
			benchKey: make("key_bench0000000", "bench", false),
		},
		code:    map[string]keys.Code{expiredKey: keys.CredentialExpired},
		revoked: map[keys.CredentialID]bool{},
	}
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// harness is a gateway that serves on loopback before an upstream.
type harness struct {
	t         testing.TB
	gateway   *Gateway
	directory *fakeDirectory
	limiter   *limiter.Local
	upstream  *httptest.Server
	url       string
	address   string
	client    *http.Client
	served    chan error
	policy    *Policy
	access    *lockedBuffer
}

// change adjusts what a harness is built from.
type change func(*Options)

// onRoute changes the one route of a harness.
func onRoute(f func(*Route)) change {
	return func(o *Options) { f(&o.Policy.Routes[0]) }
}

// start builds and serves a gateway with one route, "/", to the handler.
func start(t testing.TB, upstream http.Handler, changes ...change) *harness {
	t.Helper()
	h := &harness{t: t, directory: newFakeDirectory(), access: &lockedBuffer{}}
	if upstream == nil {
		upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	}
	h.upstream = httptest.NewServer(upstream)
	t.Cleanup(h.upstream.Close)
	target, err := url.Parse(h.upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Policy: &Policy{
			Accept:          []Carrier{{Kind: Bearer}, {Kind: XAPIKey}},
			LegacyRateLimit: true,
			Routes: []Route{{Name: "main", Path: "/", Targets: []*url.URL{target},
				Scopes: map[string][]keys.Scope{"*": {}}, Cost: 1, MaxBody: -1, Timeout: 5 * time.Second}},
		},
		Directory: h.directory,
		Access:    SlogAccess(slog.NewTextHandler(h.access, nil)),
		Drain:     Drain{Timeout: 5 * time.Second},
	}
	for _, c := range changes {
		c(&o)
	}
	if o.Limiter == nil {
		h.limiter = limiter.NewLocal(limiter.LocalOptions{Now: o.Now})
		o.Limiter = h.limiter
		t.Cleanup(func() { _ = h.limiter.Close() })
	}
	h.policy = o.Policy
	if h.gateway, err = New(o); err != nil {
		t.Fatal(err)
	}
	h.serve(nil)
	return h
}

// serve starts the gateway on a free port and ends it with the test.
func (h *harness) serve(config *tls.Config) {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.address = l.Addr().String()
	h.url = "http://" + h.address
	h.served = make(chan error, 1)
	go func() { h.served <- h.gateway.Serve(l, config) }()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	h.client = &http.Client{Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	h.t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = h.gateway.Shutdown(context.Background())
		if err := <-h.served; err != nil {
			h.t.Errorf("Serve returned %v after Shutdown", err)
		}
	})
}

// switchToHTTP2 makes the harness's client speak HTTP/2 over TLS to the same gateway.
func (h *harness) switchToHTTP2() {
	h.t.Helper()
	h.url = "https://" + h.serveTLS()
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	h.client = &http.Client{Transport: transport}
	h.t.Cleanup(transport.CloseIdleConnections)
}

// loopback is where every test's client comes from.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// answer is a response read to its end.
type answer struct {
	*http.Response
	body string
	code string // of a problem
}

// do sends a request with goodKey unless it shows another credential.
func (h *harness) do(r *http.Request) answer {
	h.t.Helper()
	if r.Header.Get("Authorization") == "" && r.Header.Get("X-API-Key") == "" {
		r.Header.Set("X-API-Key", goodKey)
	}
	res, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatalf("read answer: %v", err)
	}
	return makeAnswer(res, body)
}

func makeAnswer(res *http.Response, body []byte) answer {
	a := answer{Response: res, body: string(body)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") {
		var p struct{ Code string }
		_ = json.Unmarshal(body, &p)
		a.code = p.Code
	}
	return a
}

// get fetches a path with a key; "" shows none.
func (h *harness) get(path, key string) answer {
	h.t.Helper()
	r := h.request(http.MethodGet, path, nil)
	if key == "" {
		r.Header.Set("Authorization", "None of ours")
	} else {
		r.Header.Set("X-API-Key", key)
	}
	return h.do(r)
}

func (h *harness) request(method, path string, body io.Reader) *http.Request {
	h.t.Helper()
	r, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// raw sends bytes on a connection of its own and reads one answer.
func (h *harness) raw(text string) answer {
	h.t.Helper()
	conn := h.dial()
	if _, err := io.WriteString(conn, text); err != nil {
		h.t.Fatal(err)
	}
	return readAnswer(h.t, bufio.NewReader(conn))
}

func (h *harness) dial() net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func readAnswer(t testing.TB, r *bufio.Reader) answer {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read answer's body: %v", err)
	}
	return makeAnswer(res, body)
}

// wantCode checks an answer's status and problem code.
func wantCode(t testing.TB, a answer, code keys.Code) {
	t.Helper()
	if a.StatusCode != code.Status() || a.code != string(code) {
		t.Errorf("got %d %q, want %d %q; body %s", a.StatusCode, a.code, code.Status(), code, a.body)
	}
}

func wantStatus(t testing.TB, a answer, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("got status %d, want %d; body %s", a.StatusCode, status, a.body)
	}
}

// lockedBuffer is a log that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("%s did not happen within 5 s", what)
		case <-tick.C:
		}
	}
}
