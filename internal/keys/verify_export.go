package keys

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// longestAuditLine bounds a line of an export, in bytes; what people may write into one entry is less.
const longestAuditLine = 4 << 20

// VerifyExport reads an exported chain (JSON lines) and tells whether it is as Postern wrote it, by
// the vault's pepper alone: no database is needed. An error says that the file is no export, or could
// not be read, and names the line.
func VerifyExport(v *Vault, file io.Reader) (AuditVerdict, error) {
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 64<<10), longestAuditLine)
	var w *AuditWalk
	var head *AuditHead
	n := 0
	for lines.Scan() {
		n++
		e, h, err := ParseAuditLine(lines.Bytes())
		switch {
		case err != nil:
			return AuditVerdict{}, fmt.Errorf("line %d %w", n, err)
		case head != nil:
			return AuditVerdict{}, fmt.Errorf("line %d follows the head, which is the last line of an export; verify each export by itself", n)
		case h != nil:
			head = h
			if w == nil {
				w = NewAuditWalk(v, h.Chain)
			}
			continue
		}
		if w == nil {
			w = NewAuditWalk(v, e.Chain)
		}
		w.Next(&e)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return AuditVerdict{}, fmt.Errorf("line %d is longer than %d bytes: this is no export", n+1, longestAuditLine)
	case err != nil:
		return AuditVerdict{}, err
	case w == nil:
		return AuditVerdict{}, errors.New("the file is empty")
	}
	w.close(head)
	return w.End(), nil
}

// close checks the head that ends an export.
func (w *AuditWalk) close(h *AuditHead) {
	switch {
	case w.fault != nil:
	case h == nil || h.Count > w.last.Seq:
		w.fail(w.last.Seq+1, AuditCutOff)
	case h.Chain != w.chain || h.Count != w.last.Seq || !w.vault.AuditHeadIntact(*h, w.last.MAC):
		w.fail(max(w.last.Seq, 1), AuditAltered)
	}
}
