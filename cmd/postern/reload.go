package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
)

func newReload(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have a running gateway read its configuration again",
		Long: `Have a running gateway read its configuration again. With a problem anywhere in it the old one stays in
force, every problem is printed, and the exit code is 3. Settings that are read at the start only are
named. With store: none the gateway of this machine is told by SIGHUP.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.adminURL == "" && lookupEnv(g.env, "POSTERN_ADMIN_URL") == "" {
				var problems *config.Problems
				switch here, err := findLocal(g); {
				case errors.As(err, &problems):
					return err // as the gateway would answer
				case err == nil && here.cfg.Store.None():
					return reloadBySignal(cmd, g, here.cfg)
				}
			}
			client, err := newClient(g)
			if err != nil {
				return err
			}
			var done reloaded
			if err := client.do(cmd.Context(), http.MethodPost, "/v1/config/reload", nil, nil, &done); err != nil {
				return badConfiguration(err)
			}
			return done.print(g)
		},
	}
}

// reloaded is the answer to a reload.
type reloaded struct {
	LoadedAt      time.Time `json:"loaded_at"`
	Changed       []string  `json:"changed"`
	RestartNeeded []string  `json:"restart_needed"`
	Warnings      []string  `json:"warnings"`
}

func (r reloaded) print(g *globals) error {
	if g.output == "json" {
		return writeJSON(g.out, r)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(g.err, printable(w))
	}
	changed := "nothing"
	if len(r.Changed) > 0 {
		changed = strings.Join(r.Changed, ", ")
	}
	fmt.Fprintf(g.out, "Reloaded. Changed: %s.\n", printable(changed))
	if len(r.RestartNeeded) > 0 {
		fmt.Fprintf(g.out, "Read at the start only, restart to put them in force: %s.\n", printable(strings.Join(r.RestartNeeded, ", ")))
	}
	return nil
}

// badConfiguration gives the refusal of a configuration the exit code that validate has.
func badConfiguration(err error) error {
	var f *failure
	if errors.As(err, &f) && strings.HasPrefix(f.err.Error(), "validation_failed: ") {
		return &failure{code: exitConfig, err: f.err, next: f.next}
	}
	return err
}

// reloadBySignal is for gateways without an admin API. The file was read by findLocal, so it has no
// problem of its own.
func reloadBySignal(cmd *cobra.Command, g *globals, cfg *config.Config) error {
	pid, err := lockHolder(string(cfg.DataDir))
	if err != nil {
		return err
	}
	before, watched := reloadMetric(cmd.Context(), g)
	if err := hangUp(pid); err != nil {
		return fmt.Errorf("tell process %d to reload: %w", pid, err)
	}
	if !watched {
		fmt.Fprintf(g.err, "Process %d was told to reload; its log says what came of it.\n", pid)
		return nil
	}
	const patience = 10 * time.Second
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-tick.C:
		}
		switch now, ok := reloadMetric(cmd.Context(), g); {
		case ok && now.successful == 0:
			return &failure{code: exitFailed, err: errors.New("the configuration could not be taken over; the old one stays in force"), next: "The gateway's log says why."}
		case ok && now.timestamp != before.timestamp:
			fmt.Fprintln(g.out, "Reloaded.")
			return nil
		}
	}
	return &failure{code: exitFailed, err: fmt.Errorf("process %d was told to reload and has not done so within %s", pid, patience), next: "Look at its log."}
}
