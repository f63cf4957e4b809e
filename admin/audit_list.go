package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const listAuditDoc = "Lists who did what, newest first, a page at a time. Filters add up. An organisation's people see their own chain; " +
	"the provider's see all chains, or the one they name. A page may be followed only with the filters it was asked for with."

type listAuditInput struct {
	ChainParam
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Entries on a page." example:"100"`
	Cursor string    `query:"cursor" doc:"next of the page before."`
	Action string    `query:"action" doc:"Only entries of this action." example:"key.revoked"`
	Actor  string    `query:"actor" doc:"Only what this actor did, by id." example:"tok_5Hs8KdPq1wEx"`
	Target string    `query:"target" doc:"Only what was done to this, by id: a key's history." example:"key_7Qd2mXk0aVbR"`
	From   time.Time `query:"from" doc:"Only entries of this time and later." example:"2026-11-01T00:00:00Z"`
	To     time.Time `query:"to" doc:"Only entries before this time." example:"2026-12-01T00:00:00Z"`
}

// AuditList is one page of audit entries.
type AuditList struct {
	Items []AuditEntry `json:"items" doc:"The entries of this page."`
	Next  *string      `json:"next" doc:"cursor of the next page; null on the last."`
}

type listAuditOutput struct{ Body AuditList }

func (s *server) listAudit(ctx context.Context, a keys.Actor, in *listAuditInput) (*listAuditOutput, error) {
	chain, err := in.name()
	if err != nil {
		return nil, err
	}
	page, err := s.Registry.ListAudit(ctx, a, keys.AuditFilter{
		Chain: chain, Action: in.Action, Actor: in.Actor, Target: in.Target,
		From: in.From.UTC(), To: in.To.UTC(), Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	out := &listAuditOutput{Body: AuditList{Items: make([]AuditEntry, len(page.Items)), Next: cursor(page.Next)}}
	for i := range page.Items {
		out.Body.Items[i] = makeAuditEntry(&page.Items[i])
	}
	return out, nil
}
