package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const (
	listTenantsDoc  = "Lists organisations, oldest first, a page at a time: all of them for the provider's people, his own for everybody else."
	createTenantDoc = "Makes an organisation."
	showTenantDoc   = "Shows an organisation: one's own, or any for the provider's people."
	editTenantDoc   = "Changes an organisation's name and what it has bought. A plan without keys stops its keys at once."
)

// Tenant is an organisation.
type Tenant struct {
	ID        string    `json:"id" doc:"Names it; it never changes." example:"acme"`
	Name      string    `json:"name" doc:"For people." example:"Acme Ltd"`
	Plan      *string   `json:"plan" doc:"What it has bought, one of tenant_plans; null for nothing in particular, then it may have keys." example:"business"`
	CreatedAt time.Time `json:"created_at" doc:"When it was created." example:"2026-11-21T10:00:00Z"`
	UpdatedAt time.Time `json:"updated_at" doc:"When it, or a setting of it, was last changed." example:"2026-11-21T10:00:00Z"`
	Version   int64     `json:"version" doc:"Grows with each change; the ETag." example:"1"`
}

// NewTenant is what an organisation is made from.
type NewTenant struct {
	ID   string `json:"id,omitempty" doc:"1 to 63 of a-z, 0-9, - and _; made of the name when left out." example:"acme"`
	Name string `json:"name" doc:"For people." example:"Acme Ltd"`
	Plan string `json:"plan,omitempty" doc:"What it has bought, one of tenant_plans." example:"business"`
}

// TenantList is one page of organisations.
type TenantList struct {
	Items []Tenant `json:"items" doc:"The organisations of this page."`
	Next  *string  `json:"next" doc:"cursor of the next page; null on the last."`
}

type tenantInput struct {
	ID string `path:"id" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" patternDescription:"the id of a tenant" doc:"The organisation's id." example:"acme"`
}

type tenantOutput struct {
	ETag string `header:"ETag" doc:"The version in quotes, for If-Match." example:"\"1\""`
	Body Tenant
}

func makeTenant(t keys.Tenant) Tenant {
	out := Tenant{ID: string(t.ID), Name: t.Name, CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(), Version: t.Version}
	if t.Plan != "" {
		out.Plan = &t.Plan
	}
	return out
}

type listTenantsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Organisations on a page." example:"100"`
	Cursor string `query:"cursor" doc:"next of the page before."`
	Search string `query:"search" doc:"Case-insensitive part of the name or id." example:"acme"`
}

type listTenantsOutput struct{ Body TenantList }

func (s *server) listTenants(ctx context.Context, a keys.Actor, in *listTenantsInput) (*listTenantsOutput, error) {
	page, err := s.Registry.TenantList(ctx, a, keys.TenantFilter{Search: in.Search, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &listTenantsOutput{Body: TenantList{Items: make([]Tenant, len(page.Items)), Next: cursor(page.Next)}}
	for i, t := range page.Items {
		out.Body.Items[i] = makeTenant(t)
	}
	return out, nil
}

type createTenantInput struct{ Body NewTenant }

type createdTenantOutput struct {
	ETag     string `header:"ETag" doc:"The version in quotes, for If-Match." example:"\"1\""`
	Location string `header:"Location" doc:"Where the organisation is." example:"/v1/tenants/acme"`
	Body     Tenant
}

func (s *server) createTenant(ctx context.Context, a keys.Actor, in *createTenantInput) (*createdTenantOutput, error) {
	t, err := s.Registry.CreateTenant(ctx, a, keys.NewTenant{ID: keys.TenantID(in.Body.ID), Name: in.Body.Name, Plan: in.Body.Plan})
	if err != nil {
		return nil, err
	}
	return &createdTenantOutput{ETag: etag(t.Version), Location: "/v1/tenants/" + string(t.ID), Body: makeTenant(t)}, nil
}

func (s *server) showTenant(ctx context.Context, a keys.Actor, in *tenantInput) (*tenantOutput, error) {
	t, err := s.Registry.TenantNamed(ctx, a, keys.TenantID(in.ID))
	if err != nil {
		return nil, err
	}
	return &tenantOutput{ETag: etag(t.Version), Body: makeTenant(t)}, nil
}

type editTenantInput struct {
	ID      string `path:"id" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" patternDescription:"the id of a tenant" doc:"The organisation's id." example:"acme"`
	IfMatch string `header:"If-Match" doc:"Change only while the organisation still has this ETag." example:"\"1\""`
	Body    struct {
		Name Maybe[string] `json:"name,omitzero" doc:"For people." example:"Acme Ltd"`
		Plan Maybe[string] `json:"plan,omitzero" doc:"What it has bought, one of tenant_plans; null for nothing in particular." example:"business"`
	}
}

func (s *server) editTenant(ctx context.Context, a keys.Actor, in *editTenantInput) (*tenantOutput, error) {
	t, err := s.Registry.EditTenant(ctx, a, keys.TenantID(in.ID), keys.TenantEdit{
		Name: in.Body.Name.pointer(), Plan: in.Body.Plan.pointer(), IfVersion: versionsOf(in.IfMatch),
	})
	if err != nil {
		return nil, err
	}
	return &tenantOutput{ETag: etag(t.Version), Body: makeTenant(t)}, nil
}
