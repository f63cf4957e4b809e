package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/keys"
)

// auditVerdict is what the admin API says of a chain.
type auditVerdict struct {
	Chain    string      `json:"chain"`
	OK       bool        `json:"ok"`
	Count    int64       `json:"count"`
	Head     string      `json:"head"`
	FirstBad *auditFault `json:"first_bad,omitempty"`
}

type auditFault struct {
	Seq     int64  `json:"seq"`
	Problem string `json:"problem"`
}

func newAuditVerify(g *globals) *cobra.Command {
	var chain, expect string
	c := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Tell whether an audit chain, or an export of one, is as it was written",
		Long: `Tell whether every entry of an audit chain is as it was written, in its place, and none is missing, also
at the end. Without FILE the running server reads its chains: all that you may read, or one. With FILE,
an export as jsonl, nothing is needed but the pepper that the configuration names.

The exit code is 1 when a chain does not hold.`,
		Example: `  postern audit verify
  postern audit verify --chain default --expect-head 42:60303ae2…
  postern audit verify audit.jsonl --config gateway.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError("unexpected argument %q", args[1])
			}
			if len(args) == 1 && (chain != "" || expect != "") {
				return usageError("--chain and --expect-head are for the server's chains, not for a file")
			}
			if expect != "" && chain == "" {
				return usageError("--expect-head is of one chain: name it by --chain")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var verdicts []auditVerdict
			var err error
			if len(args) == 1 {
				verdicts, err = verifyFile(g, args[0])
			} else {
				verdicts, err = verifyServer(cmd.Context(), g, chain, expect)
			}
			if err != nil {
				return err
			}
			return printVerdicts(g, verdicts)
		},
	}
	f := c.Flags()
	f.StringVar(&chain, "chain", "", "organisation's id, or provider (default: every chain you may read)")
	f.StringVar(&expect, "expect-head", "", "count:hash that the chain had before: it must still have that entry")
	return c
}

// verifyServer has the server verify one chain, or all.
func verifyServer(ctx context.Context, g *globals, chain, expect string) ([]auditVerdict, error) {
	client, err := newClient(g)
	if err != nil {
		return nil, err
	}
	client.http.Timeout = 0 // a long chain takes its time
	chains := []string{chain}
	if chain == "" {
		var list struct {
			Items []struct {
				Chain string `json:"chain"`
			} `json:"items"`
		}
		if err := client.do(ctx, http.MethodGet, "/v1/audit/chains", nil, nil, &list); err != nil {
			return nil, err
		}
		chains = nil
		for _, item := range list.Items {
			chains = append(chains, item.Chain)
		}
	}
	var verdicts []auditVerdict
	for _, chain := range chains {
		var v auditVerdict
		query := setAll(url.Values{}, "chain", chain, "expect_head", expect)
		if err := client.do(ctx, http.MethodGet, "/v1/audit/verify", query, nil, &v); err != nil {
			return nil, err
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// verifyFile verifies an export by the pepper of the configuration.
func verifyFile(g *globals, path string) ([]auditVerdict, error) {
	cfg, _, err := config.Load(g.config, config.LoadOptions{Env: g.env})
	if err != nil {
		return nil, err
	}
	vault, err := openVault(cfg, g.env, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &failure{code: exitNotFound, err: fmt.Errorf("open the export: %w", err)}
	}
	defer f.Close()
	v, err := keys.VerifyExport(vault, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	out := auditVerdict{Chain: v.Head.Chain, OK: v.Fault == nil, Count: v.Head.Count}
	if v.Head.Count > 0 {
		out.Head = v.Head.String()
	}
	if v.Fault != nil {
		out.FirstBad = &auditFault{v.Fault.Seq, string(v.Fault.Problem)}
	}
	return []auditVerdict{out}, nil
}

// printVerdicts shows what was found; a chain that does not hold is an error.
func printVerdicts(g *globals, verdicts []auditVerdict) error {
	var rows [][]string
	bad := 0
	for _, v := range verdicts {
		verdict := "ok"
		if !v.OK {
			bad++
			verdict = "broken"
			if v.FirstBad != nil {
				verdict = fmt.Sprintf("entry %d: %s", v.FirstBad.Seq, v.FirstBad.Problem)
			}
		}
		rows = append(rows, []string{v.Chain, strconv.FormatInt(v.Count, 10), verdict, v.Head})
	}
	var err error
	if g.output == "json" {
		err = writeJSON(g.out, map[string]any{"items": verdicts})
	} else {
		err = writeTable(g.out, []string{"CHAIN", "GOOD ENTRIES", "VERDICT", "HEAD"}, rows)
	}
	if err == nil && bad > 0 {
		err = &failure{code: exitFailed, err: errors.New("the audit trail is not as it was written"),
			next: "Somebody who can write to the database changed it, or it is that of another pepper. Keep a copy of it, and compare it with exports and backups."}
	}
	return err
}
