package keys

import (
	"context"
	"time"
)

// record appends an entry to an audit chain, in the transaction of the change it tells of.
func (r *Registry) record(ctx context.Context, tx Tx, a Actor, chain, action, target string, detail map[string]string) error {
	trail := auditTrail{registry: r, tx: tx}
	return trail.record(ctx, a, chain, action, target, detail)
}

// auditTrail appends entries to audit chains within one transaction, each with the new head of its
// chain. It asks for the end of each chain once; so nobody else may append there in the same transaction.
type auditTrail struct {
	registry *Registry
	tx       Tx
	ends     map[string]AuditEntry
}

func (t *auditTrail) record(ctx context.Context, a Actor, chain, action, target string, detail map[string]string) error {
	last, known := t.ends[chain]
	if !known {
		var err error
		if last, err = t.tx.AuditHead(ctx, chain); err != nil {
			return err
		}
	}
	e := AuditEntry{
		Chain: chain, Time: t.registry.instant(), Actor: a.ActorRef, Action: action, Target: target,
		Detail: detail, Request: a.RequestID,
	}
	if a.Address.IsValid() {
		e.Address = a.Address.Unmap().String()
	}
	t.registry.vault.SealAudit(last, &e)
	if t.ends == nil {
		t.ends = map[string]AuditEntry{}
	}
	t.ends[chain] = e
	if err := t.tx.AppendAudit(ctx, e); err != nil {
		return err
	}
	return t.tx.PutMeta(ctx, auditHeadName(chain), t.registry.vault.SealAuditHead(chain, e.Seq, e.MAC).encode())
}

// endText writes an end for the audit, never for none.
func endText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// details builds an entry's detail from names and values in turn; empty values are left out.
func details(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			m[pairs[i]] = pairs[i+1]
		}
	}
	return m
}
