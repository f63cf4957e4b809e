package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// fleetWait are the flags of commands that can wait for every gateway.
type fleetWait struct {
	wait    string
	timeout time.Duration
}

func newFleetWait(c *cobra.Command) *fleetWait {
	w := &fleetWait{}
	c.Flags().StringVar(&w.wait, "wait", "", "fleet: answer when the change is in effect on every gateway that could still admit the key")
	c.Flags().DurationVar(&w.timeout, "timeout", 2*time.Second, "how long to wait for that, at most 1m")
	return w
}

// query is what asks the admin API to wait; nil: nothing was asked for.
func (w *fleetWait) query(c *cobra.Command) (url.Values, error) {
	switch {
	case w.wait == "" && c.Flags().Changed("timeout"):
		return nil, usageError("--timeout says how long to --wait fleet, which is not there")
	case w.wait == "":
		return nil, nil
	case w.wait != "fleet":
		return nil, usageError("unknown --wait %q: fleet is all that can be waited for", w.wait)
	case w.timeout < time.Millisecond || w.timeout > time.Minute:
		return nil, usageError("--timeout must be from 1ms to 1m")
	}
	return url.Values{"wait": {w.wait}, "timeout": {strconv.FormatInt(w.timeout.Milliseconds(), 10) + "ms"}}, nil
}

// confirmation is what the admin API says of gateways that were waited for.
type confirmation struct {
	Key       string          `json:"key,omitempty"`
	Seq       int64           `json:"seq"`
	Confirmed bool            `json:"confirmed"`
	Nodes     []confirmedNode `json:"nodes"`
}

type confirmedNode struct {
	Node        string     `json:"node"`
	ConfirmedAt *time.Time `json:"confirmed_at"`
	LastSeen    time.Time  `json:"last_seen"`
}

// rows show each node.
func (c *confirmation) rows() [][]string {
	var rows [][]string
	for _, n := range c.Nodes {
		rows = append(rows, []string{n.Node, when(n.ConfirmedAt, "not confirmed"), when(&n.LastSeen, "")})
	}
	return rows
}

// missing is nil when the change is in effect everywhere, else says where it may not be.
func (c *confirmation) missing() error {
	if c.Confirmed {
		return nil
	}
	var names []string
	for _, n := range c.Nodes {
		if n.ConfirmedAt == nil {
			names = append(names, n.Node)
		}
	}
	if len(names) == 0 {
		names = []string{"some gateway, because the database could not be read"}
	}
	return &failure{
		code: exitFailed, err: fmt.Errorf("the change is made, and it is not known to be in effect on %s", strings.Join(names, ", ")),
		next: "A gateway that is cut off stops admitting after its max_stale. GET /v1/nodes tells when each has change " + strconv.FormatInt(c.Seq, 10) + ".",
	}
}

// denyKey denies a key, waits for the fleet and shows who has the change.
func denyKey(cmd *cobra.Command, g *globals, path string, in any, query url.Values) error {
	api, err := newClient(g)
	if err != nil {
		return err
	}
	api.http.Timeout += time.Minute // it may take as long as it was told to
	var done confirmation
	if err := api.do(cmd.Context(), http.MethodPost, path, query, in, &done); err != nil {
		return err
	}
	if g.output == "json" {
		err = writeJSON(g.out, done)
	} else {
		err = writeTable(g.out, []string{"NODE", "CONFIRMED", "LAST SEEN"}, done.rows())
	}
	if err != nil {
		return err
	}
	if done.Confirmed {
		fmt.Fprintf(g.err, "Change %d is in effect on every gateway.\n", done.Seq)
	}
	return done.missing()
}
