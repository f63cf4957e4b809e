package admin

import (
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"postern/internal/keys"
)

const exportAuditDoc = "Sends a whole chain, oldest entry first. The last line is its head: how many entries there are, and a hash under the " +
	"pepper by which a missing end is found. As `jsonl` each line is an entry, and `postern audit verify FILE` verifies it; " +
	"`csv` is for reading in a spreadsheet: what a spreadsheet would run begins with an apostrophe. The export is the last entry of what it sends."

type exportAuditInput struct {
	ChainParam
	Format string `query:"format" enum:"jsonl,csv" default:"jsonl" doc:"How the lines are written." example:"jsonl"`
}

func (s *server) exportAudit(ctx context.Context, a keys.Actor, in *exportAuditInput) (*download, error) {
	chain, err := in.name()
	if err != nil {
		return nil, err
	}
	x, err := s.Registry.ExportAudit(ctx, a, chain, in.Format)
	if err != nil {
		return nil, err
	}
	d := &download{file: "audit-" + fileName(x.Head.Chain) + "." + in.Format}
	if in.Format == "csv" {
		d.contentType = commaSeparated + "; charset=utf-8"
		d.write = func(ctx context.Context, w io.Writer) error { return writeAuditCSV(ctx, w, x) }
	} else {
		d.contentType = jsonLines
		d.write = func(ctx context.Context, w io.Writer) error { return writeAuditLines(ctx, w, x) }
	}
	return d, nil
}

// fileName keeps what may stand in the name of a file everywhere.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, s)
}

func writeAuditLines(ctx context.Context, w io.Writer, x *keys.ExportedChain) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	err := x.Each(ctx, func(e *keys.AuditEntry) error { return enc.Encode(keys.MakeAuditLine(e)) })
	if err != nil {
		return err
	}
	return enc.Encode(map[string]any{"head": keys.MakeAuditLineHead(x.Head)})
}

func writeAuditCSV(ctx context.Context, w io.Writer, x *keys.ExportedChain) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{"chain", "seq", "time", "action", "target", "actor_type", "actor_id", "actor_name", "detail", "address", "request", "prev", "mac"})
	if err != nil {
		return err
	}
	err = x.Each(ctx, func(e *keys.AuditEntry) error {
		l := keys.MakeAuditLine(e)
		detail, err := json.Marshal(l.Detail)
		if err != nil {
			return err
		}
		row := []string{l.Chain, strconv.FormatInt(l.Seq, 10), l.Time.Format(time.RFC3339Nano), l.Action, l.Target,
			l.Actor.Type, l.Actor.ID, l.Actor.Name, string(detail), l.Address, l.Request, l.Prev, l.MAC}
		for i := range row {
			row[i] = harmless(row[i])
		}
		return out.Write(row)
	})
	if err != nil {
		return err
	}
	h := x.Head
	err = out.Write([]string{h.Chain, strconv.FormatInt(h.Count, 10), "", "head", "", "", "", "", "", "", "", "", hex.EncodeToString(h.Hash[:])})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a spreadsheet from taking a text for a formula (OWASP, CSV injection).
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
