package admin

import (
	"context"
	"encoding/hex"
	"time"

	"postern/internal/keys"
)

// AuditTrail is what the audit endpoints ask of the domain.
type AuditTrail interface {
	ListAudit(ctx context.Context, a keys.Actor, f keys.AuditFilter) (keys.AuditPage, error)
	AuditChains(ctx context.Context, a keys.Actor) ([]keys.AuditHead, error)
	VerifyAudit(ctx context.Context, a keys.Actor, chain string, expect *keys.AuditHead) (keys.AuditVerdict, error)
	ExportAudit(ctx context.Context, a keys.Actor, chain, format string) (*keys.ExportedChain, error)
}

// AuditEntry is one link of a chain: who did what to what.
type AuditEntry struct {
	Chain   string            `json:"chain" doc:"The organisation it tells of, or provider." example:"default"`
	Seq     int64             `json:"seq" doc:"Its number in the chain, from 1, without gaps." example:"42"`
	Time    time.Time         `json:"time" doc:"When it was done." example:"2026-11-21T10:00:00Z"`
	Action  string            `json:"action" doc:"What was done." example:"key.revoked"`
	Target  string            `json:"target" doc:"The id of what it was done to." example:"key_7Qd2mXk0aVbR"`
	Actor   AuditActor        `json:"actor" doc:"Who did it."`
	Detail  map[string]string `json:"detail" doc:"What else is worth knowing. Never a secret."`
	Address string            `json:"address" doc:"Where the request came from; empty for commands on the machine." example:"192.0.2.7"`
	Request string            `json:"request" doc:"The request's id, as in X-Request-Id." example:"0199c7a2-5f7e-7cc0-8f4e-6b1c2d3e4f50"`
	Prev    string            `json:"prev" doc:"MAC of the entry before, in hex." example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	MAC     string            `json:"mac" doc:"MAC over all of the above under the pepper, in hex." example:"60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"`
}

// AuditActor is who did something.
type AuditActor struct {
	Type string `json:"type" enum:"token,user,local,file,system" doc:"An admin token, a person, a command on the machine, the configuration, or Postern itself." example:"token"`
	ID   string `json:"id" doc:"The actor's id." example:"tok_5Hs8KdPq1wEx"`
	Name string `json:"name" doc:"The actor's name at the time." example:"ci"`
}

func makeAuditEntry(e *keys.AuditEntry) AuditEntry {
	out := AuditEntry{
		Chain: e.Chain, Seq: e.Seq, Time: e.Time.UTC(), Action: e.Action, Target: e.Target,
		Actor:  AuditActor{string(e.Actor.Type), e.Actor.ID, e.Actor.Name},
		Detail: e.Detail, Address: e.Address, Request: e.Request,
		Prev: hex.EncodeToString(e.Prev[:]), MAC: hex.EncodeToString(e.MAC[:]),
	}
	if out.Detail == nil {
		out.Detail = map[string]string{}
	}
	return out
}

// ChainParam names a chain by either of its two parameters.
type ChainParam struct {
	Chain  string `query:"chain" doc:"Only this chain: an organisation's id, or provider." example:"default"`
	Tenant string `query:"tenant" doc:"The same for an organisation; not together with chain." example:"default"`
}

func (c ChainParam) name() (string, error) {
	if c.Chain != "" && c.Tenant != "" && c.Chain != c.Tenant {
		return "", invalid("tenant", "stands beside chain and names another one; give one of them")
	}
	if c.Chain != "" {
		return c.Chain, nil
	}
	return c.Tenant, nil
}
