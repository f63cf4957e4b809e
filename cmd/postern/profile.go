package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"postern/config"
	"postern/internal/keys"
)

// profile is what init leaves in the data folder so that commands typed beside the configuration
// need no flags. The file is 0600: it holds an operator's token.
type profile struct {
	AdminURL string `json:"admin_url"` // as it was when the profile was made, for other tools
	Token    string `json:"token"`
}

const profileName = "profile.json"

// local is the gateway of this machine that the configuration describes.
type local struct {
	cfg      *config.Config
	adminURL string // by the configuration as it is now; "" when there is no admin listener
	path     string // of its profile
}

// findLocal reads the configuration that --config names. os.ErrNotExist says that there is none.
func findLocal(g *globals) (local, error) {
	cfg, _, err := config.Load(g.config, config.LoadOptions{Env: g.env})
	if err != nil {
		return local{}, missingOr(g, err)
	}
	return localOf(cfg), nil
}

// findRunning is findLocal for commands that talk to the gateway that runs already: it may well serve
// by what its file said before somebody broke it.
func findRunning(g *globals) (local, error) {
	cfg, err := config.Reach(g.config, config.LoadOptions{Env: g.env})
	if err != nil {
		return local{}, missingOr(g, err)
	}
	return localOf(cfg), nil
}

func localOf(cfg *config.Config) local {
	l := local{cfg: cfg, path: profilePath(cfg)}
	if cfg.Listen.Admin != "" {
		l.adminURL = adminURL(cfg, string(cfg.Listen.Admin))
	}
	return l
}

// missingOr tells a configuration that is not there from one with problems.
func missingOr(g *globals, err error) error {
	if _, missing := os.Stat(g.config); errors.Is(missing, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", g.config, os.ErrNotExist)
	}
	return err
}

func profilePath(cfg *config.Config) string { return filepath.Join(string(cfg.DataDir), profileName) }

// writeProfile makes the profile of a configuration; there must be none yet.
func writeProfile(cfg *config.Config, token keys.Secret) error {
	p := profile{AdminURL: adminURL(cfg, string(cfg.Listen.Admin)), Token: token.Reveal()}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	return writeNew(profilePath(cfg), append(text, '\n'))
}

// token returns the token in the profile, or an error that says what is missing.
func (l local) token() (string, error) {
	text, err := os.ReadFile(l.path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) && l.cfg.Store.None() {
			return "", &failure{code: exitUsage, err: errors.New("with store: none there is no admin API"),
				next: "Edit the declared keys in the configuration; a running gateway takes the change over within seconds."}
		}
		return "", fmt.Errorf("read profile: %w", err)
	}
	var p profile
	if err := json.Unmarshal(text, &p); err != nil {
		return "", fmt.Errorf("read profile %s: %w", l.path, err)
	}
	return p.Token, nil
}
