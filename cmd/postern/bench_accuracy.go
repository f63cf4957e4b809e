package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"postern/limiter"
)

func newBench(g *globals) *cobra.Command {
	return group("bench", "Measure what Postern promises, on this machine", newBenchAccuracy(g))
}

func newBenchAccuracy(g *globals) *cobra.Command {
	var short bool
	var redis string
	c := &cobra.Command{
		Use:   "accuracy",
		Short: "Show how exact the limits are: admitted calls against allowed ones",
		Long: `Asks the limiters of 1, 3 and 5 gateways for twice what a limit allows, and prints how much they
admitted of it, how many windows held more than the limit and how many calls were refused wrongly, both
proven by the times that the callers saw. It fails where that is not as promised.

The backend local counts in each gateway for itself, so several admit the limit several times: that is
its bound. The backend redis needs a Redis 7: the one of --redis, or else a redis-server of its own, on a
free port, if there is one to start. Counters are new ones and expire by themselves.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return benchAccuracy(cmd.Context(), g, redis, short)
		},
	}
	c.Flags().BoolVar(&short, "short", false, "a few seconds instead of a few minutes")
	c.Flags().StringVar(&redis, "redis", "", "env:NAME of the variable that holds redis://…")
	return c
}

// accuracyWork is one row of what is measured.
type accuracyWork struct {
	backend  string
	gateways int
	spread   spread
	limit    string
	windows  int
}

// accuracyWorks are the rows of the long and of the short form.
func accuracyWorks(short bool) []accuracyWork {
	limits, windows := []string{"2/s", "100/s", "2000/s", "20000/s"}, 10
	if short {
		limits, windows = []string{"2/s", "2000/s"}, 2
	}
	var works []accuracyWork
	for _, gateways := range []int{1, 3, 5} {
		works = append(works, accuracyWork{"local", gateways, spreads[0], "100/s", windows})
		for _, limit := range limits {
			works = append(works, accuracyWork{"redis", gateways, spreads[0], limit, windows})
		}
	}
	for _, s := range spreads[1:] {
		works = append(works, accuracyWork{"redis", 3, s, "2000/s", windows})
	}
	return works
}

func benchAccuracy(ctx context.Context, g *globals, ref string, short bool) error {
	open, done, err := openRedisForBench(ctx, g, ref)
	if err != nil {
		return err
	}
	defer done()
	var results []siegeResult
	broken := 0
	for _, w := range accuracyWorks(short) {
		r, err := w.run(ctx, open)
		if err != nil {
			return err
		}
		if !r.kept() {
			broken++
		}
		results = append(results, r)
		if g.terminal {
			fmt.Fprintf(g.err, "\r%d of %d measured", len(results), len(accuracyWorks(short)))
		}
	}
	if g.terminal {
		fmt.Fprintln(g.err)
	}
	if err := printAccuracy(g, results); err != nil {
		return err
	}
	if broken > 0 {
		return &failure{code: exitFailed, err: fmt.Errorf("%d of %d rows are not as promised", broken, len(results)),
			next: "A ratio is promised from 0.98 to 1.02, and no window over the limit and no wrong refusal at all. What failed had no answer within the limiter's budget; on a busy machine, run it again."}
	}
	return nil
}

// run makes the limiters of a row and lays siege to them.
func (w accuracyWork) run(ctx context.Context, open func(node string) (limiter.Limiter, error)) (_ siegeResult, err error) {
	limit, err := limiter.ParseLimit(w.limit)
	if err != nil {
		return siegeResult{}, err
	}
	s := siege{backend: w.backend, spread: w.spread, limit: limit, windows: w.windows}
	for i := range w.gateways {
		var l limiter.Limiter = limiter.NewLocal(limiter.LocalOptions{})
		if w.backend == "redis" {
			if l, err = open("bench-" + strconv.Itoa(i)); err != nil {
				return siegeResult{}, err
			}
		}
		if c, ok := l.(io.Closer); ok {
			defer func() { err = errors.Join(err, c.Close()) }()
		}
		s.limiters = append(s.limiters, l)
	}
	return s.lay(ctx)
}

func printAccuracy(g *globals, results []siegeResult) error {
	if g.output == "json" {
		return writeJSON(g.out, results)
	}
	var rows [][]string
	for _, r := range results {
		verdict := "kept"
		if !r.kept() {
			verdict = "BROKEN"
		}
		rows = append(rows, []string{r.Backend, strconv.Itoa(r.Gateways), r.Spread, r.Limit, strconv.Itoa(r.Offered),
			strconv.Itoa(r.Admitted), strconv.Itoa(r.Allowed), strconv.FormatFloat(r.Ratio, 'f', 3, 64),
			strconv.Itoa(r.Over), strconv.Itoa(r.Wrong), strconv.Itoa(r.Failed), verdict})
	}
	return writeTable(g.out, []string{"BACKEND", "GATEWAYS", "SPREAD", "LIMIT", "OFFERED", "ADMITTED", "ALLOWED", "RATIO", "OVER", "WRONG", "FAILED", ""}, rows)
}
