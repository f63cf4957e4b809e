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
	name           string // without Benchmark
	nanoseconds    float64
	cpuNanoseconds float64 // of the process, where the benchmark reports them
	allocations    float64
	others         map[string]float64 // what else a benchmark reports, by unit
}

// goBench runs benchmarks of a package, each several times, and returns the median run of each.
func (b *bench) goBench(ctx context.Context, pkg, pattern, cpus string) (map[string]result, error) {
	effort := []string{"-count", "5"}
	if !b.judged {
		effort = []string{"-count", "1", "-benchtime", "100x"}
	}
	args := append([]string{"test", "-tags", "realservers", "-run", "^$", "-bench", pattern, "-benchmem", "-cpu", cpus}, effort...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
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
		var ns, cpu, allocs []float64
		for _, r := range all {
			ns, cpu, allocs = append(ns, r.nanoseconds), append(cpu, r.cpuNanoseconds), append(allocs, r.allocations)
		}
		others := map[string]float64{}
		for unit := range all[0].others {
			var values []float64
			for _, r := range all {
				values = append(values, r.others[unit])
			}
			others[unit] = median(values)
		}
		medians[name] = result{name: name, others: others, nanoseconds: median(ns), cpuNanoseconds: median(cpu), allocations: median(allocs)}
	}
	return medians, nil
}

// parseResult reads a line such as "BenchmarkX-2  100  11.5 ns/op  0 B/op  0 allocs/op".
func parseResult(line string) (result, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return result{}, false
	}
	r := result{name: strings.TrimPrefix(fields[0], "Benchmark"), others: map[string]float64{}}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return result{}, false
		}
		switch fields[i+1] {
		case "ns/op":
			r.nanoseconds = value
		case "cpu-ns/op":
			r.cpuNanoseconds = value
		case "allocs/op":
			r.allocations = value
		default:
			r.others[fields[i+1]] = value
		}
	}
	return r, r.nanoseconds > 0
}

// measureDecision times a request from the guard to the limits, with 100,000 keys. CPU is what
// counts: the clock on the wall also counts what else the machine does.
func (b *bench) measureDecision(ctx context.Context) error {
	found, err := b.goBench(ctx, "./gateway", "^BenchmarkDecision$", "1")
	if err != nil {
		return err
	}
	const name = "Decision"
	r, ok := found[name]
	if !ok || r.cpuNanoseconds == 0 {
		return fmt.Errorf("Benchmark%s did not report its cpu-ns/op", name)
	}
	fmt.Println("\nDecision, guard to limits, 100,000 keys")
	b.judge("CPU a decision", r.cpuNanoseconds/1000, "µs", 3)
	b.judge("allocations a decision", r.allocations, "", 2)
	return nil
}

// measureLimiter times the in-process limiter, four limits a decision, on one core and on two. How much two
// cores are worth depends on the machine and on what else it does; so one limiter on two cores is judged by
// two limiters, each on a core of its own.
func (b *bench) measureLimiter(ctx context.Context) error {
	one, err := b.goBench(ctx, "./limiter", "^BenchmarkLocalDecide$", "1")
	if err != nil {
		return err
	}
	two, err := b.goBench(ctx, "./limiter", "^BenchmarkLocalDecide$/parallel$", "2")
	if err != nil {
		return err
	}
	shared, err := b.goBench(ctx, "./limiter", "^BenchmarkLocalScaling$", "2")
	if err != nil {
		return err
	}
	fmt.Println("\nLimiter, in process, four limits a decision")
	for _, c := range []struct {
		name   string
		scales bool // its callers share no counter, so two cores must not wait for each other
	}{
		{"one_key_admitted", false},
		{"one_key_refused", false},
		{"100000_counters_admitted", true},
		{"100000_keys_admitted", true},
		{"100000_keys_refused", true},
	} {
		name := "LocalDecide/" + c.name
		parallel := name + "_parallel"
		single, ok := one[name]
		if !ok {
			return fmt.Errorf("there is no Benchmark%s", name)
		}
		alone, ok := one[parallel]
		if !ok {
			return fmt.Errorf("there is no Benchmark%s", parallel)
		}
		both, ok := two[parallel+"-2"]
		if !ok {
			return fmt.Errorf("there is no Benchmark%s on two cores", parallel)
		}
		what := strings.ReplaceAll(c.name, "_", " ")
		b.judge(what, single.nanoseconds/1000, "µs", 1)
		b.judge(what+", allocations", single.allocations, "", 0)
		tell(what+", time on two cores over one", both.nanoseconds/alone.nanoseconds, "×")
		if !c.scales {
			continue
		}
		scaling, ok := shared["LocalScaling/"+c.name+"-2"]
		if !ok {
			return fmt.Errorf("there is no BenchmarkLocalScaling/%s", c.name)
		}
		b.judge(what+", two cores, over a limiter for each", scaling.others["ratio"], "×", 1.25)
	}
	return nil
}
