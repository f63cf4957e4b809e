package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/keys"
)

// starterConfig is what init writes: one API, one plan, one route, everything else as the
// reference configuration says.
const starterConfig = `# Postern's configuration. What is not written here has the default that the reference
# configuration shows; ` + "`postern validate`" + ` checks every change before it counts.
version: 1

apis:
  main:
    title: Main
    description: Everything that this gateway stands in front of
    scopes:
      main.read: Read
      main.write: Create, change and delete

plans:
  standard: { limits: [10/s, 10000/day] }

policy:
  default_plan: standard

routes:
  main:
    match: { path: / }
    upstream: { targets: [%s] }
    api: main
    scopes: { GET: [main.read], "*": [main.write] }
`

func newInit(g *globals) *cobra.Command {
	var upstream string
	c := &cobra.Command{
		Use:   "init --upstream URL",
		Short: "Make a configuration, secrets, a database, an admin token and the first sign-in here",
		Long: `In an empty folder, init --upstream URL writes gateway.yaml, the secrets, the database and a
profile that the other commands find; nothing needs editing before postern run.

Without --upstream it makes what an existing configuration still lacks.`,
		Example: `  postern init --upstream http://127.0.0.1:9000
  postern init --config /etc/postern/gateway.yaml`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if upstream == "" {
				cfg, warnings, err := config.Load(g.config, config.LoadOptions{Env: g.env})
				for _, w := range warnings {
					fmt.Fprintln(g.err, w.String())
				}
				if err != nil {
					if _, missing := os.Stat(g.config); errors.Is(missing, os.ErrNotExist) {
						return usageError("there is no %s: give --upstream URL to make one", g.config)
					}
					return err
				}
				return initialise(cmd.Context(), g, cfg)
			}
			return initNew(cmd.Context(), g, upstream)
		},
	}
	c.Flags().StringVar(&upstream, "upstream", "", "`URL` of the API to stand in front of")
	return c
}

// initNew writes the configuration last, so that a failure on the way leaves no configuration that
// looks finished.
func initNew(ctx context.Context, g *globals, upstream string) error {
	u, err := url.Parse(upstream)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return usageError("--upstream: %q is not a plain http or https URL, such as http://127.0.0.1:9000", upstream)
	}
	if _, err := os.Stat(g.config); err == nil {
		return usageError("%s exists already: leave out --upstream to make what it still lacks", g.config)
	}
	quoted, err := json.Marshal(u.String()) // a JSON string is a YAML string
	if err != nil {
		return fmt.Errorf("write upstream: %w", err)
	}
	text := []byte(fmt.Sprintf(starterConfig, quoted))
	cfg, _, err := config.Parse(g.config, text, config.LoadOptions{Env: g.env})
	if err != nil {
		return err
	}
	if err := initialise(ctx, g, cfg); err != nil {
		return err
	}
	if err := writeNew(g.config, text); err != nil {
		return err
	}
	next := configFlag(g)
	fmt.Fprintf(g.out, `Next:
  postern run%s
  KEY=$(postern keys create --name first --api main%s)
  curl -i -H "X-API-Key: $KEY" %s/
`, next, next, gatewayURL(cfg, string(cfg.Listen.Gateway)))
	return nil
}

// initialise makes the secrets, the database and the profile, as far as they are missing.
func initialise(ctx context.Context, g *globals, cfg *config.Config) (err error) {
	_, fresh := os.Stat(cfg.Store.SQLite)
	if err := checkShared(ctx, cfg, g.env); err != nil {
		return err
	}
	if err := makeSecrets(cfg); err != nil {
		return err
	}
	if cfg.Store.None() {
		fmt.Fprintln(g.err, "Secrets are in place. With store: none there is no database and no admin token.")
		return nil
	}
	path := profilePath(cfg)
	if _, err := os.Stat(path); err == nil {
		fmt.Fprintf(g.err, "Nothing to do: %s is there already.\n", path)
		return nil
	}
	i, err := openInstallation(ctx, cfg, g.env, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	registry, err := i.registry(ctx, cfg, nil)
	if err != nil {
		return err
	}
	made, err := registry.CreateToken(ctx, keys.LocalActor("postern init"),
		keys.NewToken{Name: "init", Roles: []keys.RoleName{"operator"}})
	if err != nil {
		return registryFailure(err)
	}
	if err := writeProfile(cfg, made.Secret); err != nil {
		return err
	}
	if cfg.Store.Shared() {
		fmt.Fprintf(g.err, "Secrets and %s are ready. Made an operator's admin token (kept in %s):\n", cfg.Store, path)
	} else if errors.Is(fresh, os.ErrNotExist) {
		fmt.Fprintf(g.err, "Made the secrets, the database in %s, and an operator's admin token (kept in %s):\n", cfg.DataDir, path)
	} else { // as after a restore
		fmt.Fprintf(g.err, "The database in %s was there already. Made an operator's admin token (kept in %s):\n", cfg.DataDir, path)
	}
	fmt.Fprintf(g.out, "%s\n", made.Secret.Reveal())
	return firstSignIn(ctx, g, cfg, registry, "")
}

// adminURL is where people on this machine reach the admin listener.
func adminURL(cfg *config.Config, address string) string {
	if cfg.Admin.PublicURL != "" {
		return string(cfg.Admin.PublicURL)
	}
	return localURL(address, cfg.Admin.TLS.CertFile != "")
}

// gatewayURL is where people on this machine reach the gateway; with certificates of a CA it answers
// to its domains only.
func gatewayURL(cfg *config.Config, address string) string {
	if len(cfg.TLS.Domains) == 0 {
		return localURL(address, cfg.TLS.On())
	}
	url := "https://" + string(cfg.TLS.Domains[0])
	if _, port, err := net.SplitHostPort(address); err == nil && port != "443" {
		url += ":" + port
	}
	return url
}

func localURL(address string, secure bool) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// shellQuote makes a path safe to paste into a shell.
func shellQuote(s string) string {
	plain := strings.IndexFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-", r)
	}) < 0
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
