package keys

import (
	"context"
	"time"
)

// record appends an entry to an audit chain, in the transaction of the change it tells of.
func (r *Registry) record(ctx context.Context, tx Tx, a Actor, chain, action, target string, detail map[string]string) error {
	last, err := tx.AuditHead(ctx, chain)
	if err != nil {
		return err
	}
	e := AuditEntry{
		Chain: chain, Time: r.instant(), Actor: a.ActorRef, Action: action, Target: target,
		Detail: detail, Request: a.RequestID,
	}
	if a.Address.IsValid() {
		e.Address = a.Address.Unmap().String()
	}
	r.vault.SealAudit(last, &e)
	return tx.AppendAudit(ctx, e)
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
