package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const listKeysDoc = "Lists the keys that the caller may see, a page at a time. Filters add up. " +
	"A page may be followed only with the filters and order it was asked for with."

type listKeysInput struct {
	Limit         int       `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Keys on a page." example:"100"`
	Cursor        string    `query:"cursor" doc:"next of the page before."`
	Search        string    `query:"search" doc:"Case-insensitive part of the name, id or owner." example:"ci"`
	Status        string    `query:"status" enum:"pending,active,suspended,expired,revoked,denied" doc:"Only keys in this state." example:"active"`
	Owner         string    `query:"owner" doc:"Only keys of this owner: a user's id, or the word tenant for those that belong to the tenant itself." example:"tenant"`
	Tenant        string    `query:"tenant" doc:"Only keys of this organisation." example:"default"`
	Kind          string    `query:"kind" enum:"api_key,client" doc:"Only keys of this kind." example:"api_key"`
	API           string    `query:"api" doc:"Only keys that hold this API." example:"orders"`
	Sort          string    `query:"sort" enum:"created_at,-created_at,name,-name,expires_at,-expires_at,updated_at,-updated_at" default:"created_at" doc:"Order; a minus before it for descending." example:"-created_at"`
	ExpiresBefore time.Time `query:"expires_before" doc:"Only keys that end before this time." example:"2027-01-01T00:00:00Z"`
	UnusedFor     string    `query:"unused_for" doc:"Only keys that were made, and not used, for so long: 12h, 90d, 6mo, 1y." example:"90d"`
}

// KeyList is one page of keys.
type KeyList struct {
	Items []Key   `json:"items" doc:"The keys of this page."`
	Next  *string `json:"next" doc:"cursor of the next page; null on the last."`
}

type listKeysOutput struct{ Body KeyList }

func (s *server) listKeys(ctx context.Context, a keys.Actor, in *listKeysInput) (*listKeysOutput, error) {
	filter := keys.CredentialFilter{
		Tenant:        keys.TenantID(in.Tenant),
		Kind:          keys.Kind(in.Kind),
		Status:        keys.Status(in.Status),
		Now:           s.Registry.Now(),
		API:           keys.APIName(in.API),
		Search:        in.Search,
		ExpiresBefore: in.ExpiresBefore.UTC(),
		Sort:          in.Sort,
		Cursor:        in.Cursor,
		Limit:         in.Limit,
	}
	if in.Owner == string(keys.OwnerTenant) {
		filter.OwnerType = keys.OwnerTenant
	} else {
		filter.OwnerID = in.Owner
	}
	var err error
	if filter.UnusedSince, err = s.unusedSince("unused_for", in.UnusedFor); err != nil {
		return nil, err
	}
	page, err := s.Registry.Credentials(ctx, a, filter)
	if err != nil {
		return nil, err
	}
	out := &listKeysOutput{Body: KeyList{Items: make([]Key, len(page.Items)), Next: cursor(page.Next)}}
	for i, c := range page.Items {
		out.Body.Items[i] = s.makeKey(c)
	}
	return out, nil
}

// unusedSince is the instant that lies so long ago, the zero one where nothing was said.
func (s *server) unusedSince(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	l, err := keys.ParseLifetime(text)
	since, ok := l.Ago(s.Registry.Now())
	if err != nil || !ok {
		return time.Time{}, invalid(field, "is no length of time: write for example 12h, 90d, 6mo or 1y")
	}
	return since, nil
}

// cursor shows where the next page begins, or null.
func cursor(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}
