package admin

import (
	"context"
	"maps"
	"slices"

	"postern/internal/keys"
)

const listTenantPlansDoc = "Lists the tenant plans: what an organisation can have bought. gateway.yaml declares them."

// TenantPlan is what an organisation has bought.
type TenantPlan struct {
	Name        string `json:"name" doc:"As in a tenant's plan." example:"business"`
	Keys        bool   `json:"keys" doc:"Are keys included." example:"true"`
	DefaultPlan string `json:"default_plan" doc:"The plan of its keys when none is named; empty where the policy says." example:"standard"`
	ManagedBy   string `json:"managed_by" doc:"File and line of the declaration." example:"gateway.yaml:25"`
}

// TenantPlanList is all tenant plans.
type TenantPlanList struct {
	Items []TenantPlan `json:"items" doc:"The tenant plans, by name."`
	Next  *string      `json:"next" doc:"Always null: the list is whole."`
}

type tenantPlansOutput struct{ Body TenantPlanList }

func (s *server) listTenantPlans(context.Context, keys.Actor, *declaredInput) (*tenantPlansOutput, error) {
	declared := s.Registry.Catalog().TenantPlans
	out := &tenantPlansOutput{Body: TenantPlanList{Items: []TenantPlan{}}}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		p := declared[name]
		out.Body.Items = append(out.Body.Items, TenantPlan{Name: name, Keys: p.Keys, DefaultPlan: string(p.DefaultPlan), ManagedBy: p.Where})
	}
	return out, nil
}
