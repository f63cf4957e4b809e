package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
)

func observe(r *Route) { r.Observe = true }

// watchtower is a fortress whose routes only observe.
func watchtower(t *testing.T, changes ...change) (*harness, *reached) {
	t.Helper()
	upstream := &reached{}
	h := start(t, upstream, slices.Concat([]change{onRoute(observe), onRoute(func(r *Route) { r.Hosts = []string{"gw"} })}, changes)...)
	return h, upstream
}

// TestObserveHostileHTTP1 sends every request of TestHostileHTTP1 by a route that only observes. Those
// named here pass, as they came; all others are refused there too, because two parsers could frame
// or address them differently.
func TestObserveHostileHTTP1(t *testing.T) {
	passes := map[string]keys.Code{}
	for _, name := range []string{
		"unknown method", "WebDAV", "method override", "method override, other name", "method override, third name",
		"dot dot", "encoded dots", "dots with parameter", "encoded slash", "encoded slash with dots where allowed", "encoded slash in the prefix", "backslash",
		"encoded backslash", "two slashes", "two slashes, as a host", "NUL", "CR LF in the path", "double encoding", "invalid UTF-8", "fragment", "5 KiB of path",
		"fragment in the query", "UTF-8 in the query", "underscore", "dot", "two keys", "two authorizations", "two client ids", "two content types",
	} {
		passes[name] = keys.BadRequest
	}
	for _, name := range []string{"101 headers", "33 KiB of headers", "33 KiB of query"} {
		passes[name] = keys.HeadersTooLarge
	}
	passes["upgrade where not allowed"] = keys.UpgradeNotAllowed
	admitted := []string{"method not taken", "parameters hide a route"} // nothing is wrong with them on this route

	journal := &lastCall{ended: make(chan Call, 1000)}
	h, upstream := watchtower(t, func(o *Options) { o.Journal = journal })
	left := len(passes) + len(admitted)
	for _, tt := range hostileHTTP1 {
		t.Run(tt.name, func(t *testing.T) {
			would, ok := passes[tt.name]
			if !ok && !slices.Contains(admitted, tt.name) {
				testHostileHTTP1(t, h.dial(), tt.raw, tt.want)
				for _, a := range upstream.take() {
					t.Errorf("reached the upstream: %v %v", a, a.header)
				}
				return
			}
			left--
			a := h.raw(tt.raw)
			wantStatus(t, a, http.StatusOK)
			c := <-journal.ended
			for c.RequestID != a.Header.Get("X-Request-Id") { // those that were refused before
				c = <-journal.ended
			}
			if c.Code != keys.Admitted || c.WouldRefuse != would {
				t.Errorf("decided %q, would be %q; want %q", c.Code, c.WouldRefuse, would)
			}
			_, target, _ := strings.Cut(tt.raw, " ")
			target, _, _ = strings.Cut(target, " HTTP/")
			if seen := upstream.take(); len(seen) != 1 || seen[0].target != target {
				t.Errorf("arrived as %v, want %s", seen, target)
			}
		})
	}
	if left != 0 {
		t.Errorf("%d names are of no request", left)
	}
}

// TestObserveBadNames: a header name that a server might fold into one that frames a request stays
// refused; one that poses as a header of ours is deleted.
func TestObserveBadNames(t *testing.T) {
	h, upstream := watchtower(t)
	for _, name := range []string{"Content_Length", "Transfer_Encoding", "transfer.encoding", "Transfer~Encoding", "HTTP2_Settings", "Proxy_Authorization"} {
		wantCode(t, h.raw(get1("/a", name+": 5")), keys.BadRequest)
	}
	if seen := upstream.take(); len(seen) > 0 {
		t.Fatalf("reached the upstream: %v", seen)
	}
	wantStatus(t, h.raw(get1("/a", "X_Postern_Key_Id: forged", "X.Postern.Tenant: forged", "X~Postern~Owner: forged", "X!Forwarded*For: forged", "X_Real_IP: forged", "X_Mine: kept")), 200)
	seen := upstream.take()
	for name, values := range seen[0].header {
		if slices.Contains(values, "forged") {
			t.Errorf("%s: %v arrived", name, values)
		}
	}
	if !slices.ContainsFunc([]string{"X_mine", "X_Mine"}, func(n string) bool { return len(seen[0].header[n]) == 1 }) {
		t.Errorf("X_Mine did not arrive: %v", seen[0].header)
	}
}

