package main

import (
	"maps"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
)

func newAuditList(g *globals) *cobra.Command {
	var chain, action, actor, target, from, to string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List who did what, newest first",
		Example: `  postern audit list --target key_7Qd2mXk0aVbR
  postern audit list --chain provider --action token.created`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newClient(g)
			if err != nil {
				return err
			}
			query := setAll(url.Values{}, "chain", chain, "action", action, "actor", actor, "target", target, "from", from, "to", to)
			return listAll(cmd, g, client, "/v1/audit", query, limit,
				[]string{"TIME", "CHAIN", "SEQ", "ACTOR", "ACTION", "TARGET", "DETAIL"},
				func(e auditEntry) []string {
					return []string{when(&e.Time, ""), e.Chain, strconv.FormatInt(e.Seq, 10), e.Actor.Type + ":" + e.Actor.Name, e.Action, e.Target, e.summary()}
				})
		},
	}
	f := c.Flags()
	f.StringVar(&chain, "chain", "", "organisation's id, or provider (default: every chain you may read)")
	f.StringVar(&action, "action", "", "such as key.revoked")
	f.StringVar(&actor, "actor", "", "id of who did it")
	f.StringVar(&target, "target", "", "id of what it was done to, such as a key's")
	f.StringVar(&from, "from", "", "RFC 3339 time: entries of this time and later")
	f.StringVar(&to, "to", "", "RFC 3339 time: entries before it")
	f.IntVar(&limit, "limit", 100, "at most so many; 0 for all")
	return c
}

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
