package keys

import (
	"context"
	"fmt"
	"strconv"
)

// auditBatch is how many entries are read at a time.
const auditBatch = 1000

// ExportedChain is a whole chain as it was at an instant, to be read once.
type ExportedChain struct {
	Head AuditHead // of what Each visits
	// Each visits the entries, oldest first, up to the head. It reads them in portions, so that a
	// chain of millions needs little memory, and ends at the first error.
	Each func(ctx context.Context, visit func(*AuditEntry) error) error
}

// ExportAudit prepares an export of a chain ("" for the actor's own). The export is itself an audit
// entry, written before the first byte is handed out, and the last entry that is exported. Refusals:
// permission_denied, not_found for a chain that is no tenant's, and the store's.
func (r *Registry) ExportAudit(ctx context.Context, a Actor, chain, format string) (*ExportedChain, error) {
	chain, err := r.namedChain(ctx, a, AuditExport, chain)
	if err != nil {
		return nil, err
	}
	var head AuditHead
	err = r.change(ctx, "note the export", func(ctx context.Context, tx Tx) error {
		last, err := tx.AuditHead(ctx, chain)
		if err != nil {
			return err
		}
		trail := auditTrail{registry: r, tx: tx}
		if err := trail.record(ctx, a, chain, "audit.exported", chain,
			details("format", format, "count", strconv.FormatInt(last.Seq+1, 10))); err != nil {
			return err
		}
		own := trail.ends[chain]
		head = r.vault.SealAuditHead(chain, own.Seq, own.MAC)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ExportedChain{Head: head, Each: func(ctx context.Context, visit func(*AuditEntry) error) error {
		return r.eachEntry(ctx, head, visit)
	}}, nil
}

// eachEntry visits the entries of a chain up to a head.
func (r *Registry) eachEntry(ctx context.Context, head AuditHead, visit func(*AuditEntry) error) error {
	for after := int64(0); after < head.Count; {
		entries, err := r.store.AuditEntries(ctx, head.Chain, after, auditBatch)
		if err != nil {
			return fmt.Errorf("export audit chain: %w", err)
		}
		if len(entries) == 0 {
			return nil // somebody cut it off; verification tells
		}
		for i := range entries {
			if after = entries[i].Seq; after > head.Count {
				return nil
			}
			if err := visit(&entries[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
