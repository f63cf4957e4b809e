package admin

import (
	"context"

	"postern/internal/keys"
)

const verifyAuditDoc = "Reads a whole chain and tells whether every entry is as it was written, in its place, and none is missing, " +
	"also at the end; and if not, the first that is wrong. Nobody can make a chain pass without the pepper. " +
	"Where a whole older database may have been put back, give the head of an earlier verification or export as `expect_head`."

type verifyAuditInput struct {
	ChainParam
	ExpectHead string `query:"expect_head" doc:"count:hash that the chain had before: it must still have that entry." example:"42:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"`
}

// AuditVerdict is what was found of a chain.
type AuditVerdict struct {
	Chain    string      `json:"chain" doc:"The chain that was read." example:"default"`
	OK       bool        `json:"ok" doc:"Is it as it was written." example:"true"`
	Count    int64       `json:"count" doc:"How many entries are good, from the first on." example:"42"`
	Head     string      `json:"head" doc:"Where they end, for expect_head; empty where there is none." example:"42:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"`
	FirstBad *AuditFault `json:"first_bad,omitempty" doc:"The first that is wrong."`
}

// AuditFault is an entry that is wrong.
type AuditFault struct {
	Seq     int64  `json:"seq" doc:"Its number." example:"17"`
	Problem string `json:"problem" enum:"altered,missing,reordered,cut_off" doc:"Changed; gone from the middle; in another's place; or gone from the end." example:"altered"`
}

type verifyAuditOutput struct{ Body AuditVerdict }

func (s *server) verifyAudit(ctx context.Context, a keys.Actor, in *verifyAuditInput) (*verifyAuditOutput, error) {
	chain, err := in.name()
	if err != nil {
		return nil, err
	}
	var expect *keys.AuditHead
	if in.ExpectHead != "" {
		h, err := keys.ParseAuditHead(in.ExpectHead)
		if err != nil {
			return nil, invalid("expect_head", err.Error())
		}
		expect = &h
	}
	v, err := s.Registry.VerifyAudit(ctx, a, chain, expect)
	if err != nil {
		return nil, err
	}
	out := &verifyAuditOutput{Body: AuditVerdict{Chain: v.Head.Chain, OK: v.Fault == nil, Count: v.Head.Count}}
	if v.Head.Count > 0 {
		out.Body.Head = v.Head.String()
	}
	if v.Fault != nil {
		out.Body.FirstBad = &AuditFault{v.Fault.Seq, string(v.Fault.Problem)}
	}
	return out, nil
}
