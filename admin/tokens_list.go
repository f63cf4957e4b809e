package admin

import (
	"context"

	"postern/internal/keys"
)

const listTokensDoc = "Lists admin tokens, newest first, a page at a time; expired and revoked ones too."

type listTokensInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Tokens on a page." example:"100"`
	Cursor string `query:"cursor" doc:"next of the page before."`
	Tenant string `query:"tenant" doc:"Only tokens of this organisation." example:"default"`
}

// TokenList is one page of admin tokens.
type TokenList struct {
	Items []Token `json:"items" doc:"The tokens of this page."`
	Next  *string `json:"next" doc:"cursor of the next page; null on the last."`
}

type listTokensOutput struct{ Body TokenList }

func (s *server) listTokens(ctx context.Context, a keys.Actor, in *listTokensInput) (*listTokensOutput, error) {
	page, err := s.Registry.Tokens(ctx, a, keys.TokenFilter{Tenant: keys.TenantID(in.Tenant), Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &listTokensOutput{Body: TokenList{Items: make([]Token, len(page.Items)), Next: cursor(page.Next)}}
	for i, t := range page.Items {
		out.Body.Items[i] = makeToken(t)
	}
	return out, nil
}
