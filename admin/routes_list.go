package admin

import (
	"context"

	"postern/internal/keys"
)

const listRoutesDoc = "Lists the gateway's routes: which requests go where, and what they need. gateway.yaml declares them. " +
	"Upstreams are shown to those alone who may read the configuration."

// GatewayRoute says which requests go to which upstream, and what it takes to get there.
type GatewayRoute struct {
	Name      string              `json:"name" doc:"In logs and metrics." example:"orders"`
	Hosts     []string            `json:"hosts" doc:"Host names that it is for; empty for any." example:"api.example.com"`
	Path      string              `json:"path" doc:"The path, or with a slash at the end all below it." example:"/orders/"`
	Public    bool                `json:"public" doc:"Callers need no key." example:"false"`
	Enforce   bool                `json:"enforce" doc:"False: it observes, and lets pass what it would refuse." example:"true"`
	API       string              `json:"api" doc:"The API that a key must hold; empty for any." example:"orders"`
	Scopes    map[string][]string `json:"scopes" doc:"The scopes that each method needs, all of them; * for every other method." example:"{\"GET\":[\"orders.read\"]}"`
	Limits    []string            `json:"limits" doc:"On top of the plan's." example:"100/s"`
	Cost      int64               `json:"cost" doc:"What one request counts." example:"1"`
	Upstreams []string            `json:"upstreams,omitempty" doc:"Where requests go; only for those who may read the configuration." example:"http://10.0.0.5:9000"`
	ManagedBy string              `json:"managed_by" doc:"File and line of the declaration." example:"gateway.yaml:40"`
}

// RouteList is all routes.
type RouteList struct {
	Items []GatewayRoute `json:"items" doc:"The routes, by name."`
	Next  *string        `json:"next" doc:"Always null: the list is whole."`
}

type routesOutput struct{ Body RouteList }

func (s *server) listRoutes(_ context.Context, a keys.Actor, _ *declaredInput) (*routesOutput, error) {
	routes := notNil(s.Configuration.Configuration().Routes)
	if a.Tenant != "" || !a.Permissions.Has(keys.ConfigRead) {
		for i := range routes {
			routes[i].Upstreams = nil
		}
	}
	return &routesOutput{Body: RouteList{Items: routes}}, nil
}
