//go:build realservers

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// replayed is one request of the replay, as bytes.
type replayed struct {
	name  string
	raw   string
	route string // where it is counted; "" for main
	would string // code of the would-be refusal, "" for none
	once  bool   // in the first round only: a limit is used up after it
}

// observedLocations are what nginx serves besides files: everything that a proxy could spoil.
const observedLocations = `
    location /say/ { default_type text/plain; return 200 "$request_method $request_uri host=$http_host auth=$http_authorization key=$http_x_api_key cookie=$http_cookie agent=$http_user_agent postern=$http_x_postern_key_id\n"; }
    location /theirs/ { default_type text/plain; return 200 "id=$http_x_request_id trace=$http_traceparent"; }
    location /untyped/ { default_type ""; types { } return 200 "<html>no type</html>"; }
    location /moved { return 301 /say/there?x=1; }
    location /found { return 302 https://elsewhere.example/; }
    location /nothing { return 204; }
    location /teapot { return 418 "short and stout"; }
    location /broken { return 503; }
    location /secret/ { auth_basic "their own"; auth_basic_user_file /dev/null; }
    location /limits/ { default_type text/plain; add_header X-RateLimit-Limit 7; add_header X-Request-Id theirs; add_header RateLimit "theirs"; return 200 "their own limits"; }
    location /cross/ { add_header Access-Control-Allow-Origin "https://theirs.example"; add_header Vary Origin; return 200 "their own CORS"; }
    location /gz/ { alias %[1]s/files/; gzip on; gzip_min_length 1; gzip_types text/plain; add_trailer X-End done; }
    location /echo { proxy_pass %[2]s; proxy_http_version 1.1; proxy_buffering off; }
`

const observedConfig = `
apis: { main: { scopes: { main.read: Read, main.write: Write } } }
plans: { standard: { limits: [100000/h] }, tiny: { limits: [2/h] } }
policy: { default_plan: standard }
routes:
  main: { match: { path: / }, upstream: { targets: ["%[1]s"], host: keep }, api: main, scopes: { GET: [main.read], POST: [main.write] }, max_body: 1KiB, enforce: false }
  elsewhere: { match: { path: /files/far/ }, upstream: { targets: ["%[1]s"], host: keep }, scopes: { "*": [] }, allowed_ips: [192.0.2.0/24], enforce: false }
  open: { match: { path: /say/open/ }, upstream: { targets: ["%[1]s"], host: keep }, public: true, limits: [2/h], enforce: false }
  cross: { match: { path: /cross/ }, upstream: { targets: ["%[1]s"], host: keep }, public: true, cors: { origins: ["https://ours.example"] }, enforce: false }
`

// TestObserveNginx replays a mix of odd and ordinary requests to nginx alone and to nginx behind a
// gateway that observes. Every answer is the same but for Date, what belongs to the connection, and
// what we add; and the would-be refusals are counted exactly.
func TestObserveNginx(t *testing.T) {
	dir := t.TempDir()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d %q %v %s", r.Method, r.RequestURI, len(body), body[:min(len(body), 40)], err, r.Header.Get("Content-Type"))
	}))
	defer echo.Close()
	nginx := startNginx(t, dir, fmt.Sprintf(observedLocations, dir, echo.URL))
	writeReplayFiles(t, filepath.Join(dir, "files"))
	r := startProgram(t, fmt.Sprintf(observedConfig, nginx))
	shown := map[string]string{
		"KEY":    r.generate(`{"kind":"api_key","name":"k","apis":["main"]}`).Secret,
		"READER": r.generate(`{"kind":"api_key","name":"reader","scopes":["main.read"]}`).Secret,
		"TINY":   r.generate(`{"kind":"api_key","name":"tiny","apis":["main"],"plan":"tiny"}`).Secret,
	}
	gone := r.generate(`{"kind":"api_key","name":"gone","apis":["main"]}`)
	if status, text := r.api(http.MethodPost, "/v1/keys/"+gone.ID+"/revoke", ""); status != http.StatusOK {
		t.Fatalf("revoke: %d %s", status, text)
	}
	shown["GONE"] = gone.Secret

	want := map[string]int{}
	direct, through := newReplayer(t, nginx), newReplayer(t, r.gateway)
	all := replay()
	if len(all) < 200 {
		t.Errorf("the replay has %d requests, want at least 200", len(all))
	}
	for _, kept := range []bool{false, true} { // each on its own connection, then one after the other
		direct.keep, through.keep = kept, kept
		for _, one := range all {
			raw := one.raw
			for name, text := range shown {
				raw = strings.ReplaceAll(raw, name, text)
			}
			if kept && one.once {
				continue
			}
			a, b := direct.send(one.name, raw), through.send(one.name, raw)
			compareAnswers(t, one.name, a, b)
			if one.would != "" {
				route := one.route
				if route == "" {
					route = "main"
				}
				want[`postern_would_refuse_total{code="`+one.would+`",route="`+route+`"}`]++
			}
		}
	}
	t.Logf("%d requests, twice; would-be refusals: %v", len(all), want)
	got := map[string]int{}
	counted := regexp.MustCompile(`(?m)^(postern_would_refuse_total\{.*\}) (\d+)$`)
	awaitEnd(t, r)
	_, text := r.api(http.MethodGet, "/metrics", "")
	for _, m := range counted.FindAllStringSubmatch(text, -1) {
		n := 0
		fmt.Sscan(m[2], &n)
		got[m[1]] = n
	}
	if !maps.Equal(got, want) {
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got[name] != want[name] {
				t.Errorf("%s is %d, want %d", name, got[name], want[name])
			}
		}
		for name := range got {
			if want[name] == 0 {
				t.Errorf("%s is %d, want none", name, got[name])
			}
		}
	}
	for _, secret := range shown {
		if strings.Contains(r.log.String(), secret) {
			t.Error("a key is in the log")
		}
	}
}