// TestObserveCredentials: what a caller shows goes on untouched unless it proved who he is; identity
// is told of those who are admitted.
func TestObserveCredentials(t *testing.T) {
	h, upstream := watchtower(t, onRoute(func(r *Route) {
		r.Scopes = map[string][]keys.Scope{"GET": {}, "POST": {"orders.admin"}}
		r.SetHeaders = map[string]string{"Upstream-Token": "t"}
	}))
	for _, tt := range []struct {
		name, method, key string
		would             keys.Code
		arrives, identity bool
	}{
		{"theirs", "GET", "their-key", keys.InvalidCredentials, true, false},
		{"ours", "GET", goodKey, "", false, true},
		{"ours, without the scope", "POST", goodKey, keys.InsufficientScope, false, false},
		{"ours, expired", "GET", expiredKey, keys.CredentialExpired, false, false},
		{"ours, for tests", "GET", testKey, keys.InvalidCredentials, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.access.mu.Lock()
			h.access.b.Reset()
			h.access.mu.Unlock()
			raw := tt.method + " /a HTTP/1.1\r\nHost: gw\r\nX-API-Key: " + tt.key + "\r\nCookie: a=b\r\nContent-Length: 0\r\n\r\n"
			a := h.raw(raw)
			wantStatus(t, a, 200)
			came := upstream.take()[0]
			if got := came.header.Get("X-Api-Key") == tt.key; got != tt.arrives {
				t.Errorf("the key arrived: %v, want %v", got, tt.arrives)
			}
			if got := came.header.Get("X-Postern-Key-Id") != ""; got != tt.identity {
				t.Errorf("an identity arrived: %v, want %v", got, tt.identity)
			}
			if got := came.header.Get("Upstream-Token") != ""; got != tt.identity {
				t.Errorf("the route's own header arrived: %v, want %v", got, tt.identity)
			}
			if came.header.Get("Cookie") != "a=b" {
				t.Errorf("the cookie arrived as %q", came.header.Get("Cookie"))
			}
			eventually(t, "the access line", func() bool { return strings.Contains(h.access.String(), "\n") })
			line := h.access.String()
			if tt.would == "" == strings.Contains(line, "would_refuse=") || tt.would != "" && !strings.Contains(line, "would_refuse="+string(tt.would)) || !strings.Contains(line, `code=""`) {
				t.Errorf("the access line is %s, want would_refuse=%s in it", line, tt.would)
			}
			if strings.Contains(line, tt.key) {
				t.Errorf("the access line holds the key: %s", line)
			}
		})
	}
}

// TestObserveSpendsNothing: would-be refusals count against nobody, neither limits nor failures, and
// what would be admitted is charged.
func TestObserveSpendsNothing(t *testing.T) {
	c := newClock()
	h := start(t, nil, withClock(c), func(o *Options) {
		o.FailuresPerMinute = 3
		observing := o.Policy.Routes[0]
		observing.Name, observing.Path, observing.Observe = "old", "/old/", true
		observing.Scopes = map[string][]keys.Scope{"GET": {}}
		o.Policy.Routes = append(o.Policy.Routes, observing)
	})
	for range 10 {
		wantStatus(t, h.get("/old/", "wrong"), 200)
		wantStatus(t, h.do(func() *http.Request {
			r := h.request("DELETE", "/old/", nil)
			r.Header.Set("X-API-Key", ownerKey)
			return r
		}()), 200)
	}
	for range 3 {
		wantCode(t, h.get("/", "wrong"), keys.InvalidCredentials)
	}
	wantCode(t, h.get("/", "wrong"), keys.TooManyFailures)
	wantStatus(t, h.get("/old/", ownerKey), 200)
	wantStatus(t, h.get("/", ownerKey), 200)
	wantCode(t, h.get("/", ownerKey), keys.RateLimited) // two a second
	wantStatus(t, h.get("/old/", ownerKey), 200)
}

