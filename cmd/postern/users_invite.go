package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/keys"
)

// firstEmail is the first administrator's until he gives himself another.
const firstEmail = "admin@localhost"

// invitation is what the admin API says of an invitation.
type invitation struct {
	User      user      `json:"user"`
	Code      string    `json:"code"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

func newUsersInvite(g *globals) *cobra.Command {
	var first bool
	var in struct {
		Email     string   `json:"email"`
		Name      string   `json:"name,omitempty"`
		Tenant    string   `json:"tenant,omitempty"`
		Roles     []string `json:"roles,omitempty"`
		ExpiresIn string   `json:"expires_in,omitempty"`
	}
	c := &cobra.Command{
		Use:   "invite --email EMAIL [--role ROLE]... | invite --first",
		Short: "Make a one-time code with which a person chooses a password",
		Long: `Make a one-time code with which a person chooses a password; no mail is sent. The person is created
unless there is one with the e-mail; then the code lets him choose a new password.

With --first it needs no server: it opens the database beside the configuration and invites the
first administrator of the installation. Only whoever can read the secrets can do that.`,
		Example: `  postern users invite --first --config gateway.yaml
  postern users invite --email ada@example.com --role developer --tenant acme`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if first {
				if in.Name != "" || in.Tenant != "" || len(in.Roles) > 0 || in.ExpiresIn != "" {
					return usageError("--first stands alone, or beside --email: the first is an operator of the provider")
				}
				return inviteFirst(cmd.Context(), g, in.Email)
			}
			if in.Email == "" {
				return usageError("missing --email, or --first")
			}
			api, err := newClient(g)
			if err != nil {
				return err
			}
			var made invitation
			if err := api.do(cmd.Context(), http.MethodPost, "/v1/invitations", nil, in, &made); err != nil {
				return err
			}
			if g.output == "json" {
				return writeJSON(g.out, made)
			}
			return printInvitation(g, api.base.String(), made)
		},
	}
	f := c.Flags()
	f.BoolVar(&first, "first", false, "the first administrator, without a server")
	f.StringVar(&in.Email, "email", "", "e-mail address, with which the person signs in")
	f.StringVar(&in.Name, "name", "", "what the person is called")
	f.StringVar(&in.Tenant, "tenant", "", "organisation, or provider for the provider's people (default: by the roles)")
	f.StringSliceVar(&in.Roles, "role", nil, "role the person gets; repeat for more")
	f.StringVar(&in.ExpiresIn, "expires-in", "", "how long the code lives, at most 30d (default: 72h)")
	return c
}

// inviteFirst invites the first administrator beside a stopped or a running server alike.
func inviteFirst(ctx context.Context, g *globals, email string) (err error) {
	cfg, _, err := config.Load(g.config, config.LoadOptions{Env: g.env})
	if err != nil {
		return err
	}
	registry, end, err := openOffline(ctx, g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	there, err := registry.HasAdministrator(ctx)
	if err != nil {
		return registryFailure(err)
	}
	if there && email == "" {
		return &failure{code: exitFailed, err: errors.New("there is an administrator already who can sign in"),
			next: "Let him invite others, or name one of the provider's people by --email to make him a new code."}
	}
	return firstSignIn(ctx, g, cfg, registry, email)
}

// firstSignIn invites an operator and prints how he signs in. One who is there already gets a new code.
func firstSignIn(ctx context.Context, g *globals, cfg *config.Config, registry *keys.Registry, email string) error {
	if email == "" {
		email = firstEmail
	}
	actor := keys.LocalActor("postern users invite")
	made, err := registry.Invite(ctx, actor, keys.Invitation{NewUser: keys.NewUser{Email: email}, Known: true})
	var refusal *keys.Refusal
	if errors.As(err, &refusal) && refusal.Code == keys.NotFoundHere {
		made, err = registry.Invite(ctx, actor, keys.Invitation{NewUser: keys.NewUser{
			Email: email, Tenant: keys.ProviderName, Roles: []keys.RoleName{keys.RoleOperator},
		}})
	}
	if err != nil {
		return registryFailure(err)
	}
	url := ""
	if cfg.Listen.Admin != "" {
		url = adminURL(cfg, string(cfg.Listen.Admin))
	}
	out := invitation{User: user{ID: string(made.User.ID), Email: made.User.Email}, Code: made.Code.Reveal(),
		URL: url + "/#code=" + made.Code.Reveal(), ExpiresAt: made.ExpiresAt}
	if g.output == "json" {
		return writeJSON(g.out, map[string]any{"email": out.User.Email, "code": out.Code, "url": out.URL, "expires_at": out.ExpiresAt})
	}
	return printInvitation(g, url, out)
}

// printInvitation says how the code is used. The password goes in by standard input, so that it stands
// in no list of processes.
func printInvitation(g *globals, base string, in invitation) error {
	_, err := fmt.Fprintf(g.out, `Sign-in  %s
E-mail   %s
Code     %s
         works once, until %s

Choose a password (12 characters or more): type this, then one line {"code":"…","password":"…"}, then Ctrl-D.
  curl -H 'Content-Type: application/json' -d @- %s/v1/password-resets
Sign in with one line {"email":"%s","password":"…"}; the session is kept in the file cookies.
  curl -c cookies -H 'Content-Type: application/json' -d @- %s/v1/session
`, in.URL, printable(in.User.Email), in.Code, when(&in.ExpiresAt, ""), base, printable(in.User.Email), base)
	return err
}
