package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"postern/config"
	"postern/internal/keys"
	"postern/internal/store"
)

// installation is what a configuration has on disk: secrets, and the system of record unless the
// configuration says store: none.
type installation struct {
	format keys.Format
	vault  *keys.Vault
	store  *store.Store // nil with store: none
	book   *store.Store // this gateway's own, where others share the store; else nil
}

// openInstallation reads the secrets and opens the database, which is created and migrated when
// absent. It refuses a database that is there without its pepper.
func openInstallation(ctx context.Context, cfg *config.Config, env []string, log *slog.Logger) (*installation, error) {
	format, err := keys.NewFormat(cfg.Credentials.Prefix)
	if err != nil {
		return nil, fmt.Errorf("credentials.prefix: %w", err)
	}
	vault, err := openVault(cfg, env, log)
	if err != nil {
		return nil, err
	}
	if cfg.Store.None() {
		return &installation{format: format, vault: vault}, nil
	}
	if err := makeDataDir(string(cfg.DataDir)); err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.Store.SQLite); cfg.Store.SQLite != "" && errors.Is(err, os.ErrNotExist) {
		// Right after init that is as it should be; later it means a data_dir that is not the one.
		log.Warn("there is no database yet: making a new one, which knows no keys", "file", cfg.Store.SQLite)
	}
	s, err := openStore(ctx, cfg, env, log)
	if err != nil {
		return nil, err
	}
	i := &installation{format: format, vault: vault, store: s}
	if cfg.Store.Shared() {
		if i.book, err = openBook(ctx, string(cfg.DataDir), log); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return i, nil
}

// bookName is the file in data_dir in which a gateway that shares its store keeps what it alone has
// counted.
const bookName = "node.db"

func openBook(ctx context.Context, dataDir string, log *slog.Logger) (*store.Store, error) {
	return store.Open(ctx, "sqlite:"+filepath.Join(dataDir, bookName), store.Options{Log: log})
}

// openStore opens the database, which is created and migrated as far as it is absent.
func openStore(ctx context.Context, cfg *config.Config, env []string, log *slog.Logger) (*store.Store, error) {
	address, err := cfg.Store.Address(env)
	if err != nil {
		return nil, &failure{code: exitConfig, err: fmt.Errorf("store: %w", err), next: "Set it where Postern runs."}
	}
	s, err := store.Open(ctx, address, store.Options{Log: log})
	if err != nil && cfg.Store.Shared() && errors.Is(err, keys.ErrStoreUnavailable) {
		return nil, &failure{code: exitUnreachable, err: err,
			next: fmt.Sprintf("Is PostgreSQL running, and does %s name it and a user who may use the database? A gateway that runs already goes on without it.", cfg.Store.Postgres)}
	}
	return s, err
}

