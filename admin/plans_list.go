package admin

import (
	"context"
	"maps"
	"slices"

	"postern/internal/keys"
	"postern/limiter"
)

const listPlansDoc = "Lists the plans: what limits a key on each has. gateway.yaml declares them."

// Plan is a key's limits.
type Plan struct {
	Name      string      `json:"name" doc:"As in a key's plan." example:"standard"`
	Limits    []PlanLimit `json:"limits" doc:"All of them hold; empty for unlimited."`
	TimeZone  string      `json:"time_zone" doc:"In which days and months begin." example:"UTC"`
	ManagedBy string      `json:"managed_by" doc:"File and line of the declaration." example:"gateway.yaml:20"`
}

// PlanLimit is one limit of a plan.
type PlanLimit struct {
	Limit string `json:"limit" doc:"The number and its window." example:"2/s"`
	Per   string `json:"per" enum:"key,owner,tenant" doc:"What it counts by." example:"key"`
}

// PlanList is all plans.
type PlanList struct {
	Items []Plan  `json:"items" doc:"The plans, by name."`
	Next  *string `json:"next" doc:"Always null: the list is whole."`
}

type plansOutput struct{ Body PlanList }

func (s *server) listPlans(context.Context, keys.Actor, *declaredInput) (*plansOutput, error) {
	declared := s.Registry.Catalog().Plans
	out := &plansOutput{Body: PlanList{Items: []Plan{}}}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		p := declared[name]
		item := Plan{Name: string(name), Limits: []PlanLimit{}, TimeZone: "UTC", ManagedBy: p.Where}
		if p.Zone != nil {
			item.TimeZone = p.Zone.String()
		}
		for _, l := range p.Limits {
			item.Limits = append(item.Limits, PlanLimit{Limit: l.Limit.String(), Per: perWord(l.Per)})
		}
		out.Body.Items = append(out.Body.Items, item)
	}
	return out, nil
}

// perWord is what a limit counts by, as gateway.yaml writes it.
func perWord(l limiter.Level) string {
	switch l {
	case limiter.Owner:
		return "owner"
	case limiter.Tenant:
		return "tenant"
	default:
		return "key"
	}
}
