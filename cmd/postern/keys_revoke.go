package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

func newKeysRevoke(g *globals) *cobra.Command {
	var reason string
	var dryRun, yes bool
	c := &cobra.Command{
		Use:   "revoke KEY_ID... | revoke --search TEXT | revoke --owner ID ...",
		Short: "End keys for good: requests with them fail within a second",
		Long: `End keys for good: requests with them fail within a second, and no role can make one work again.

Name the keys, or select them with the flags that keys list has. Selected keys are shown first with
--dry-run, and revoked only with --yes.`,
		Example: `  postern keys revoke key_2b9xQm4TzL0a --reason 'leaked'
  postern keys revoke key_2b9xQm4TzL0a --wait fleet --timeout 5s
  postern keys revoke --owner usr_8d2LkQp0sTwE --dry-run
  postern keys revoke --owner usr_8d2LkQp0sTwE --yes`,
	}
	f := c.Flags()
	filter, wait := newKeyFilter(c), newFleetWait(c)
	f.StringVar(&reason, "reason", "", "why, for the audit log")
	f.BoolVar(&dryRun, "dry-run", false, "only tell what would happen")
	f.BoolVar(&yes, "yes", false, "revoke all that the flags select")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		selects := filter.given()
		query, err := wait.query(cmd)
		switch {
		case err != nil:
			return err
		case len(args) == 0 && len(selects) == 0:
			return usageError("missing the key's id, such as key_2b9xQm4TzL0a, or flags that select keys")
		case len(args) > 0 && len(selects) > 0:
			return usageError("name keys or select them by flags, not both")
		case len(selects) > 0 && !dryRun && !yes:
			return usageError("this revokes every key that the flags select, for good: look with --dry-run, then say --yes")
		case len(args) == 1 && !dryRun && query != nil:
			return denyKey(cmd, g, "/v1/keys/"+url.PathEscape(args[0])+"/revoke", because(reason), query)
		case len(args) == 1 && !dryRun:
			return showKey(cmd, g, http.MethodPost, "/v1/keys/"+url.PathEscape(args[0])+"/revoke", because(reason))
		}
		api, err := newClient(g)
		if err != nil {
			return err
		}
		in := map[string]any{"dry_run": dryRun, "reason": reason}
		if len(args) > 0 {
			in["ids"] = args
		} else {
			in["filter"] = selects
		}
		if query != nil {
			api.http.Timeout += time.Minute // it may take as long as it was told to
		}
		done, err := revokeMany(cmd.Context(), api, in, query)
		if err != nil && len(done.Items) == 0 {
			return err
		}
		return errors.Join(printRevoked(g, done), err)
	}
	return c
}

// manyRevoked is what the admin API says of many revocations.
type manyRevoked struct {
	DryRun bool `json:"dry_run"`
	Items  []struct {
		ID     string `json:"id"`
		Status string `json:"status,omitempty"`
		Code   string `json:"code,omitempty"`
		Detail string `json:"detail,omitempty"`
	} `json:"items"`
	Revoked int  `json:"revoked"`
	Refused int  `json:"refused"`
	More    bool `json:"more"`

	// Only where the fleet was waited for; of several calls the last one's, which is for all of them.
	Seq       *int64          `json:"seq,omitempty"`
	Confirmed *bool           `json:"confirmed,omitempty"`
	Nodes     []confirmedNode `json:"nodes,omitempty"`
}

// revokeMany asks until nothing is left of what was selected. Should a later call fail, what the ones
// before did is returned with the error.
func revokeMany(ctx context.Context, api *client, in map[string]any, query url.Values) (manyRevoked, error) {
	var all manyRevoked
	for {
		var done manyRevoked
		if err := api.do(ctx, http.MethodPost, "/v1/keys/revoke", query, in, &done); err != nil {
			return all, err
		}
		all.DryRun, all.More = done.DryRun, done.More
		all.Seq, all.Confirmed, all.Nodes = done.Seq, done.Confirmed, done.Nodes
		all.Items = append(all.Items, done.Items...)
		all.Revoked, all.Refused = all.Revoked+done.Revoked, all.Refused+done.Refused
		if !done.More || done.DryRun || done.Revoked == 0 {
			return all, nil
		}
	}
}

// printRevoked shows what happened to each key, and fails when one was not revoked.
func printRevoked(g *globals, done manyRevoked) error {
	if g.output == "json" {
		if err := writeJSON(g.out, done); err != nil {
			return err
		}
	} else {
		var rows [][]string
		for _, one := range done.Items {
			rows = append(rows, []string{one.ID, one.Status, one.Code, one.Detail})
		}
		if err := writeTable(g.out, []string{"ID", "STATUS", "CODE", "DETAIL"}, rows); err != nil {
			return err
		}
	}
	verb := "Revoked"
	if done.DryRun {
		verb = "Would revoke"
	}
	fmt.Fprintf(g.err, "%s %d of %d keys.\n", verb, done.Revoked, len(done.Items))
	if done.More {
		fmt.Fprintln(g.err, "There are more.")
	}
	var missing, refused error
	if done.Confirmed != nil {
		c := confirmation{Seq: *done.Seq, Confirmed: *done.Confirmed, Nodes: done.Nodes}
		if missing = c.missing(); missing == nil {
			fmt.Fprintf(g.err, "Change %d is in effect on every gateway.\n", c.Seq)
		}
	}
	if done.Refused > 0 {
		refused = fmt.Errorf("%d keys were not revoked; the table says why", done.Refused)
	}
	return errors.Join(missing, refused)
}
