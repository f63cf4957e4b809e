//go:build realservers

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/judge"
	"postern/internal/pgserver"
)

// fleetSite is three gateways that share a PostgreSQL and a Redis, each through links of its own that
// tests may trouble: redis1, postgres1 and so on.
type fleetSite struct {
	t        *testing.T
	dir      string
	toxics   *toxics
	postgres *pgserver.Server
	database string // on it
	redis    *redisServer
	nodes    []*fleetNode
	token    string       // of an operator
	client   *http.Client // of the gateways
	admin    *http.Client // of the admin API, which may be told to wait a minute
}

// fleetNode is one of the gateways.
type fleetNode struct {
	*site
	name    string
	program string // that start runs
	env     []string
}

// redisServer is a redis-server of the test's own.
type redisServer struct {
	t       *testing.T
	address string
	cmd     *exec.Cmd
}

func startRedisServer(t *testing.T) *redisServer {
	t.Helper()
	r := &redisServer{t: t, address: freeAddress(t)}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *redisServer) start() {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(r.address)
	r.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", r.t.TempDir())
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.await()
}

func (r *redisServer) await() {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", r.address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("redis-server does not listen on %s: %v", r.address, err)
		}
	}
}

func (r *redisServer) kill() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

// flush empties it.
func (r *redisServer) flush() {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 5)
	if _, err := fmt.Fprint(conn, "FLUSHALL\r\n"); err != nil {
		r.t.Fatal(err)
	}
	if _, err := conn.Read(answer); err != nil || string(answer) != "+OK\r\n" {
		r.t.Fatalf("FLUSHALL: %q, %v", answer, err)
	}
}

// newFleetSite starts all of it. limits are those of the plan that keys have, or unlimited; more are
// further lines of the configuration.
func newFleetSite(t *testing.T, limits string, more ...string) *fleetSite {
	t.Helper()
	f := &fleetSite{t: t, dir: t.TempDir(), toxics: startToxics(t), postgres: newPostgres(t), redis: startRedisServer(t),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: 30 * time.Second},
		admin:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 90 * time.Second}}
	t.Cleanup(f.client.CloseIdleConnections)
	t.Cleanup(f.admin.CloseIdleConnections)
	upstream := httptest.NewServer(http.HandlerFunc(answerOrStream))
	t.Cleanup(upstream.Close)
	if limits != "unlimited" {
		limits = "[" + limits + "]"
	}
	text := fmt.Sprintf(`version: 1
store: env:DATABASE_URL
limiter: { backend: env:REDIS_URL }
drain: { delay: 300ms }
apis: { main: { title: Main, scopes: { main.read: Read } } }
plans: { standard: { limits: %s } }
policy: { default_plan: standard }
routes: { main: { match: { path: / }, upstream: { targets: [%q] }, api: main, scopes: { GET: [main.read] }, websocket: true } }
`, limits, upstream.URL) + strings.Join(more, "\n")
	if err := writeNew(filepath.Join(f.dir, "gateway.yaml"), []byte(text)); err != nil {
		t.Fatal(err)
	}
	database, err := f.postgres.Database("")
	if err != nil {
		t.Fatal(err)
	}
	f.database = database
	address := f.postgres.Address(database)
	server := net.JoinHostPort("127.0.0.1", strconv.Itoa(f.postgres.Port))
	for i := range 3 {
		name := fmt.Sprint("node", i+1)
		n := &fleetNode{name: name, program: "postern", site: &site{t: t, dir: f.dir, gateway: freeAddress(t), admin: freeAddress(t), log: &logBuffer{}}}
		n.env = append(os.Environ(),
			"DATABASE_URL="+strings.Replace(address, server, f.toxics.link(fmt.Sprint("postgres", i+1), server), 1),
			"REDIS_URL=redis://"+f.toxics.link(fmt.Sprint("redis", i+1), f.redis.address),
			"POSTERN_NODE__ID="+name, "POSTERN_DATA_DIR="+filepath.Join(f.dir, name),
			"POSTERN_LISTEN__GATEWAY="+n.gateway, "POSTERN_LISTEN__ADMIN="+n.admin)
		f.nodes = append(f.nodes, n)
		t.Cleanup(func() {
			if n.process != nil {
				n.kill()
			}
			if t.Failed() {
				t.Logf("%s said:", n.name)
				for line := range strings.Lines(n.log.String()) {
					if !strings.Contains(line, `"msg":"request"`) {
						t.Log(strings.TrimSpace(line))
					}
				}
			}
		})
	}
	f.nodes[0].must("init")
	f.token = f.nodes[0].must("tokens", "create", "--role", "operator", "--name", "test")
	for _, n := range f.nodes {
		n.start()
	}
	for _, n := range f.nodes {
		f.await("shares on "+n.name, 30*time.Second, func() bool { return f.metric(n, "postern_limiter_sharing_gateways") == "3" })
	}
	return f
}

func (n *fleetNode) must(args ...string) string {
	n.t.Helper()
	out, messages, err := n.try(args...)
	if err != nil {
		n.t.Fatalf("postern %s: %v\n%s", strings.Join(args, " "), err, messages)
	}
	return out
}

