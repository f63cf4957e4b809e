package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newHealth needs no token: the probes are open, so that it also serves as a container's health
// check.
func newHealth(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Ask a running gateway whether it can serve traffic",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := healthAddress(g)
			if err != nil {
				return err
			}
			ready, err := fetchReadiness(cmd.Context(), g, address)
			if err != nil {
				return err
			}
			if g.output == "json" {
				if err := writeJSON(g.out, ready); err != nil {
					return err
				}
			} else {
				fmt.Fprintln(g.out, ready.Status)
				for _, d := range ready.Degraded {
					fmt.Fprintf(g.out, "  degraded: %s\n", d)
				}
			}
			if ready.Status != "ready" {
				return &failure{code: exitFailed, err: errors.New("not ready: " + ready.Reason)}
			}
			return nil
		},
	}
}

// readiness is the answer of /readyz.
type readiness struct {
	Status   string   `json:"status"`
	Reason   string   `json:"reason,omitempty"`
	Degraded []string `json:"degraded,omitempty"`
}

func healthAddress(g *globals) (string, error) {
	if g.adminURL != "" {
		return g.adminURL, nil
	}
	if address := lookupEnv(g.env, "POSTERN_ADMIN_URL"); address != "" {
		return address, nil
	}
	here, err := findRunning(g)
	if err != nil {
		return "", &failure{
			code: exitUsage, err: fmt.Errorf("no server named, and no configuration to find it by: %w", err),
			next: "Run this beside gateway.yaml, or give --admin-url.",
		}
	}
	switch {
	case here.adminURL != "":
		return here.adminURL, nil
	case here.cfg.Listen.Probes != "":
		return localURL(string(here.cfg.Listen.Probes), false), nil
	}
	return "", usageError("%s has neither listen.admin nor listen.probes, so nobody can be asked", g.config)
}

func fetchReadiness(ctx context.Context, g *globals, address string) (readiness, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" {
		return readiness{}, usageError("%q is not an http or https URL", address)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("/readyz").String(), nil)
	if err != nil {
		return readiness{}, fmt.Errorf("make request: %w", err)
	}
	caller, err := g.httpClient(0)
	if err != nil {
		return readiness{}, err
	}
	resp, err := caller.Do(req)
	if err != nil {
		return readiness{}, &failure{code: exitUnreachable, err: fmt.Errorf("no answer from %s: %w", address, err),
			next: "Is the gateway running? Start it with `postern run`."}
	}
	defer resp.Body.Close()
	var r readiness
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return readiness{}, fmt.Errorf("read the answer of %s: %w", address, err)
	}
	if err := json.Unmarshal(text, &r); err != nil || strings.TrimSpace(r.Status) == "" {
		return readiness{}, fmt.Errorf("%s answered %d, not what a gateway's /readyz says", address, resp.StatusCode)
	}
	return r, nil
}
