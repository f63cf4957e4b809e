package admin

import (
	"context"

	"postern/internal/keys"
)

const listUsersDoc = "Lists the people that the caller may see, oldest first, a page at a time. Filters add up."

type listUsersInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"People on a page." example:"100"`
	Cursor string `query:"cursor" doc:"next of the page before."`
	Search string `query:"search" doc:"Case-insensitive part of the name, e-mail or id." example:"ada"`
	Tenant string `query:"tenant" doc:"Only people of this organisation, or the word provider." example:"default"`
	Role   string `query:"role" doc:"Only people with this role." example:"developer"`
}

// UserList is one page of people.
type UserList struct {
	Items []User  `json:"items" doc:"The people of this page."`
	Next  *string `json:"next" doc:"cursor of the next page; null on the last."`
}

type listUsersOutput struct{ Body UserList }

func (s *server) listUsers(ctx context.Context, a keys.Actor, in *listUsersInput) (*listUsersOutput, error) {
	page, err := s.Registry.Users(ctx, a, in.Tenant, keys.UserFilter{
		Role: keys.RoleName(in.Role), Search: in.Search, Cursor: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	out := &listUsersOutput{Body: UserList{Items: make([]User, len(page.Items)), Next: cursor(page.Next)}}
	for i, u := range page.Items {
		out.Body.Items[i] = makeUser(u)
	}
	return out, nil
}
