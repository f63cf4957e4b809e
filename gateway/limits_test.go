package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
	"postern/limiter"
)

func withClock(c *clock) change { return func(o *Options) { o.Now = c.now } }

func TestQuotaEndsExactly(t *testing.T) {
	c := newClock()
	var reached atomic.Int32
	h := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }), withClock(c))
	for i := range 1000 {
		if a := h.get("/", quotaKey); a.StatusCode != 200 {
			t.Fatalf("request %d got %d %s", i+1, a.StatusCode, a.body)
		}
		c.advance(time.Millisecond)
	}
	a := h.get("/", quotaKey)
	wantCode(t, a, keys.QuotaExceeded)
	if n := reached.Load(); n != 1000 {
		t.Errorf("the upstream saw %d requests, want 1000", n)
	}
	// The day began at midnight UTC; it is 10:00:01.
	if got := a.Header.Get("Retry-After"); got != fmt.Sprint(14*3600-1) {
		t.Errorf("Retry-After is %s, want %d", got, 14*3600-1)
	}
	c.advance(14 * time.Hour)
	wantStatus(t, h.get("/", quotaKey), 200)
}

func TestRateHeaders(t *testing.T) {
	c := newClock()
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("RateLimit", "the upstream's own")
		w.Header().Set("X-RateLimit-Remaining", "7")
		w.Header().Set("X-Request-Id", "the upstream's own")
	}), withClock(c), onRoute(func(r *Route) {
		r.Limits = []limiter.Limit{{N: 100, Unit: limiter.Sliding, Window: 10 * time.Second}}
	}))
	a := h.get("/", ownerKey)
	wantStatus(t, a, 200)
	wantHeaders(t, a, map[string]string{
		"RateLimit-Policy":      `"credential-s";q=2;w=1, "owner-day";q=5;w=86400, "route-10s";q=100;w=10`,
		"RateLimit":             `"credential-s";r=1;t=1, "owner-day";r=4;t=50400, "route-10s";r=99;t=10`,
		"X-RateLimit-Limit":     "2",
		"X-RateLimit-Remaining": "1",
		"X-RateLimit-Reset":     "1",
	})
	if id := a.Header.Values("X-Request-Id"); len(id) != 1 || len(id[0]) != 32 {
		t.Errorf("X-Request-Id is %q", id)
	}
	wantStatus(t, h.get("/", ownerKey), 200)
	a = h.get("/", ownerKey)
	wantCode(t, a, keys.RateLimited)
	wantHeaders(t, a, map[string]string{"RateLimit": `"credential-s";r=0;t=1, "owner-day";r=3;t=50400, "route-10s";r=98;t=10`, "Retry-After": "1"})
	var p struct {
		RetryAfterMS int64 `json:"retry_after_ms"`
		Limits       []struct {
			Name         string
			Limit, Used  int64
			Window       string
			RetryAfterMS int64 `json:"retry_after_ms"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatal(err)
	}
	if p.RetryAfterMS != 1000 || len(p.Limits) != 1 || p.Limits[0].Name != "credential-s" || p.Limits[0].Used != 2 ||
		p.Limits[0].Limit != 2 || p.Limits[0].Window != "s" || p.Limits[0].RetryAfterMS != 1000 {
		t.Errorf("got %s", a.body)
	}
	// A refusal of somebody who proved himself tells where he stands, and spends nothing.
	h.gateway.snapshot.Load().routes[0].Scopes = map[string][]keys.Scope{"*": {"orders.admin"}}
	a = h.get("/", ownerKey)
	wantCode(t, a, keys.InsufficientScope)
	wantHeaders(t, a, map[string]string{"RateLimit": `"credential-s";r=0;t=1, "owner-day";r=3;t=50400, "route-10s";r=98;t=10`})
}

func wantHeaders(t *testing.T, a answer, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := a.Header.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func TestTheLimitThatFreesLastDecides(t *testing.T) {
	c := newClock()
	h := start(t, nil, withClock(c))
	for range 5 {
		wantStatus(t, h.get("/", ownerKey), 200)
		c.advance(time.Second)
	}
	a := h.get("/", ownerKey)
	wantCode(t, a, keys.QuotaExceeded)
	if a.Header.Get("Retry-After") != fmt.Sprint(14*3600-5) {
		t.Errorf("Retry-After is %s", a.Header.Get("Retry-After"))
	}
}

func TestPublicLimitsCountAddresses(t *testing.T) {
	h := start(t, nil, onRoute(func(r *Route) {
		r.Public, r.Scopes = true, nil
		r.Limits = []limiter.Limit{{N: 2, Unit: limiter.Sliding, Window: time.Hour}}
	}), func(o *Options) { o.Policy.LegacyRateLimit = false })
	for range 2 {
		a := h.get("/", "")
		wantStatus(t, a, 200)
		if a.Header.Get("RateLimit-Policy") != `"route-h";q=2;w=3600` || a.Header.Get("X-RateLimit-Limit") != "" {
			t.Errorf("headers are %v", a.Header)
		}
	}
	wantCode(t, h.get("/", ""), keys.RateLimited)
}

func TestCostAboveALimit(t *testing.T) {
	h := start(t, nil, onRoute(func(r *Route) { r.Cost = 3 }))
	a := h.get("/", ownerKey)
	wantCode(t, a, keys.CostExceedsLimit)
	if !strings.Contains(a.body, "credential-s") {
		t.Errorf("the limit is not named: %s", a.body)
	}
}

// slowLimiter is another machine's: before it answers, what ends a key happens.
type slowLimiter struct {
	limiter.Limiter
	meanwhile func()
	err       error
	units     atomic.Int64
}

func (s *slowLimiter) Decide(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	s.meanwhile()
	if s.err != nil {
		return s.err
	}
	s.units.Add(q.Cost)
	return s.Limiter.Decide(ctx, q, a)
}

func (s *slowLimiter) Backend() string { return "redis" }

// TestRevokedWhileTheLimiterDecides: whoever revoked a key and was told that it is confirmed sees nothing
// admitted afterwards, however long the limiter took.
func TestRevokedWhileTheLimiterDecides(t *testing.T) {
	revoke := func(d *fakeDirectory) { d.revoked["key_quota0000000"] = true }
	for _, c := range []struct {
		name      string
		meanwhile func(*fakeDirectory)
		err       error
		want      keys.Code
	}{
		{"nothing", func(*fakeDirectory) {}, nil, keys.Admitted},
		{"revoked", revoke, nil, keys.CredentialRevoked},
		{"secret replaced", func(d *fakeDirectory) { delete(d.by, quotaKey) }, nil, keys.InvalidCredentials},
		{"past max_stale", func(d *fakeDirectory) { d.down = true }, nil, keys.DirectoryUnavailable},
		{"revoked, and the limiter lost", revoke, limiter.ErrUnavailable, keys.CredentialRevoked},
		{"limiter lost", func(*fakeDirectory) {}, limiter.ErrUnavailable, keys.Admitted},
	} {
		t.Run(c.name, func(t *testing.T) {
			local := limiter.NewLocal(limiter.LocalOptions{})
			defer local.Close()
			slow := &slowLimiter{Limiter: local, err: c.err}
			var reached atomic.Int32
			h := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }),
				func(o *Options) { o.Limiter = slow }, onRoute(func(r *Route) { r.OnLoss = OnLossAllow }))
			slow.meanwhile = func() { h.directory.set(c.meanwhile) }
			a := h.get("/", quotaKey)
			if c.want == keys.Admitted {
				wantStatus(t, a, 200)
			} else {
				wantCode(t, a, c.want)
				if n := reached.Load(); n != 0 {
					t.Error("the upstream was asked")
				}
			}
			if units := slow.units.Load(); c.err == nil && units != 1 {
				t.Errorf("%d units are charged, want 1: nothing is given back", units)
			}
		})
	}
}

// brokenLimiter fails as told.
type brokenLimiter struct {
	limiter.Limiter
	err   error
	calls int
}

func (b *brokenLimiter) Decide(_ context.Context, q *limiter.Query, a *limiter.Answer) error {
	b.calls++
	return b.err
}

func (b *brokenLimiter) Peek(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	return b.err
}

func TestLimiterCannotAnswer(t *testing.T) {
	cases := []struct {
		name   string
		onLoss OnLoss
		err    error
		want   keys.Code
		calls  int
	}{
		{"default", "", limiter.ErrUnavailable, keys.LimiterUnavailable, 1},
		{"local", OnLossLocal, limiter.ErrFull, keys.LimiterUnavailable, 1},
		{"deny", OnLossDeny, errors.New("any"), keys.LimiterUnavailable, 1},
		{"allow", OnLossAllow, limiter.ErrUnavailable, keys.Admitted, 1},
		{"period over twice", "", limiter.ErrPeriodOver, keys.LimiterUnavailable, 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			broken := &brokenLimiter{err: fmt.Errorf("ask store: %w", c.err)}
			h := start(t, nil, func(o *Options) { o.Limiter = broken }, onRoute(func(r *Route) { r.OnLoss = c.onLoss }))
			a := h.get("/", quotaKey)
			if c.want == keys.Admitted {
				wantStatus(t, a, 200)
				return
			}
			wantCode(t, a, c.want)
			if a.Header.Get("Retry-After") != "1" || broken.calls != c.calls {
				t.Errorf("Retry-After %q after %d calls, want 1 after %d", a.Header.Get("Retry-After"), broken.calls, c.calls)
			}
		})
	}
}

// lostStore is a store of counters that does not answer.
type lostStore struct{ *limiter.Local }

func (lostStore) Decide(context.Context, *limiter.Query, *limiter.Answer) error {
	return limiter.ErrUnavailable
}
func (lostStore) Peek(context.Context, *limiter.Query, *limiter.Answer) error {
	return limiter.ErrUnavailable
}
func (lostStore) Part(string) int                           { return 0 }
func (lostStore) Charge(*limiter.Query) error               { return nil }
func (lostStore) Known(*limiter.Check) (total, since int64) { return 0, 0 }

// TestLimiterLost: while the store of counters is lost, on_loss decides, and the answer says so.
func TestLimiterLost(t *testing.T) {
	cases := []struct {
		onLoss OnLoss
		header string
		codes  [3]keys.Code
	}{
		{OnLossLocal, "share", [3]keys.Code{"", "", keys.RateLimited}},
		{OnLossAllow, "nothing", [3]keys.Code{"", "", ""}},
		{OnLossDeny, "", [3]keys.Code{keys.LimiterUnavailable, keys.LimiterUnavailable, keys.LimiterUnavailable}},
	}
	for _, c := range cases {
		t.Run(string(c.onLoss), func(t *testing.T) {
			roster := limiter.NewRoster("this", false)
			roster.Beat(time.Now(), []limiter.Peer{{ID: "this"}})
			f := limiter.NewFailover(limiter.FailoverOptions{Shared: lostStore{limiter.NewLocal(limiter.LocalOptions{})}, Roster: roster})
			t.Cleanup(func() { _ = f.Close() })
			registry := prometheus.NewRegistry()
			h := start(t, nil, func(o *Options) { o.Limiter, o.Metrics = f, registry }, onRoute(func(r *Route) {
				r.OnLoss, r.Limits = c.onLoss, []limiter.Limit{{N: 2, Window: time.Minute}}
			}))
			for i, code := range c.codes {
				a := h.get("/", goodKey)
				if code == "" {
					wantStatus(t, a, 200)
				} else {
					wantCode(t, a, code)
				}
				if got := a.Header.Get("X-Postern-Limited-By"); got != c.header {
					t.Errorf("call %d: limited by %q, want %q", i, got, c.header)
				}
			}
			if got := gather(t, registry)["limiter_degraded"]; got != 1 {
				t.Errorf("limiter_degraded is %v, want 1", got)
			}
		})
	}
}

// frankLimiter says itself whether its store is lost.
type frankLimiter struct {
	*limiter.Local
	degraded atomic.Bool
}

func (l *frankLimiter) Degraded() bool { return l.degraded.Load() }

// TestDegradedWithoutCalls: the metric tells what the limiter knows, without a call between.
func TestDegradedWithoutCalls(t *testing.T) {
	l, registry := &frankLimiter{Local: limiter.NewLocal(limiter.LocalOptions{})}, prometheus.NewRegistry()
	start(t, nil, func(o *Options) { o.Limiter, o.Metrics = l, registry })
	for _, degraded := range []bool{false, true, false} {
		l.degraded.Store(degraded)
		if got := gather(t, registry)["limiter_degraded"]; (got == 1) != degraded {
			t.Errorf("the limiter says %t: got %v", degraded, got)
		}
	}
}

// aheadLimiter is a limiter for which it is another day.
type aheadLimiter struct {
	limiter.Limiter
	by time.Duration
}

func (l aheadLimiter) Decide(ctx context.Context, q *limiter.Query, a *limiter.Answer) error {
	now := time.Now().Add(l.by)
	for _, c := range q.Checks {
		if c.Limit.Unit != limiter.Sliding && !c.Span.Contains(now.UnixMicro()) {
			return fmt.Errorf("ask: %w", &limiter.PeriodError{Now: now})
		}
	}
	return l.Limiter.Decide(ctx, q, a)
}

// TestLimiterChoosesTheDay: the limiter's clock says which day it is, not the gateway's.
func TestLimiterChoosesTheDay(t *testing.T) {
	const ahead = 48 * time.Hour
	l := limiter.NewLocal(limiter.LocalOptions{Now: func() time.Time { return time.Now().Add(ahead) }})
	h := start(t, nil, func(o *Options) { o.Limiter = aheadLimiter{l, ahead} })
	wantStatus(t, h.get("/", quotaKey), 200)
}

func TestDirectoryCannotAnswer(t *testing.T) {
	h := start(t, nil)
	h.directory.set(func(d *fakeDirectory) { d.down = true })
	a := h.get("/", goodKey)
	wantCode(t, a, keys.DirectoryUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestTags(t *testing.T) {
	d := newFakeDirectory()
	tenantPlan := &keys.Plan{Limits: []keys.PlanLimit{{Limit: limiter.Limit{N: 1, Unit: limiter.Day}, Per: limiter.Tenant}}}
	cases := []struct {
		name   string
		tenant bool // some plan counts per tenant
		plan   *keys.Plan
		want   string
	}{
		{"per key", false, d.by[quotaKey].Plan(), "key_owner0000000"},
		{"per key beside tenant plans", true, d.by[quotaKey].Plan(), "key_owner0000000"},
		{"per owner", false, d.by[ownerKey].Plan(), "usr_1"},
		{"per owner beside tenant plans", true, d.by[ownerKey].Plan(), "default"},
		{"per tenant", true, tenantPlan, "default"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			sets := limitSets{route: &route{Route: Route{Name: "r", Limits: []limiter.Limit{{N: 1, Unit: limiter.Month}}}}, tenantCounters: c.tenant}
			var q limiter.Query
			sets.of(c.plan).query(&q, d.by[ownerKey], "", 1, time.Now())
			if q.Tag != c.want {
				t.Errorf("tag is %q, want %q", q.Tag, c.want)
			}
			last := q.Checks[len(q.Checks)-1].Counter
			if last != (limiter.Counter{Level: limiter.Route, Subject: "key_owner0000000", Route: "r"}) {
				t.Errorf("the route counts %+v", last)
			}
		})
	}
}

func TestConcurrentLimitSets(t *testing.T) {
	sets := limitSets{route: &route{Route: Route{Name: "r"}}}
	plans := make([]*keys.Plan, 50)
	for i := range plans {
		plans[i] = &keys.Plan{Limits: []keys.PlanLimit{{Limit: limiter.Limit{N: int64(i + 1), Unit: limiter.Day}}}}
	}
	done := make(chan bool)
	for range 4 {
		go func() {
			defer func() { done <- true }()
			for i, p := range plans {
				if set := sets.of(p); set.checks[0].Limit.N != int64(i+1) {
					t.Errorf("plan %d got the limits of plan %d", i, set.checks[0].Limit.N)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}

func TestWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, math.MaxInt64 - time.Second: 9223372036} {
		if got := wholeSeconds(d); got != want {
			t.Errorf("wholeSeconds(%d) is %d, want %d", d, got, want)
		}
	}
}
