package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/keys"
)

// token is what the admin API says of an admin token, as far as the tables show it.
type token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Roles     []string   `json:"roles"`
	Tenant    *string    `json:"tenant"`
	Preview   string     `json:"preview"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
}

// place is where the token works.
func (t token) place() string {
	if t.Tenant == nil {
		return "all"
	}
	return *t.Tenant
}

// status says in a word what the times say.
func (t token) status(now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !t.ExpiresAt.After(now):
		return "expired"
	}
	return "active"
}

func newTokens(g *globals) *cobra.Command {
	return group("tokens", "Issue, list and revoke admin tokens",
		newTokensCreate(g), newTokensList(g), newTokensRevoke(g))
}

// newTokensCreate works beside a stopped or a running server alike: it opens the database next to
// the configuration, because the first token cannot come from an API that asks for one.
func newTokensCreate(g *globals) *cobra.Command {
	var name, tenant, expiresIn string
	var roles []string
	c := &cobra.Command{
		Use:     "create --role ROLE",
		Short:   "Make an admin token in the configuration's own database and print it",
		Example: `  export POSTERN_ADMIN_TOKEN=$(postern tokens create --role operator --config gateway.yaml)`,
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if len(roles) == 0 {
				return usageError("missing --role: operator, support, tenant_admin, auditor, developer or viewer")
			}
			in := keys.NewToken{Name: name, Tenant: keys.TenantID(tenant)}
			for _, r := range roles {
				in.Roles = append(in.Roles, keys.RoleName(r))
			}
			if expiresIn != "" {
				life, err := keys.ParseLifetime(expiresIn)
				if err != nil {
					return usageError("--expires-in: %v", err)
				}
				in.Expiry = &life
			}
			registry, end, err := openOffline(cmd.Context(), g)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, end()) }()
			made, err := registry.CreateToken(cmd.Context(), keys.LocalActor("postern tokens create"), in)
			if err != nil {
				return registryFailure(err)
			}
			if g.output == "json" {
				return writeJSON(g.out, map[string]any{"id": made.Token.ID, "name": made.Token.Name,
					"roles": made.Token.Roles, "secret": made.Secret.Reveal()})
			}
			_, err = fmt.Fprintln(g.out, made.Secret.Reveal())
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&name, "name", "cli", "what people call the token")
	f.StringVar(&tenant, "tenant", "", "organisation it works in (default: all)")
	f.StringSliceVar(&roles, "role", nil, "role the token gets; repeat for more")
	f.StringVar(&expiresIn, "expires-in", "", "lifetime, such as 12h, 90d or never (default: never)")
	return c
}

func newTokensList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List admin tokens, newest first",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newClient(g)
			if err != nil {
				return err
			}
			return listAll(cmd, g, client, "/v1/tokens", url.Values{}, 0,
				[]string{"ID", "NAME", "TENANT", "ROLES", "STATUS", "CREATED", "EXPIRES"},
				func(t token) []string {
					return []string{t.ID, t.Name, t.place(), strings.Join(t.Roles, ", "), t.status(time.Now()), when(&t.CreatedAt, ""), when(t.ExpiresAt, "never")}
				})
		},
	}
}

func newTokensRevoke(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke TOKEN_ID",
		Short: "End an admin token for good",
		Args:  exactArgs("the token's id, such as tok_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(g)
			if err != nil {
				return err
			}
			if err := client.do(cmd.Context(), http.MethodDelete, "/v1/tokens/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(g.err, "Token %s is revoked.\n", args[0])
			return nil
		},
	}
}
