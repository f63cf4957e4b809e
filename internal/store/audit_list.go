package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"postern/internal/keys"
)

// auditPosition is where a page of audit entries ended.
type auditPosition struct {
	Time  int64  `json:"t"`
	Chain string `json:"c"`
	Seq   int64  `json:"s"`
}

func (p auditPosition) cursor() (string, error) {
	b, err := json.Marshal(p)
	return base64.RawURLEncoding.EncodeToString(b), err
}

func parseAuditCursor(cursor string) (auditPosition, error) {
	var p auditPosition
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || json.Unmarshal(b, &p) != nil || p.Chain == "" || p.Seq == 0 || odd(p.Chain) {
		return p, fmt.Errorf("%w: it is not one of this list's", keys.ErrBadCursor)
	}
	return p, nil
}

// ListAudit implements keys.Reader.
func (r *reader) ListAudit(ctx context.Context, f keys.AuditFilter) (keys.AuditPage, error) {
	const doing = "list audit entries"
	var rows []auditRow
	q := r.db.NewSelect().Model(&rows)
	if f.Cursor != "" {
		after, err := parseAuditCursor(f.Cursor)
		if err != nil {
			return keys.AuditPage{}, fmt.Errorf("%s: %w", doing, err)
		}
		q.Where("(time, chain, seq) < (?, ?, ?)", after.Time, after.Chain, after.Seq)
		q.Where("time <= ?", after.Time) // says the same of the time alone, for the index
	}
	if odd(f.Chain, f.Action, f.Actor, f.Target) {
		return keys.AuditPage{}, nil // nothing is like that
	}
	// The first of these that is given has the index to itself: what narrows most stands first, and
	// the others are written so that no planner takes their index in its place.
	form := "? = ?"
	for _, equal := range [...]struct{ column, value string }{
		{"target", f.Target}, {"actor_id", f.Actor}, {"action", f.Action}, {"chain", f.Chain},
	} {
		if equal.value != "" {
			q.Where(form, bun.Ident(equal.column), equal.value)
			form = "? || '' = ?"
		}
	}
	if !f.From.IsZero() {
		q.Where("time >= ?", micros(f.From))
	}
	if !f.To.IsZero() {
		q.Where("time < ?", micros(f.To))
	}
	size := pageSize(f.Limit)
	err := q.OrderExpr("time DESC, chain DESC, seq DESC").Limit(int64(size) + 1).Scan(ctx)
	if err != nil {
		return keys.AuditPage{}, r.fail(ctx, doing, err)
	}
	var out keys.AuditPage
	if len(rows) > size {
		rows = rows[:size]
		last := &rows[size-1]
		if out.Next, err = (auditPosition{last.Time, last.Chain, last.Seq}).cursor(); err != nil {
			return keys.AuditPage{}, fmt.Errorf("%s: %w", doing, err)
		}
	}
	out.Items = make([]keys.AuditEntry, len(rows))
	for i := range rows {
		out.Items[i] = rows[i].entry()
	}
	return out, nil
}
