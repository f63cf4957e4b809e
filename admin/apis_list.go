package admin

import (
	"context"
	"maps"
	"slices"

	"postern/internal/keys"
)

const listAPIsDoc = "Lists the APIs that keys can be granted, with their scopes. gateway.yaml declares them."

// API is a named set of scopes.
type API struct {
	Name        string            `json:"name" doc:"As in a key's apis." example:"orders"`
	Title       string            `json:"title" doc:"For people." example:"Orders"`
	Description string            `json:"description" doc:"For people." example:"Read and place orders"`
	Scopes      map[string]string `json:"scopes" doc:"Each scope, and what it allows." example:"{\"orders.read\":\"See orders\"}"`
	ManagedBy   string            `json:"managed_by" doc:"File and line of the declaration." example:"gateway.yaml:12"`
}

// APIList is all APIs.
type APIList struct {
	Items []API   `json:"items" doc:"The APIs, by name."`
	Next  *string `json:"next" doc:"Always null: the list is whole."`
}

type apisOutput struct{ Body APIList }

func (s *server) listAPIs(context.Context, keys.Actor, *declaredInput) (*apisOutput, error) {
	declared := s.Registry.Catalog().APIs
	out := &apisOutput{Body: APIList{Items: []API{}}}
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		a := declared[name]
		item := API{Name: string(name), Title: a.Title, Description: a.Description, Scopes: map[string]string{}, ManagedBy: a.Where}
		for scope, text := range a.Scopes {
			item.Scopes[string(scope)] = text
		}
		out.Body.Items = append(out.Body.Items, item)
	}
	return out, nil
}
