package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"postern/config"
	"postern/internal/keys"
)

// demoConfig is a small installation on loopback. The three addresses are filled in.
const demoConfig = `# Made by postern demo.
version: 1
listen: { gateway: "%s", admin: "%s" }
drain: { delay: 0s, timeout: 5s }

apis:
  orders:
    title: Orders
    description: Read and place orders
    scopes:
      orders.read: See orders
      orders.write: Place orders

plans:
  standard: { limits: [2/s, 1000/day] }

policy:
  default_plan: standard

routes:
  orders:
    match: { path: /orders/ }
    upstream: { targets: ["http://%s"] }
    api: orders
    scopes: { GET: [orders.read], "*": [orders.write] }
`

// demoFacts are what the demo prints, and the line of JSON that scripts read.
type demoFacts struct {
	GatewayURL  string `json:"gateway_url"`
	AdminURL    string `json:"admin_url"`
	AdminToken  string `json:"admin_token"`
	Username    string `json:"username"`
	Password    string `json:"password"`
	APIKey      string `json:"api_key"`
	APIKeyID    string `json:"api_key_id"`
	Curl        string `json:"curl"`
	UpstreamURL string `json:"upstream_url"`
}

func newDemo(g *globals) *cobra.Command {
	var asJSON bool
	var keep string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Try it: gateway, admin API and an upstream on this machine, with a key that works",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			dir := keep
			if dir == "" {
				if dir, err = os.MkdirTemp("", "postern-demo-"); err != nil {
					return fmt.Errorf("make a folder for the demo: %w", err)
				}
				defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			}
			return demo(cmd.Context(), g, dir, asJSON || g.output == "json", keep != "")
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON first, for scripts")
	c.Flags().StringVar(&keep, "keep", "", "keep configuration and data in this `folder`")
	return c
}

// demo makes an installation in dir and serves until ctx ends.
func demo(ctx context.Context, g *globals, dir string, asJSON, kept bool) error {
	upstream, err := listenDemo(ctx, "127.0.0.1:9000")
	if err != nil {
		return err
	}
	defer upstream.Close()
	path := filepath.Join(dir, defaultConfig)
	cfg, err := writeDemoConfig(ctx, path, upstream.Addr().String(), g.env)
	if err != nil {
		return err
	}
	facts, err := seedDemo(ctx, cfg, g.env)
	if err != nil {
		return err
	}
	facts.UpstreamURL = "http://" + upstream.Addr().String()
	lock, err := lockForGateway(string(cfg.DataDir))
	if err != nil {
		return err
	}
	defer lock.Close()
	p, err := build(ctx, cfg, g.session, g.err)
	if err != nil {
		return err
	}
	cut, forget := cutOnSecondSignal()
	defer forget()

	server := &http.Server{Handler: newDemoUpstream(), ReadHeaderTimeout: 5 * time.Second}
	work, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error {
		if err := server.Serve(upstream); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("demo upstream: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer server.Close()
		return p.serve(work, cut)
	})
	group.Go(func() error {
		select {
		case <-p.serving:
		case <-work.Done():
			return nil
		}
		if asJSON {
			err = writeLine(g.out, facts)
		} else {
			err = facts.print(g, path, kept)
		}
		if err != nil {
			stop()
		}
		return err
	})
	return group.Wait()
}

// writeDemoConfig takes the usual ports when they are free, others when not.
func writeDemoConfig(ctx context.Context, path, upstream string, env []string) (*config.Config, error) {
	if _, err := os.Stat(path); err == nil {
		return nil, usageError("%s exists already: run it with `postern run --config %s`, or keep the demo elsewhere", path, shellQuote(path))
	}
	addresses := make([]any, 0, 3)
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close() // only held so that no port is found twice
		}
	}()
	for _, usual := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		l, err := listenDemo(ctx, usual)
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		addresses = append(addresses, l.Addr().String())
	}
	text := []byte(fmt.Sprintf(demoConfig, append(addresses, upstream)...))
	if err := writeNew(path, text); err != nil {
		return nil, err
	}
	cfg, _, err := config.Load(path, config.LoadOptions{Env: env})
	return cfg, err
}

