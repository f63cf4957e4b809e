package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// benchConfig admits everything that the load sends, with two limits to decide for each request.
const benchConfig = `version: 1
limiter: %s
listen: { gateway: "%s", admin: "%s" }
drain: { delay: 0s, timeout: 2s }
apis: { main: { scopes: { main.read: Read } } }
plans: { standard: { limits: [1000000/s, 100000000/day] } }
policy: { default_plan: standard }
routes:
  main: { match: { path: / }, upstream: { targets: ["%s"] }, api: main, scopes: { GET: [main.read] } }
`

func (b *bench) buildPostern(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.postern, "./cmd/postern")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

const localLimits = "{ backend: local }"

// gatewayUnderTest is a running postern and a key that it admits.
type gatewayUnderTest struct {
	*process
	url, admin, key string
}

// startGateway makes an installation in dir and runs it.
func (b *bench) startGateway(ctx context.Context, dir, upstream, limits string) (*gatewayUnderTest, error) {
	g := &gatewayUnderTest{}
	var addresses [2]string
	for i := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addresses[i] = l.Addr().String()
		l.Close()
	}
	g.url, g.admin = "http://"+addresses[0], "http://"+addresses[1]
	config := fmt.Sprintf(benchConfig, limits, addresses[0], addresses[1], upstream)
	if err := os.WriteFile(filepath.Join(dir, "gateway.yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	if out, err := b.command(ctx, dir, "init"); err != nil {
		return nil, fmt.Errorf("init: %w: %s", err, out)
	}
	return g, nil
}

// run starts the gateway and returns when it is ready, with how long that took. Settings are
// variables for its environment, such as GOGC=10.
func (b *bench) run(ctx context.Context, dir string, g *gatewayUnderTest, settings ...string) (took time.Duration, err error) {
	started := time.Now()
	if g.process, err = start(ctx, dir, "env", append(settings, b.postern, "run")...); err != nil {
		return 0, err
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		resp, err := http.Get(g.admin + "/readyz")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return time.Since(started), nil
		}
	}
	g.stop()
	return 0, errors.New("the gateway was never ready")
}