func (n *fleetNode) try(args ...string) (stdout, stderr string, err error) {
	var out, messages strings.Builder
	c := exec.Command("postern", args...)
	c.Dir, c.Env, c.Stdout, c.Stderr = n.dir, n.env, &out, &messages
	err = c.Run()
	return strings.TrimSpace(out.String()), messages.String(), err
}

// start runs the gateway and returns when it is ready.
func (n *fleetNode) start() {
	n.t.Helper()
	n.process = exec.Command(n.program, "run")
	n.process.Dir, n.process.Env, n.process.Stderr = n.dir, n.env, n.log
	if err := n.process.Start(); err != nil {
		n.t.Fatal(err)
	}
	waitUntilReady(n.t, "http://"+n.admin, n.log)
}

// metric reads one without labels.
func (f *fleetSite) metric(n *fleetNode, name string) string {
	f.t.Helper()
	resp, err := f.client.Get("http://" + n.admin + "/metrics")
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if found := regexp.MustCompile("(?m)^" + name + " (.*)$").FindSubmatch(text); found != nil {
		return string(found[1])
	}
	return ""
}

// await returns when something holds.
func (f *fleetSite) await(what string, most time.Duration, holds func() bool) time.Duration {
	f.t.Helper()
	begun := time.Now()
	for !holds() {
		if time.Since(begun) > most {
			f.t.Fatalf("waited %v for %s", most, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}

// key makes a key, which works everywhere when it returns.
func (f *fleetSite) key(name string) (text, id string) {
	f.t.Helper()
	f.nodes[0].env = append(f.nodes[0].env, "POSTERN_ADMIN_TOKEN="+f.token, "POSTERN_ADMIN_URL=http://"+f.nodes[0].admin)
	text = f.nodes[0].must("keys", "create", "--name", name, "--api", "main")
	for _, n := range f.nodes {
		f.await("the key on "+n.name, 10*time.Second, func() bool { return f.get(n, "not spent", text) != http.StatusUnauthorized })
	}
	return text, "key_" + strings.Split(text, "_")[2]
}

// get calls a gateway: with a method that the route does not take where nothing shall be spent.
func (f *fleetSite) get(n *fleetNode, why, key string) int {
	method := http.MethodGet
	if why == "not spent" {
		method = http.MethodDelete
	}
	resp, err := f.call(n, method, key)
	if err != nil {
		return 0
	}
	return resp.StatusCode
}

func (f *fleetSite) call(n *fleetNode, method, key string) (*http.Response, error) {
	req, err := http.NewRequest(method, "http://"+n.gateway+"/", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", key)
	resp, err := f.client.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

// seen is what the callers of a siege saw.
type seen struct {
	store, share []judge.Call // decided by Redis, and by a gateway's share
	statuses     map[int]int
}

// siegeOf has callers ask gateways by turns until ctx ends.
func (f *fleetSite) siegeOf(ctx context.Context, key string, callers int, pause time.Duration, nodes ...*fleetNode) seen {
	var mu sync.Mutex
	s := seen{statuses: map[int]int{}}
	var wg sync.WaitGroup
	start := time.Now()
	for c := range callers {
		wg.Go(func() {
			for i := c; ctx.Err() == nil; i++ {
				call := judge.Call{Called: time.Since(start)}
				resp, err := f.call(nodes[i%len(nodes)], http.MethodGet, key)
				call.Returned = time.Since(start)
				status := 0
				if err == nil {
					status = resp.StatusCode
				}
				call.Admitted = status == http.StatusOK
				mu.Lock()
				s.statuses[status]++
				switch {
				case status != http.StatusOK && status != http.StatusTooManyRequests:
				case resp.Header.Get("X-Postern-Limited-By") == "share":
					s.share = append(s.share, call)
				default:
					s.store = append(s.store, call)
				}
				mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	wg.Wait()
	return s
}

// dayUsed is what a key's day stands at, by the API.
func (f *fleetSite) dayUsed(n *fleetNode, id string) int {
	f.t.Helper()
	return f.used(n, id, "-day")
}

// windowEmpty returns when nothing that Redis admitted of a key is in its window of a second any more, and
// so nothing that was admitted before that, by whomever.
func (f *fleetSite) windowEmpty(id string) {
	f.t.Helper()
	f.await("an empty window", 10*time.Second, func() bool { return f.used(f.nodes[0], id, "-s") == 0 })
}

// used is what a key's limit with such a name stands at, by the API.
func (f *fleetSite) used(n *fleetNode, id, suffix string) int {
	f.t.Helper()
	var answer struct {
		Limits []struct {
			Name string `json:"name"`
			Used int    `json:"used"`
		} `json:"limits"`
	}
	r := &running{t: f.t, admin: "http://" + n.admin, token: f.token}
	status, text := r.api(http.MethodGet, "/v1/keys/"+id+"/limits", "")
	if err := json.Unmarshal([]byte(text), &answer); status != http.StatusOK || err != nil {
		f.t.Fatalf("limits of %s: %d %s", id, status, text)
	}
	for _, l := range answer.Limits {
		if strings.HasSuffix(l.Name, suffix) {
			return l.Used
		}
	}
	f.t.Fatalf("no %s among the limits of %s: %+v", suffix, id, answer)
	return 0
}

// figure reads what a metric says.
func figure(t *testing.T, text string) int {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("no number: %q", text)
	}
	return int(v)
}