func (i *installation) Close() error {
	var errs []error
	for _, s := range []*store.Store{i.store, i.book} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// checkpoints is where the gateway's counts are kept over a restart.
func (i *installation) checkpoints(cfg *config.Config) keys.CheckpointStore {
	switch {
	case i.store == nil:
		return newCheckpointFile(string(cfg.DataDir))
	case i.book != nil:
		return ownCheckpoints{i.book, i.store}
	}
	return i.store
}

// registry opens the rules over the installation's store. directory is nil for offline commands.
func (i *installation) registry(ctx context.Context, cfg *config.Config, directory *keys.Directory) (*keys.Registry, error) {
	return keys.OpenRegistry(ctx, keys.RegistryOptions{
		Store: i.store, Vault: i.vault, Format: i.format, Catalog: cfg.Catalog(), Directory: directory,
		KeepPepper: directory == nil,
	})
}

func openVault(cfg *config.Config, env []string, log *slog.Logger) (*keys.Vault, error) {
	pepper, err := readSecret("secrets.pepper", cfg.Secrets.Pepper, env)
	if err != nil {
		return nil, err
	}
	keyset, err := readSecret("secrets.keyset", cfg.Secrets.Keyset, env)
	if err != nil {
		return nil, err
	}
	vault, err := keys.OpenVault(pepper, keyset)
	if err != nil {
		return nil, fmt.Errorf("open the secrets %s and %s: %w", cfg.Secrets.Pepper, cfg.Secrets.Keyset, err)
	}
	for _, ref := range []config.Ref{cfg.Secrets.Pepper, cfg.Secrets.Keyset} {
		if info, err := os.Stat(ref.File); err == nil && info.Mode().Perm()&0o077 != 0 {
			log.Warn("other users of this machine can read a secret of the installation", "file", ref.File, "do", "chmod 600")
		}
	}
	return vault, nil
}

func readSecret(setting string, ref config.Ref, env []string) ([]byte, error) {
	text, err := ref.Read(env)
	if err != nil {
		next := "Set the variable to the secret of this installation."
		if ref.File != "" {
			next = "Restore the file from your backup; for a new installation `postern init --config FILE` makes it."
		}
		return nil, &failure{code: exitFailed, err: fmt.Errorf("%s: %w", setting, err), next: next}
	}
	return text, nil
}

// checkShared refuses to make secrets for a database that another gateway has brought into use: they could
// not belong to it. It opens the database only where a secret is missing.
func checkShared(ctx context.Context, cfg *config.Config, env []string) (err error) {
	if !cfg.Store.Shared() {
		return nil
	}
	missing := ""
	for _, file := range []string{cfg.Secrets.Pepper.File, cfg.Secrets.Keyset.File} {
		if _, err := os.Stat(file); file != "" && errors.Is(err, os.ErrNotExist) {
			missing = file
		}
	}
	if missing == "" {
		return nil
	}
	s, err := openStore(ctx, cfg, env, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch _, err := s.Meta(ctx, keys.PepperCanaryName); {
	case errors.Is(err, keys.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return &failure{code: exitFailed, err: fmt.Errorf("%s is in use already, and %s is not here", cfg.Store, missing),
		next: "All gateways on one database have the same pepper and keyset: copy them from one that runs on it."}
}

// makeSecrets creates the pepper and keyset files that are missing. It never makes one for a database
// that exists: it could not belong to it, and would only hide the loss.
func makeSecrets(cfg *config.Config) error {
	if cfg.Store.SQLite != "" {
		_, err := os.Stat(cfg.Store.SQLite)
		for _, s := range []struct{ what, file, loss string }{
			{"pepper", cfg.Secrets.Pepper.File, "none of the stored keys can be recognised"},
			{"keyset", cfg.Secrets.Keyset.File, "none of the sealed secrets can be opened"},
		} {
			_, missing := os.Stat(s.file)
			if err == nil && s.file != "" && errors.Is(missing, os.ErrNotExist) {
				return &failure{code: exitFailed,
					err:  fmt.Errorf("the database %s exists, but its %s %s does not", cfg.Store.SQLite, s.what, s.file),
					next: fmt.Sprintf("Restore the %s from your backup; without it %s.", s.what, s.loss)}
			}
		}
	}
	for _, s := range []struct {
		ref  config.Ref
		make func() ([]byte, error)
	}{{cfg.Secrets.Pepper, newPepper}, {cfg.Secrets.Keyset, keys.NewKeyset}} {
		if s.ref.File == "" {
			continue
		}
		if _, err := os.Stat(s.ref.File); err == nil {
			continue
		}
		text, err := s.make()
		if err != nil {
			return fmt.Errorf("make %s: %w", s.ref.File, err)
		}
		if err := writeNew(s.ref.File, text); err != nil {
			return err
		}
	}
	return nil
}

func newPepper() ([]byte, error) { return keys.NewPepper(nil) }

// writeNew creates a file that only its owner can read. It never replaces one.
func writeNew(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func makeDataDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make data_dir: %w", err)
	}
	return nil
}

// openOffline opens the registry beside the configuration for a command that needs no server. The
// second result closes it again.
func openOffline(ctx context.Context, g *globals) (*keys.Registry, func() error, error) {
	cfg, _, err := config.Load(g.config, config.LoadOptions{Env: g.env})
	if err != nil {
		return nil, nil, err
	}
	if cfg.Store.None() {
		return nil, nil, &failure{code: exitUsage, err: errors.New("with store: none there are no admin tokens and no keys beside the declared ones"),
			next: "Declare keys under access.keys, or name a database under store."}
	}
	i, err := openInstallation(ctx, cfg, g.env, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	registry, err := i.registry(ctx, cfg, nil)
	if err != nil {
		return nil, nil, errors.Join(err, i.Close())
	}
	return registry, i.Close, nil
}

// registryFailure gives a refusal of the registry its exit code.
func registryFailure(err error) error {
	var r *keys.Refusal
	if !errors.As(err, &r) {
		return err
	}
	code := exitFailed
	switch r.Code {
	case keys.ValidationFailed:
		code = exitUsage
	case keys.NotFoundHere:
		code = exitNotFound
	case keys.PermissionDenied, keys.SignInRequired, keys.RoleRequired:
		code = exitNotPermitted
	}
	var b strings.Builder // as refused writes what a server says
	b.WriteString(string(r.Code) + ": " + r.Detail)
	for _, f := range r.Fields {
		fmt.Fprintf(&b, "\n  %s: %s", f.Field, f.Message)
	}
	return &failure{code: code, err: errors.New(b.String()), next: r.Hint}
}