// TestObserveBodies: a body is neither cut nor refused, and counted when it is too large.
func TestObserveBodies(t *testing.T) {
	journal := &lastCall{ended: make(chan Call, 1)}
	h, upstream := watchtower(t, func(o *Options) { o.Journal = journal }, onRoute(func(r *Route) { r.MaxBody = 10 }))
	for name, raw := range map[string]string{
		"announced": post1(strings.Repeat("x", 20), "Content-Length: 20"),
		"in chunks": post1("14\r\n"+strings.Repeat("x", 20)+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
	} {
		wantStatus(t, h.raw(raw), 200)
		if c := <-journal.ended; c.WouldRefuse != keys.BodyTooLarge {
			t.Errorf("%s: would be %q", name, c.WouldRefuse)
		}
		if seen := upstream.take(); len(seen[0].body) != 20 || seen[0].torn {
			t.Errorf("%s: arrived as %q", name, seen[0].body)
		}
	}
}

// TestObserveFaults: what cannot be decided passes.
func TestObserveFaults(t *testing.T) {
	journal := &memoryJournal{}
	broken := &brokenLimiter{err: errors.New("gone")}
	h := start(t, nil, onRoute(observe), func(o *Options) { o.Journal, o.Limiter = journal, broken })
	would := func(key string) keys.Code {
		t.Helper()
		journal.mu.Lock()
		n := len(journal.ended)
		journal.mu.Unlock()
		wantStatus(t, h.get("/", key), 200)
		eventually(t, "the end", func() bool { journal.mu.Lock(); defer journal.mu.Unlock(); return len(journal.ended) > n })
		return journal.ended[n].WouldRefuse
	}
	if got := would(quotaKey); got != keys.LimiterUnavailable {
		t.Errorf("without a limiter: %q", got)
	}
	h.directory.set(func(d *fakeDirectory) { d.down = true })
	if got := would(quotaKey); got != keys.DirectoryUnavailable {
		t.Errorf("without the directory: %q", got)
	}
	h.directory.set(func(d *fakeDirectory) { d.down = false })
	journal.mu.Lock()
	journal.fail = errors.New("journal is full")
	journal.mu.Unlock()
	if got := would(goodKey); got != keys.Overloaded {
		t.Errorf("without the journal: %q", got)
	}
}

// TestObserveAnswers: nothing that the upstream says is changed, also where we have words of our own.
func TestObserveAnswers(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Request-Id", "theirs")
		h.Set("X-RateLimit-Remaining", "77")
		h.Set("Access-Control-Allow-Origin", "https://theirs.example")
		h["Content-Type"] = nil
		h.Set("Trailer", "X-End")
		h.Set("Link", "</style>")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, r.Method)
		h.Set("X-End", "done")
	})
	h := start(t, upstream, onRoute(observe), onRoute(func(r *Route) { r.CORS = &CORS{Origins: []string{"https://ours.example"}} }))
	conn := h.dial()
	if _, err := io.WriteString(conn, "OPTIONS / HTTP/1.1\r\nHost: gw\r\nOrigin: https://theirs.example\r\nAccess-Control-Request-Method: PUT\r\nX-API-Key: "+quotaKey+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	hints := readAnswer(t, r)
	if hints.StatusCode != http.StatusEarlyHints || hints.Header.Get("X-Request-Id") != "theirs" || hints.Header.Get("Link") != "</style>" {
		t.Errorf("hints: %d %v", hints.StatusCode, hints.Header)
	}
	a := readAnswer(t, r)
	for name, want := range map[string]string{"X-Request-Id": "theirs", "X-RateLimit-Remaining": "77", "X-RateLimit-Limit": "", "RateLimit": "",
		"Access-Control-Allow-Origin": "https://theirs.example", "Content-Type": ""} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a.StatusCode != 200 || a.body != "OPTIONS" || a.Trailer.Get("X-End") != "done" || len(a.TransferEncoding) != 1 {
		t.Errorf("got %d %q, trailer %v, coding %v", a.StatusCode, a.body, a.Trailer, a.TransferEncoding)
	}
	h = start(t, nil, onRoute(observe))
	if a := h.get("/", quotaKey); a.Header.Get("X-Request-Id") == "" || a.Header.Get("RateLimit") == "" {
		t.Errorf("what is ours is missing: %v", a.Header)
	}
}