// listenDemo binds the usual address, or any free port of loopback when that is taken.
func listenDemo(ctx context.Context, usual string) (net.Listener, error) {
	var lc net.ListenConfig
	if l, err := lc.Listen(ctx, "tcp", usual); err == nil {
		return l, nil
	}
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	return l, nil
}

// seedDemo makes the secrets, the database, an operator's token and a key.
func seedDemo(ctx context.Context, cfg *config.Config, env []string) (facts demoFacts, err error) {
	if err := makeSecrets(cfg); err != nil {
		return facts, err
	}
	i, err := openInstallation(ctx, cfg, env, slog.New(slog.DiscardHandler))
	if err != nil {
		return facts, err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	registry, err := i.registry(ctx, cfg, nil)
	if err != nil {
		return facts, err
	}
	actor := keys.LocalActor("postern demo")
	token, err := registry.CreateToken(ctx, actor, keys.NewToken{Name: "demo", Roles: []keys.RoleName{"operator"}})
	if err != nil {
		return facts, registryFailure(err)
	}
	if err := writeProfile(cfg, token.Secret); err != nil {
		return facts, err
	}
	username, password, err := seedPerson(ctx, registry, actor)
	if err != nil {
		return facts, err
	}
	key, err := registry.Generate(ctx, actor, keys.NewCredential{Kind: keys.APIKey, Name: "demo", APIs: []keys.APIName{"orders"}})
	if err != nil {
		return facts, registryFailure(err)
	}
	facts = demoFacts{
		GatewayURL: gatewayURL(cfg, string(cfg.Listen.Gateway)),
		AdminURL:   adminURL(cfg, string(cfg.Listen.Admin)),
		AdminToken: token.Secret.Reveal(),
		Username:   username,
		Password:   password.Reveal(),
		APIKey:     key.Secret.Reveal(),
		APIKeyID:   string(key.Credential.ID),
	}
	facts.Curl = fmt.Sprintf("curl -i -H 'X-API-Key: %s' %s/orders/", facts.APIKey, facts.GatewayURL)
	return facts, nil
}

// seedPerson makes somebody who can sign in, with a password of his own each time.
func seedPerson(ctx context.Context, registry *keys.Registry, actor keys.Actor) (username string, password keys.Secret, err error) {
	invited, err := registry.Invite(ctx, actor, keys.Invitation{NewUser: keys.NewUser{
		Email: "demo@localhost", Name: "Demo", Tenant: keys.ProviderName, Roles: []keys.RoleName{keys.RoleOperator},
	}})
	if err != nil {
		return "", password, registryFailure(err)
	}
	password = keys.NewSecret(rand.Text())
	if _, err := registry.AcceptCode(ctx, invited.Code, password, keys.Caller{}); err != nil {
		return "", password, registryFailure(err)
	}
	return invited.User.Email, password, nil
}

// print tells a person what is there and what to type.
func (f demoFacts) print(g *globals, path string, kept bool) error {
	after := "Ctrl-C ends it and leaves nothing behind."
	if kept {
		after = "Ctrl-C ends it; `postern run --config " + shellQuote(path) + "` starts it again, without the demo's upstream."
	}
	_, err := fmt.Fprintf(g.out, `Postern is serving. %s

  Gateway    %s
  Upstream   %s   what the gateway stands in front of
  Admin API  %s
  Token      %s
  Sign-in    %s with the password %s
  Key        %s
             plan standard: 2 requests a second, 1000 a day

Call the API. The third call within a second is refused, with the exact wait:
  %s

Without the key: 401.
  curl -i %s/orders/

Revoke the key, and call again: 401 within a second.
  curl -X POST -H 'Authorization: Bearer %s' %s/v1/keys/%s/revoke

`, after, f.GatewayURL, f.UpstreamURL, f.AdminURL, f.AdminToken, f.Username, f.Password, f.APIKey, f.Curl, f.GatewayURL, f.AdminToken, f.AdminURL, f.APIKeyID)
	return err
}