// awaitEnd returns when nothing is in flight: a request is counted after its answer was sent.
func awaitEnd(t *testing.T, r *running) {
	t.Helper()
	inFlight := regexp.MustCompile(`(?m)^postern_request_duration_seconds_count (\d+)$`)
	last := ""
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(100 * time.Millisecond); time.Now().Before(deadline); <-tick.C {
		_, text := r.api(http.MethodGet, "/metrics", "")
		m := inFlight.FindStringSubmatch(text)
		if m != nil && m[1] == last {
			return
		}
		if m != nil {
			last = m[1]
		}
	}
	t.Fatal("requests are still counted after 10 s")
}

func writeReplayFiles(t *testing.T, dir string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "sub"), 0o755), os.MkdirAll(filepath.Join(dir, "far"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a.txt": strings.Repeat("0123456789", 100), "empty.txt": "", "b.html": "<p>b</p>", "sub/index.html": "<p>sub</p>", "far/index.html": "<p>far</p>",
		"with space.txt": "space", "caf\u00e9.txt": "coffee", "a%2fb.txt": "percent", "plus+.txt": "plus",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		then := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
}

// replayer sends raw requests to one server.
type replayer struct {
	t       *testing.T
	address string
	keep    bool // one connection as long as it lasts
	conn    net.Conn
	r       *bufio.Reader
}

func newReplayer(t *testing.T, url string) *replayer {
	return &replayer{t: t, address: strings.TrimPrefix(url, "http://")}
}

// answered is an answer as far as it must not change.
type answered struct {
	status  int
	header  http.Header
	trailer http.Header
	chunked bool
	length  int64
	body    string
}

func (p *replayer) send(name, raw string) answered {
	p.t.Helper()
	if p.conn != nil && !p.keep {
		p.hangUp()
	}
	reused := p.conn != nil
	if p.conn == nil {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			p.t.Fatal(err)
		}
		p.conn, p.r = conn, bufio.NewReader(conn)
	}
	_ = p.conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, err := io.WriteString(p.conn, raw)
	if err == nil {
		_, err = p.r.Peek(1)
	}
	if err != nil && reused { // servers may close a kept connection at any time
		p.hangUp()
		return p.send(name, raw)
	}
	if err != nil {
		p.t.Fatalf("%s: %s: %v", name, p.address, err)
	}
	method, _, _ := strings.Cut(raw, " ")
	for {
		res, err := http.ReadResponse(p.r, &http.Request{Method: method})
		if err != nil {
			p.t.Fatalf("%s: read answer from %s: %v", name, p.address, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			p.t.Fatalf("%s: read body from %s: %v", name, p.address, err)
		}
		if res.StatusCode == http.StatusContinue {
			continue
		}
		a := answered{status: res.StatusCode, header: res.Header, trailer: res.Trailer, chunked: len(res.TransferEncoding) > 0,
			length: res.ContentLength, body: string(body)}
		if res.Close || !p.keep {
			p.hangUp()
		}
		return a
	}
}

func (p *replayer) hangUp() {
	p.conn.Close()
	p.conn = nil
}

// compareAnswers leaves aside Date, what belongs to the connection, and the headers that we add.
func compareAnswers(t *testing.T, name string, alone, behind answered) {
	t.Helper()
	for _, h := range []http.Header{alone.header, behind.header} {
		h.Del("Date")
		h.Del("Connection")
		h.Del("Keep-Alive")
	}
	for _, added := range []string{"X-Request-Id", "Ratelimit", "Ratelimit-Policy", "X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"} {
		if alone.header[added] == nil {
			behind.header.Del(added)
		}
	}
	if alone.status != behind.status || alone.body != behind.body {
		t.Errorf("%s: nginx alone answers %d %q, behind the gateway %d %q", name, alone.status, alone.body, behind.status, behind.body)
	}
	if !maps.EqualFunc(alone.header, behind.header, slices.Equal) || !maps.EqualFunc(alone.trailer, behind.trailer, slices.Equal) {
		t.Errorf("%s: nginx alone sends %v %v, behind the gateway %v %v", name, alone.header, alone.trailer, behind.header, behind.trailer)
	}
	if alone.chunked != behind.chunked || alone.length != behind.length {
		t.Errorf("%s: nginx alone sends chunks: %v, length %d; behind the gateway %v, %d", name, alone.chunked, alone.length, behind.chunked, behind.length)
	}
}