// TestObserveLasts: a tunnel goes through though the route allows none, and outlives its key.
func TestObserveLasts(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := start(t, http.HandlerFunc(chat), onRoute(observe), func(o *Options) { o.Metrics = registry })
	h.gateway.streams.every = 5 * time.Millisecond
	conn, _ := h.websocket(t)
	say(t, conn, "before")
	h.directory.set(func(d *fakeDirectory) { d.revoked["key_good00000000"] = true })
	var looks int
	eventually(t, "a few looks", func() bool { looks++; return looks > 20 })
	say(t, conn, "after")
	if err := conn.CloseNow(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the count", func() bool { return gather(t, registry)["would_refuse_total code=upgrade_not_allowed route=main"] == 1 })
}

// TestObserveBesideEnforcing: an odd request does not pass where a route that enforces has the same
// server, nor where a reading of it is one's.
func TestObserveBesideEnforcing(t *testing.T) {
	upstream := &reached{}
	h := start(t, upstream, onRoute(observe), func(o *Options) {
		inner := o.Policy.Routes[0]
		inner.Name, inner.Path, inner.Observe = "inner", "/inner/", false
		inner.Targets = []*url.URL{{Scheme: "http", Host: "127.0.0.1:9"}}
		o.Policy.Routes = append(o.Policy.Routes, inner)
	})
	wantStatus(t, h.raw(get1("/a//b")), 200)
	upstream.take()
	for _, target := range []string{"/a/../inner/x", "//inner/x", `/a\..\inner`, "/a/%252e%252e/inner/"} {
		wantCode(t, h.raw(get1(target)), keys.BadRequest)
	}
	h.policy.Routes[1].Targets = h.policy.Routes[0].Targets
	if err := h.gateway.Swap(h.policy); err != nil {
		t.Fatal(err)
	}
	wantCode(t, h.raw(get1("/a//b")), keys.BadRequest)
	wantStatus(t, h.raw(get1("/a/b")), 200)
	if seen := upstream.take(); len(seen) != 1 || seen[0].target != "/a/b" {
		t.Errorf("arrived %v", seen)
	}
}

// TestObserveHTTP2: a space in :path would end the target in the upstream's request line.
func TestObserveHTTP2(t *testing.T) {
	h, upstream := watchtower(t)
	h.switchToHTTP2()
	for _, tt := range []struct {
		path string
		want int
	}{{"/a//b", 200}, {"/a/../b", 200}, {"/a/%252e", 200}} {
		r := h.request("GET", "/", nil)
		r.Host = "gw"
		r.URL.Opaque = tt.path
		wantStatus(t, h.do(r), tt.want)
		if seen := upstream.take(); len(seen) != 1 || seen[0].target != tt.path {
			t.Errorf("%s arrived as %v", tt.path, seen)
		}
	}
	in := new(inspected)
	r := &http.Request{Method: "GET", RequestURI: "/a//b HTTP/1.1", URL: &url.URL{Path: "/a//b HTTP/1.1"}, Host: "gw", ProtoMajor: 2}
	if x := inspect(r, nil, in); x == nil {
		t.Error("a target with a space passes the guard")
	}
}

// TestExplainWithinATenant: a tenant's administrator learns nothing of others.
func TestExplainWithinATenant(t *testing.T) {
	e := startExplained(t)
	var ours, theirs shownText
	for i := range e.shown {
		switch who, _ := e.gateway.directory.(finder).ByID(e.shown[i].id, e.clock.now()); {
		case who == nil:
		case who.Tenant == "acme" && ours.id == "":
			ours = e.shown[i]
		case who.Tenant == "default" && theirs.id == "":
			theirs = e.shown[i]
		}
	}
	ask := func(q keys.Question) (keys.Explanation, error) {
		q.Method, q.Host, q.Tenant, q.Address = "GET", "gw", "acme", netip.MustParseAddr("192.0.2.1")
		if q.Path == "" {
			q.Path = "/limited/"
		}
		return e.gateway.Explain(q)
	}
	for _, q := range []keys.Question{{Key: ours.id}, {Secret: keys.NewSecret(ours.text)}} {
		if got, err := ask(q); err != nil || got.Code != keys.Admitted || got.Credential != ours.id {
			t.Errorf("his own: %+v, %v", got, err)
		}
	}
	if _, err := ask(keys.Question{Key: theirs.id}); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("another's id: %v", err)
	}
	if _, err := ask(keys.Question{Key: "key_000000000000"}); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("nobody's id: %v", err)
	}
	unknown, err := ask(keys.Question{Secret: keys.NewSecret("nonsense")})
	if err != nil || unknown.Code != keys.InvalidCredentials {
		t.Fatalf("nobody's text: %+v, %v", unknown, err)
	}
	for range 10 { // what others did from the address does not show
		e.gateway.failures.Record(netip.MustParseAddr("192.0.2.1"), e.clock.now())
	}
	if got, err := ask(keys.Question{Secret: keys.NewSecret(theirs.text)}); err != nil || fmt.Sprint(got) != fmt.Sprint(unknown) {
		t.Errorf("another's text: %+v, %v; want what nobody's text gets: %+v", got, err, unknown)
	}
	if got, err := ask(keys.Question{Path: "/public/"}); err != nil || got.Code != keys.Admitted || len(got.Limits) != 0 {
		t.Errorf("counted by address: %+v, %v", got, err)
	}
	if got, err := e.gateway.Explain(keys.Question{Secret: keys.NewSecret("nonsense"), Method: "GET", Host: "gw", Path: "/limited/", Address: netip.MustParseAddr("192.0.2.1")}); err != nil || got.Code != keys.TooManyFailures {
		t.Errorf("the provider sees: %+v, %v", got, err)
	}
}

