package admin

import (
	"context"

	"postern/internal/keys"
)

const listAuditChainsDoc = "Lists the audit chains that the caller may read and where each ends: one for each organisation of which " +
	"something was ever written, and one for the provider."

type listAuditChainsInput struct{}

// AuditChainList is every chain.
type AuditChainList struct {
	Items []AuditChain `json:"items" doc:"The chains, by name."`
}

// AuditChain is a chain and its end.
type AuditChain struct {
	Chain string `json:"chain" doc:"An organisation's id, or provider." example:"default"`
	Count int64  `json:"count" doc:"How many entries it has." example:"42"`
	Head  string `json:"head" doc:"Where it ends, as expect_head of a verification takes it." example:"42:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"`
}

type listAuditChainsOutput struct{ Body AuditChainList }

func (s *server) listAuditChains(ctx context.Context, a keys.Actor, _ *listAuditChainsInput) (*listAuditChainsOutput, error) {
	heads, err := s.Registry.AuditChains(ctx, a)
	if err != nil {
		return nil, err
	}
	out := &listAuditChainsOutput{Body: AuditChainList{Items: make([]AuditChain, len(heads))}}
	for i, h := range heads {
		out.Body.Items[i] = AuditChain{h.Chain, h.Count, h.String()}
	}
	return out, nil
}
