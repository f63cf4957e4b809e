package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// result is one line of `go test -bench`.
type result struct {
	name        string
	nanoseconds float64
	allocations float64
}

// goBench runs benchmarks of a package, each several times, and returns the median run of each.
func goBench(ctx context.Context, pkg, pattern, cpus string) (map[string]result, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchmem", "-count", "5", "-cpu", cpus, pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w\n%s", pattern, pkg, err, out)
	}
	runs := map[string][]result{}
	for line := range strings.Lines(string(out)) {
		if r, ok := parseResult(line); ok {
			runs[r.name] = append(runs[r.name], r)
		}
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("%s has no benchmark that matches %s", pkg, pattern)
	}
	medians := make(map[string]result, len(runs))
	for name, all := range runs {
		var ns, allocs []float64
		for _, r := range all {
			ns, allocs = append(ns, r.nanoseconds), append(allocs, r.allocations)
		}
		medians[name] = result{name: name, nanoseconds: median(ns), allocations: median(allocs)}
	}
	return medians, nil
}

// parseResult reads a line such as "BenchmarkX-2  100  11.5 ns/op  0 B/op  0 allocs/op".
func parseResult(line string) (result, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return result{}, false
	}
	r := result{name: strings.TrimPrefix(fields[0], "Benchmark")}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return result{}, false
		}
		switch fields[i+1] {
		case "ns/op":
			r.nanoseconds = value
		case "allocs/op":
			r.allocations = value
		}
	}
	return r, r.nanoseconds > 0
}

// measureDecision times a request from the guard to the limits, with 100,000 keys.
func (b *bench) measureDecision(ctx context.Context) error {
	found, err := goBench(ctx, "./gateway", "^BenchmarkDecision$", "1")
	if err != nil {
		return err
	}
	fmt.Println("\nDecision, guard to limits, 100,000 keys")
	for _, r := range found {
		b.judge(r.name, r.nanoseconds/1000, "µs", 3)
		b.judge(r.name+", allocations", r.allocations, "", 2)
	}
	return nil
}

// measureLimiter times the in-process limiter, on one core and on two.
func (b *bench) measureLimiter(ctx context.Context) error {
	one, err := goBench(ctx, "./limiter", "^BenchmarkLocal", "1")
	if err != nil {
		return err
	}
	two, err := goBench(ctx, "./limiter", "^BenchmarkLocal.*Parallel", "2")
	if err != nil {
		return err
	}
	fmt.Println("\nLimiter, in process")
	for name, r := range one {
		b.judge(name, r.nanoseconds/1000, "µs", 1)
		b.judge(name+", allocations", r.allocations, "", 0)
	}
	for name, r := range two {
		if single, ok := one[strings.TrimSuffix(name, "-2")]; ok {
			b.judge(name+", time a decision, two cores over one", r.nanoseconds/single.nanoseconds, "×", 0.75)
		}
	}
	return nil
}