// TestKeyLimits: of the plan and of routes, and asking spends nothing.
func TestKeyLimits(t *testing.T) {
	e := startExplained(t)
	for _, s := range e.shown {
		who, _ := e.gateway.directory.(finder).ByID(s.id, e.clock.now())
		if who == nil || who.PlanName() != "small" || s.kind != keys.APIKey {
			continue
		}
		conn := &keptConn{harness: e.harness}
		wantStatus(t, conn.send("GET /limited/ HTTP/1.1\r\nHost: gw\r\nX-API-Key: "+s.text+"\r\n\r\n"), 200)
		<-e.journal.ended
		for range 3 {
			got, err := e.gateway.Limits(s.id)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, l := range got {
				lines = append(lines, fmt.Sprintf("%s %s %d/%d", l.Name, l.Route, l.Used, l.Limit))
			}
			want := []string{"credential-3s  1/4", "credential-20s  1/12", "route-10s r1 1/4", "route-10s r16 0/3"}
			if !slices.Equal(lines, want) {
				t.Errorf("got %q, want %q", lines, want)
			}
		}
		if e.spends.decided != 1 {
			t.Errorf("the limiter decided %d times, want once", e.spends.decided)
		}
		break
	}
	if _, err := e.gateway.Limits("key_000000000000"); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("nobody's: %v", err)
	}
}