func (b *bench) command(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, b.postern, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// comparison is a way to run the gateway, and what is promised of it.
type comparison struct {
	title       string
	limits      string // its section of the configuration
	ratio       float64
	allocations float64 // 0: not measured
	pace        int     // requests a second; 0: as fast as they are answered
	rounds      int     // 0: as many as asked for
	keys        int     // that the gateway holds besides
	shared      bool    // limits are counted in Redis: a lost one would make the gateway look fast
	// aside measures what else a request costs; nil: nothing.
	aside func(ctx context.Context, g *gatewayUnderTest, requests int) error
}

// measureProxy compares the whole gateway with a bare proxy, in front of the same upstream.
func (b *bench) measureProxy(ctx context.Context) error {
	return b.compare(ctx, comparison{title: "Whole gateway", limits: localLimits, ratio: 1.10, allocations: 85})
}

func (b *bench) compare(ctx context.Context, c comparison) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	upstream, err := start(ctx, b.dir, self, "upstream")
	if err != nil {
		return err
	}
	defer upstream.stop()
	upstreamURL, err := upstream.line()
	if err != nil {
		return err
	}
	bare, err := start(ctx, b.dir, self, "bare="+upstreamURL)
	if err != nil {
		return err
	}
	defer bare.stop()
	bareURL, err := bare.line()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(b.dir, "proxy-")
	if err != nil {
		return err
	}
	g, err := b.startGateway(ctx, dir, upstreamURL, c.limits)
	if err != nil {
		return err
	}
	if c.keys > 0 {
		if err := seed(ctx, dir, c.keys); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	if _, err := b.run(ctx, dir, g); err != nil {
		return err
	}
	defer g.stop()
	if g.key, err = b.command(ctx, dir, "keys", "create", "--name", "bench", "--api", "main"); err != nil {
		return fmt.Errorf("keys create: %w", err)
	}

	r, err := b.measureRounds(ctx, c, bare, bareURL, g)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s, %d rounds of %d requests over %d connections\n", c.title, len(r.ratios), b.requests, b.connections)
	tell("bare reverse proxy, CPU a request", median(r.bare), "µs")
	tell("gateway, CPU a request", median(r.gateway), "µs")
	b.judge("gateway's CPU over the bare proxy's (median of pairs)", median(r.ratios), "×", c.ratio)
	tell("  lowest pair", slices.Min(r.ratios), "×")
	tell("  highest pair", slices.Max(r.ratios), "×")
	if c.shared {
		b.judge("requests that Redis did not decide in time", 100*float64(r.astray)/float64(r.requests), "%", 1)
	}
	if c.aside != nil {
		if err := c.aside(ctx, g, r.requests); err != nil {
			return err
		}
	}
	if c.allocations == 0 {
		return nil
	}
	return b.measureAllocations(ctx, bareURL, g, c.allocations)
}

// rounds are what the rounds of a comparison showed.
type rounds struct {
	ratios, bare, gateway []float64 // by pair; CPU of a request in µs
	requests              int       // to the gateway, the first rounds included
	astray                int       // of them, decided without the limiter that is measured
}

// measureRounds sends requests to the bare proxy and to the gateway by turns.
func (b *bench) measureRounds(ctx context.Context, c comparison, bare *process, bareURL string, g *gatewayUnderTest) (rounds, error) {
	var r rounds
	round := func(p *process, url string) (time.Duration, error) {
		before, err := p.cpu()
		if err != nil {
			return 0, err
		}
		astray, err := load(ctx, url+"/orders/", g.key, b.requests, b.connections, c.pace)
		if err != nil {
			return 0, err
		}
		r.astray += astray
		after, err := p.cpu()
		return after - before, err
	}
	const warmUp = 2 // rounds: connections, pools, caches
	for i := range warmUp + cmp.Or(c.rounds, b.rounds) {
		var bareCPU, ourCPU time.Duration
		pair := []func() error{
			func() (err error) { bareCPU, err = round(bare, bareURL); return err },
			func() (err error) { ourCPU, err = round(g.process, g.url); return err },
		}
		if i%2 == 1 { // what the machine does besides must not always meet the same one
			slices.Reverse(pair)
		}
		for _, measure := range pair {
			if err := measure(); err != nil {
				return r, err
			}
		}
		r.requests += b.requests
		if i < warmUp {
			continue
		}
		if bareCPU <= 0 || ourCPU <= 0 {
			return r, errors.New("a round used no CPU time: the kernel keeps no schedstat, or the rounds are too short")
		}
		r.ratios = append(r.ratios, float64(ourCPU)/float64(bareCPU))
		r.bare = append(r.bare, float64(bareCPU.Microseconds())/float64(b.requests))
		r.gateway = append(r.gateway, float64(ourCPU.Microseconds())/float64(b.requests))
	}
	return r, nil
}

// measureAllocations counts what one request allocates in each process.
func (b *bench) measureAllocations(ctx context.Context, bareURL string, g *gatewayUnderTest, promise float64) error {
	requests := b.requests
	if b.judged {
		requests = max(requests, 20_000) // the scrape itself allocates too
	}
	perRequest := func(url string, mallocs func(context.Context) (float64, error)) (float64, error) {
		before, err := mallocs(ctx)
		if err != nil {
			return 0, err
		}
		if _, err := load(ctx, url+"/orders/", g.key, requests, b.connections, 0); err != nil {
			return 0, err
		}
		after, err := mallocs(ctx)
		return (after - before) / float64(requests), err
	}
	bareCount, err := perRequest(bareURL, func(ctx context.Context) (float64, error) {
		text, err := get(ctx, bareURL+mallocsPath)
		if err != nil {
			return 0, err
		}
		return strconv.ParseFloat(text, 64)
	})
	if err != nil {
		return err
	}
	ours, err := perRequest(g.url, func(ctx context.Context) (float64, error) {
		return metric(ctx, g.admin, "go_memstats_mallocs_total")
	})
	if err != nil {
		return err
	}
	tell("bare reverse proxy, allocations a request", bareCount, "")
	b.judge("gateway, allocations a request", ours, "", promise)
	return nil
}

// metric reads one unlabelled value from /metrics.
func metric(ctx context.Context, base, name string) (float64, error) {
	text, err := get(ctx, base+"/metrics")
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", base, name)
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
