package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// user is what the admin API says of a person, as far as the tables show it.
type user struct {
	ID          string    `json:"id"`
	Email       string    `json:"email"`
	Name        string    `json:"name"`
	Tenant      *string   `json:"tenant"`
	Roles       []string  `json:"roles"`
	Disabled    bool      `json:"disabled"`
	KeyAccess   bool      `json:"key_access"`
	PasswordSet bool      `json:"password_set"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// status says in a word whether the person can sign in.
func (u user) status() string {
	switch {
	case u.Disabled:
		return "disabled"
	case !u.PasswordSet:
		return "invited"
	}
	return "active"
}

// place names where the person belongs.
func (u user) place() string {
	if u.Tenant == nil {
		return "provider"
	}
	return *u.Tenant
}

func newUsers(g *globals) *cobra.Command {
	return group("users", "Invite, list and change people, and what they may do",
		newUsersInvite(g), newUsersList(g), newUsersShow(g), newUsersRoles(g), newUsersKeyAccess(g),
		newUsersDisable(g), newUsersEnable(g), newUsersDelete(g))
}

const userArgument = "the person: an e-mail address, or an id such as usr_2b9xQm4TzL0a"

// findUser is where the API has the person that an argument names.
func findUser(cmd *cobra.Command, g *globals, who string) (api *client, path string, err error) {
	if api, err = newClient(g); err != nil {
		return nil, "", err
	}
	path, err = userPath(cmd.Context(), api, who)
	return api, path, err
}

// userPath finds the person that an argument names, by id or by e-mail.
func userPath(ctx context.Context, c *client, who string) (string, error) {
	if !strings.Contains(who, "@") {
		return "/v1/users/" + url.PathEscape(who), nil
	}
	var page struct {
		Items []user  `json:"items"`
		Next  *string `json:"next"`
	}
	query := url.Values{"search": {who}, "limit": {"1000"}}
	for {
		if err := c.do(ctx, http.MethodGet, "/v1/users", query, nil, &page); err != nil {
			return "", err
		}
		for _, u := range page.Items {
			if strings.EqualFold(u.Email, who) {
				return "/v1/users/" + u.ID, nil
			}
		}
		if page.Next == nil {
			return "", &failure{code: exitNotFound, err: fmt.Errorf("nobody here has the e-mail %s", printable(who)),
				next: "`postern users list` shows who is there."}
		}
		query.Set("cursor", *page.Next)
	}
}

// showUser prints the person that a call answers with.
func showUser(cmd *cobra.Command, g *globals, api *client, method, path string, in any) error {
	return ask(cmd, g, api, method, path, in, func(u user) error {
		return writeTable(g.out, []string{"FIELD", "VALUE"}, [][]string{
			{"id", u.ID}, {"email", u.Email}, {"name", u.Name}, {"tenant", u.place()}, {"roles", strings.Join(u.Roles, ", ")},
			{"status", u.status()}, {"key access", accessWord(u.KeyAccess)}, {"created", when(&u.CreatedAt, "")}, {"updated", when(&u.UpdatedAt, "")},
		})
	})
}

// accessWord says whether a person may have keys.
func accessWord(allowed bool) string {
	if allowed {
		return "yes"
	}
	return "removed"
}
