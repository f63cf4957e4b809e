// Command bench measures what Postern costs, against yardsticks that it builds itself, and judges
// the figures by the promises. Run it with make bench: the machine is noisy, so everything that
// can be is a ratio of interleaved rounds of one run, and CPU is the processes' own user and
// system time, not the clock on the wall.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && serveRole(os.Args[1]) {
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 30, "interleaved rounds of the proxy comparison")
	flag.IntVar(&o.requests, "requests", 3000, "requests in each round")
	flag.IntVar(&o.connections, "connections", 32, "connections that send them")
	flag.IntVar(&o.keys, "keys", 1_000_000, "keys of the start-up measurement")
	flag.BoolVar(&o.judged, "judge", true, "judge the figures by the promises; without, benchmarks are only touched, to see that all of this still works")
	flag.StringVar(&o.postern, "postern", "", "the program to measure; without, it is built")
	flag.StringVar(&o.only, "only", "", "one of proxy, decision, limiter, redis, keys")
	flag.Parse()
	ok, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if !ok {
		fmt.Println("\nA promise is not kept.")
		os.Exit(1)
	}
	if o.judged {
		fmt.Println("\nAll promises are kept.")
	}
}

type options struct {
	rounds, requests, connections, keys int
	judged                              bool
	postern, only                       string
}

// run measures everything asked for and tells whether all promises are kept.
func run(ctx context.Context, o options) (bool, error) {
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is under the system's folder for temporary files
	b := &bench{options: o, dir: dir}
	if b.postern == "" {
		b.postern = filepath.Join(dir, "postern")
		if err := b.buildPostern(ctx); err != nil {
			return false, err
		}
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"proxy", b.measureProxy},
		{"decision", b.measureDecision},
		{"limiter", b.measureLimiter},
		{"redis", b.measureRedis},
		{"keys", b.measureKeys},
	} {
		if o.only != "" && o.only != part.name {
			continue
		}
		if err := part.measure(ctx); err != nil {
			return false, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return !b.broken, nil
}

// bench is one run.
type bench struct {
	options
	dir    string
	broken bool
}

// judge prints a figure beside its promise.
func (b *bench) judge(what string, figure float64, unit string, promise float64) {
	if !b.judged {
		tell(what, figure, unit)
		return
	}
	verdict := "kept"
	if figure > promise {
		verdict, b.broken = "BROKEN", true
	}
	fmt.Printf("  %-52s %10.2f %-8s promised ≤ %-8.6g %s\n", what, figure, unit, promise, verdict)
}

// tell prints a figure without a promise.
func tell(what string, figure float64, unit string) {
	fmt.Printf("  %-52s %10.2f %s\n", what, figure, unit)
}
