package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

type auditRow struct {
	bun.BaseModel `bun:"table:audit"`

	Chain     string
	Seq       int64
	Time      int64
	ActorType string
	ActorID   string
	ActorName string
	Action    string
	Target    string
	Detail    string
	Address   string
	Request   string
	Prev      []byte
	MAC       []byte `bun:"mac"`
}

// entry never fails: verifying the chain must be able to name a damaged entry, and one with a MAC
// that is not 32 bytes, or details that are not JSON, verifies as little as any other forged one.
func (row *auditRow) entry() keys.AuditEntry {
	e := keys.AuditEntry{
		Chain: row.Chain, Seq: row.Seq, Time: instant(row.Time),
		Actor:  keys.ActorRef{Type: keys.ActorType(row.ActorType), ID: row.ActorID, Name: row.ActorName},
		Action: row.Action, Target: row.Target, Address: row.Address, Request: row.Request,
	}
	intact := json.Unmarshal([]byte(row.Detail), &e.Detail) == nil
	if intact && len(row.Prev) == len(e.Prev) && len(row.MAC) == len(e.MAC) {
		e.Prev, e.MAC = keys.RowMAC(row.Prev), keys.RowMAC(row.MAC)
	}
	if len(e.Detail) == 0 {
		e.Detail = nil
	}
	return e
}

// AuditHead implements keys.Reader.
func (r *reader) AuditHead(ctx context.Context, chain string) (keys.AuditEntry, error) {
	if odd(chain) {
		return keys.AuditEntry{}, ctx.Err()
	}
	var row auditRow
	err := r.db.NewSelect().Model(&row).Where("chain = ?", chain).Order("seq DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) && ctx.Err() == nil {
		return keys.AuditEntry{}, nil
	}
	if err != nil {
		return keys.AuditEntry{}, r.fail(ctx, fmt.Sprintf("read the end of audit chain %q", chain), err)
	}
	return row.entry(), nil
}

// AuditHeads implements keys.Reader.
func (r *reader) AuditHeads(ctx context.Context) ([]keys.AuditEntry, error) {
	var rows []auditRow
	err := r.db.NewSelect().Model(&rows).
		Where("(chain, seq) IN (SELECT chain, max(seq) FROM audit GROUP BY chain)").Order("chain").Scan(ctx)
	if err != nil {
		return nil, r.fail(ctx, "read the ends of the audit chains", err)
	}
	heads := make([]keys.AuditEntry, len(rows))
	for i := range rows {
		heads[i] = rows[i].entry()
	}
	return heads, nil
}

// AuditEntries implements keys.Reader.
func (r *reader) AuditEntries(ctx context.Context, chain string, after int64, most int) ([]keys.AuditEntry, error) {
	if odd(chain) {
		return nil, nil
	}
	var rows []auditRow
	err := r.db.NewSelect().Model(&rows).Where("chain = ?", chain).Where("seq > ?", after).Order("seq").Limit(int64(max(most, 1))).Scan(ctx)
	if err != nil {
		return nil, r.fail(ctx, fmt.Sprintf("read audit chain %q", chain), err)
	}
	entries := make([]keys.AuditEntry, len(rows))
	for i := range rows {
		entries[i] = rows[i].entry()
	}
	return entries, nil
}

// AppendAudit implements keys.Tx. ErrDuplicate when the chain has an entry of this number.
func (t *transaction) AppendAudit(ctx context.Context, e keys.AuditEntry) error {
	doing := fmt.Sprintf("write audit entry %d of chain %q", e.Seq, e.Chain)
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	n, err := t.exec(ctx, `INSERT INTO audit (chain, seq, time, actor_type, actor_id, actor_name, action, target, detail, address,
		request, prev, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (chain, seq) DO NOTHING`,
		e.Chain, e.Seq, micros(e.Time), string(e.Actor.Type), e.Actor.ID, e.Actor.Name, e.Action, e.Target, string(detail),
		e.Address, e.Request, e.Prev[:], e.MAC[:])
	if err != nil {
		return t.fail(ctx, doing, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w", doing, keys.ErrDuplicate)
	}
	return nil
}
