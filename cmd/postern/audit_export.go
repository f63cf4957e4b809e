package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newAuditExport(g *globals) *cobra.Command {
	var chain, format, out string
	c := &cobra.Command{
		Use:   "export",
		Short: "Write out a whole audit chain, to keep it elsewhere",
		Long: `Write out a whole audit chain, oldest entry first. As jsonl, "postern audit verify FILE" can verify it
later with the pepper alone; csv is for reading in a spreadsheet. The export is itself an audit entry.`,
		Example: `  postern audit export --chain default --out audit.jsonl
  postern audit export --chain provider --format csv > provider.csv`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newClient(g)
			if err != nil {
				return err
			}
			query := setAll(url.Values{}, "chain", chain, "format", format)
			if out == "" {
				return client.download(cmd.Context(), "/v1/audit/export", query, g.out)
			}
			return writeWhole(out, func(w io.Writer) error { return client.download(cmd.Context(), "/v1/audit/export", query, w) })
		},
	}
	f := c.Flags()
	f.StringVar(&chain, "chain", "", "organisation's id, or provider (default: your own; an operator's is provider)")
	f.StringVar(&format, "format", "", "jsonl or csv (default: jsonl)")
	f.StringVar(&out, "out", "", "`file` to write, readable by you alone (default: standard output)")
	return c
}

// writeWhole writes a file that is there as a whole or not at all; an older one of the name is
// replaced at the end.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// download copies a long answer to w. It is an error when the answer ends before its end.
func (c *client) download(ctx context.Context, path string, query url.Values, w io.Writer) error {
	resp, err := c.open(ctx, path, query)
	if err != nil {
		return err
	}
	defer resp.Close()
	if _, err := io.Copy(w, resp); err != nil {
		return &failure{code: exitUnreachable, err: fmt.Errorf("the answer of %s ended too early: %w", c.base, err), next: "What was written is not whole. Try again."}
	}
	return nil
}
