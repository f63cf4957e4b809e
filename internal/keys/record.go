package keys

import (
	"context"
	"time"
)

// record appends an entry to an audit chain, in the transaction of the change it tells of.
func (r *Registry) record(ctx context.Context, tx Tx, a Actor, chain, action, target string, detail map[string]string) error {
	t := r.trail(tx, a)
	if err := t.add(ctx, chain, action, target, detail); err != nil {
		return err
	}
	return t.close(ctx)
}

// trail appends entries of one actor within one transaction. It reads the end of each chain once,
// and close, which must follow the last entry, writes where the chains end now.
type trail struct {
	r     *Registry
	tx    Tx
	actor Actor
	last  map[string]AuditEntry
}

func (r *Registry) trail(tx Tx, a Actor) *trail {
	return &trail{r: r, tx: tx, actor: a, last: map[string]AuditEntry{}}
}

func (t *trail) add(ctx context.Context, chain, action, target string, detail map[string]string) error {
	last, known := t.last[chain]
	if !known {
		var err error
		if last, err = t.tx.AuditHead(ctx, chain); err != nil {
			return err
		}
	}
	e := AuditEntry{
		Chain: chain, Time: t.r.instant(), Actor: t.actor.ActorRef, Action: action, Target: target,
		Detail: detail, Request: t.actor.RequestID,
	}
	if t.actor.Address.IsValid() {
		e.Address = t.actor.Address.Unmap().String()
	}
	t.r.vault.SealAudit(last, &e)
	if err := t.tx.AppendAudit(ctx, e); err != nil {
		return err
	}
	t.last[chain] = e
	return nil
}

func (t *trail) close(ctx context.Context) error {
	for _, chain := range sortedKeys(t.last) {
		last := t.last[chain]
		if err := t.tx.PutMeta(ctx, auditHeadName(chain), t.r.vault.SealAuditHead(chain, last.Seq, last.MAC).encode()); err != nil {
			return err
		}
	}
	return nil
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
