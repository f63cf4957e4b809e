package keys

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
)

// AuditEnd is where a chain ended in a backup.
type AuditEnd struct {
	Chain string
	Seq   int64
	MAC   RowMAC
}

// LaterInExport verifies an export of one chain and returns its entries after the chain's end in a
// backup (none of ends: from the first on). An export that is not as it was written, or is of
// another history than the backup, is an error; one that ends before the backup has nothing later.
func LaterInExport(v *Vault, file io.ReadSeeker, ends []AuditEnd) (chain string, later []AuditEntry, err error) {
	verdict, err := VerifyExport(v, file)
	if err != nil {
		return "", nil, err
	}
	chain = verdict.Head.Chain
	if f := verdict.Fault; f != nil {
		return chain, nil, fmt.Errorf("it is not as it was written: entry %d of the chain %s is %s", f.Seq, chain, f.Problem)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return chain, nil, err
	}
	l := laterEntries{end: endOf(ends, chain)}
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 64<<10), longestAuditLine)
	for lines.Scan() {
		e, head, err := ParseAuditLine(lines.Bytes())
		if err != nil {
			return chain, nil, err
		}
		if head != nil {
			break
		}
		if err := l.next(&e); err != nil {
			return chain, nil, err
		}
	}
	return chain, l.list, lines.Err()
}

// LaterInStore is LaterInExport for the chain of a store that is still there.
func LaterInStore(ctx context.Context, v *Vault, from Reader, chain string, ends []AuditEnd) (later []AuditEntry, err error) {
	l, w := laterEntries{end: endOf(ends, chain)}, NewAuditWalk(v, chain)
	for after, more := int64(math.MinInt64), true; more; {
		entries, err := from.AuditEntries(ctx, chain, after, auditBatch)
		if err != nil {
			return nil, fmt.Errorf("read audit chain %s: %w", chain, err)
		}
		for i := range entries {
			after = entries[i].Seq
			w.Next(&entries[i])
			if err := l.next(&entries[i]); err != nil {
				return nil, err
			}
		}
		more = len(entries) == auditBatch
	}
	if f := w.End().Fault; f != nil {
		return nil, fmt.Errorf("the chain %s is not as it was written: entry %d is %s", chain, f.Seq, f.Problem)
	}
	return l.list, nil
}

// laterEntries collects what follows an end.
type laterEntries struct {
	end  AuditEnd
	list []AuditEntry
}

func (l *laterEntries) next(e *AuditEntry) error {
	if e.Seq == l.end.Seq && e.MAC != l.end.MAC {
		return fmt.Errorf("the chain %s has another entry %d than the backup: it is of another installation, or the two went apart before", e.Chain, e.Seq)
	}
	if e.Seq > l.end.Seq {
		l.list = append(l.list, *e)
	}
	return nil
}

func endOf(ends []AuditEnd, chain string) AuditEnd {
	for _, end := range ends {
		if end.Chain == chain {
			return end
		}
	}
	return AuditEnd{Chain: chain}
}
