package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"postern/config"
	"postern/internal/keys"
)

func newSecrets(g *globals) *cobra.Command {
	return group("secrets", "Replace the pepper and the keyset", newSecretsRotate(g))
}

// rotateOptions are the flags of secrets rotate.
type rotateOptions struct {
	only                         string
	print, status, finish, force bool
}

func newSecretsRotate(g *globals) *cobra.Command {
	var o rotateOptions
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Add a new pepper and a new keyset key; the old ones stay until nothing needs them",
		Long: `Add a new pepper to the pepper file and a new key to the keyset, and keep the old ones. They come into
force when the gateway is restarted; a reload does not do it. Every key goes on working: its secret moves
to the new pepper when it is next used, declared keys move at once, and everything else is resealed in
the background. --status shows what has not moved yet.

--finish drops the old peppers when nothing is left under them. With --force it drops them all the
same: keys and tokens that were never used since the rotation are revoked, and named; a key whose other
secret has moved keeps that one. What verifies the old audit entries stays. Sessions that were not used
since, one-time codes from before and what is remembered of requests with an Idempotency-Key end with
the old peppers. Old keys of the keyset are kept: certificates from a CA stay sealed with the key of
their time until they are renewed.

A secret that the configuration takes from an environment variable cannot be written: with --print its
new value is printed instead, to be put where the variable comes from. No copy of an old file is left
behind: the old secrets stand in the new one.`,
		Example: `  postern secrets rotate && systemctl restart postern
  postern secrets rotate --status
  postern secrets rotate --finish
  postern secrets rotate --only keyset --print`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := config.Load(g.config, config.LoadOptions{Env: g.env})
			if err != nil {
				return err
			}
			switch {
			case o.only != "" && o.only != "pepper" && o.only != "keyset":
				return usageError("--only %q: it is pepper or keyset", o.only)
			case o.status && (o.finish || o.print || o.force || o.only != ""):
				return usageError("--status only looks: give it alone")
			case o.force && !o.finish:
				return usageError("--force belongs to --finish")
			case o.finish && o.only != "":
				return usageError("--finish drops old peppers; the keyset keeps its keys: leave out --only")
			case o.status:
				return secretsStatus(cmd.Context(), g, cfg)
			case o.finish:
				return finishRotation(cmd.Context(), g, cfg, o)
			}
			return rotateSecrets(cmd.Context(), g, cfg, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.only, "only", "", "rotate the `pepper` alone, or the keyset alone")
	f.BoolVar(&o.print, "print", false, "print the new value of a secret that is kept in an environment variable")
	f.BoolVar(&o.status, "status", false, "show what is still under an old pepper")
	f.BoolVar(&o.finish, "finish", false, "drop old peppers that nothing needs any more")
	f.BoolVar(&o.force, "force", false, "with --finish: drop them also where keys stop working by it")
	return c
}

// rotated is one of the two secrets, and how it is renewed.
type rotated struct {
	name string
	ref  config.Ref
	next func([]byte) ([]byte, error)
}

// rotateSecrets writes the new secrets, or prints the one that is kept in a variable. Each is checked
// against the database before anything is written.
func rotateSecrets(ctx context.Context, g *globals, cfg *config.Config, o rotateOptions) error {
	release, err := lockSecrets(cfg)
	if err != nil {
		return err
	}
	defer release()
	if err := checkInForce(ctx, g, cfg, o); err != nil {
		return err
	}
	var chosen []rotated
	if o.only != "keyset" {
		chosen = append(chosen, rotated{"pepper", cfg.Secrets.Pepper, func(b []byte) ([]byte, error) { return keys.AddPepper(b, nil) }})
	}
	if o.only != "pepper" {
		chosen = append(chosen, rotated{"keyset", cfg.Secrets.Keyset, keys.AddKeysetKey})
	}
	if err := onePrinted(chosen, o); err != nil {
		return err
	}
	for _, s := range chosen {
		text, err := readSecret("secrets."+s.name, s.ref, g.env)
		if err != nil {
			return err
		}
		next, err := s.next(text)
		if err != nil {
			return err
		}
		if s.ref.File == "" {
			if _, err := g.out.Write(next); err != nil {
				return err
			}
			fmt.Fprintf(g.err, "Put this into the variable %s, then restart the gateway.\n", s.ref.Env)
			continue
		}
		if err := replaceSecret(s.ref.File, next); err != nil {
			return err
		}
		fmt.Fprintf(g.err, "The new %s is in %s, beside the old one.\n", s.name, s.ref.File)
	}
	fmt.Fprintln(g.err, "It comes into force when the gateway is restarted. Back the secrets up now: a backup from before does not have it.")
	return nil
}

// onePrinted refuses what would print two secrets at once, or print one unasked.
func onePrinted(chosen []rotated, o rotateOptions) error {
	variables := slices.DeleteFunc(slices.Clone(chosen), func(s rotated) bool { return s.ref.File != "" })
	switch {
	case len(variables) == 0 && o.print:
		return usageError("--print is for a secret that is kept in an environment variable; these are in files")
	case len(variables) == 0:
		return nil
	case !o.print:
		v := variables[0]
		return usageError("secrets.%s is kept in the variable %s, which cannot be written: with --only %s --print its new value is printed", v.name, v.ref.Env, v.name)
	case len(chosen) > 1:
		return usageError("--print prints one secret: choose it by --only %s", variables[0].name)
	}
	return nil
}

// checkInForce refuses to rotate secrets that are not the database's, and a pepper while the one
// before it is not in force yet.
func checkInForce(ctx context.Context, g *globals, cfg *config.Config, o rotateOptions) (err error) {
	i, err := openQuietly(ctx, g, cfg)
	if err != nil || i == nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	registry, err := i.registry(ctx, cfg, nil)
	if err != nil {
		return err
	}
	if o.only != "keyset" && registry.PepperInForce() != i.vault.NewestPepper() {
		return notInForce()
	}
	return nil
}

func notInForce() error {
	return &failure{code: exitFailed, err: errors.New("the newest pepper is not in force yet"),
		next: "Restart the gateway, which puts it in force, and then try again."}
}

// openQuietly opens the installation; nil where there is no database, which is then none's.
func openQuietly(ctx context.Context, g *globals, cfg *config.Config) (*installation, error) {
	if cfg.Store.None() {
		_, err := openVault(cfg, g.env, slog.New(slog.DiscardHandler))
		return nil, err
	}
	if _, err := os.Stat(cfg.Store.SQLite); cfg.Store.SQLite != "" && errors.Is(err, fs.ErrNotExist) {
		_, err := openVault(cfg, g.env, slog.New(slog.DiscardHandler))
		return nil, err
	}
	return openInstallation(ctx, cfg, g.env, slog.New(slog.DiscardHandler))
}

// secretsStatus shows what has not moved yet.
func secretsStatus(ctx context.Context, g *globals, cfg *config.Config) (err error) {
	i, err := openQuietly(ctx, g, cfg)
	if err != nil {
		return err
	}
	if i == nil {
		fmt.Fprintln(g.err, "There is no database, so nothing is stored under any pepper.")
		return nil
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	registry, err := i.registry(ctx, cfg, nil)
	if err != nil {
		return err
	}
	u, err := registry.Unmoved(ctx)
	if err != nil {
		return err
	}
	inForce := registry.PepperInForce() == i.vault.NewestPepper()
	if g.output == "json" {
		return writeJSON(g.out, map[string]any{"newest_pepper": i.vault.NewestPepper(), "pepper_in_force": registry.PepperInForce(),
			"keys": texts(u.Credentials), "tokens": texts(u.Tokens), "users": texts(u.Users),
			"sessions": u.Sessions, "one_time_codes": u.Codes, "requests": u.Requests})
	}
	state := "in force"
	if !inForce {
		state = fmt.Sprintf("not in force yet (%d is): restart the gateway", registry.PepperInForce())
	}
	fmt.Fprintf(g.err, "The newest pepper is version %d, %s.\n", i.vault.NewestPepper(), state)
	return writeTable(g.out, []string{"STILL UNDER AN OLD PEPPER", "COUNT"}, [][]string{
		{"keys", fmt.Sprint(len(u.Credentials))}, {"tokens", fmt.Sprint(len(u.Tokens))}, {"users", fmt.Sprint(len(u.Users))},
		{"sessions", fmt.Sprint(u.Sessions)}, {"one-time codes", fmt.Sprint(u.Codes)}, {"requests that may be sent again", fmt.Sprint(u.Requests)},
	})
}

// finishRotation drops the old peppers.
func finishRotation(ctx context.Context, g *globals, cfg *config.Config, o rotateOptions) (err error) {
	release, err := lockSecrets(cfg)
	if err != nil {
		return err
	}
	defer release()
	text, err := readSecret("secrets.pepper", cfg.Secrets.Pepper, g.env)
	if err != nil {
		return err
	}
	next, dropped, err := keys.RetirePeppers(text)
	if err != nil {
		return err
	}
	if variable := cfg.Secrets.Pepper; len(dropped) > 0 && variable.File == "" && !o.print { // before anything ends by it
		return usageError("secrets.pepper is kept in the variable %s, which cannot be written: with --print its new value is printed", variable.Env)
	}
	i, err := openQuietly(ctx, g, cfg)
	if err != nil {
		return err
	}
	if i != nil {
		defer func() { err = errors.Join(err, i.Close()) }()
		if err := nothingLeft(ctx, g, cfg, i, o.force); err != nil {
			return err
		}
	}
	if len(dropped) == 0 {
		fmt.Fprintln(g.err, "There is no old pepper to drop.")
		return nil
	}
	if cfg.Secrets.Pepper.File == "" {
		_, err := g.out.Write(next)
		return err
	}
	if err := replaceSecret(cfg.Secrets.Pepper.File, next); err != nil {
		return err
	}
	fmt.Fprintf(g.err, "Dropped old peppers: %s. A running gateway forgets them when it is restarted.\n", strings.Join(texts(dropped), ", "))
	return nil
}

// nothingLeft makes sure that no stored record needs an old pepper, but for secrets, which it counts:
// unless force is set there must be none.
func nothingLeft(ctx context.Context, g *globals, cfg *config.Config, i *installation, force bool) error {
	registry, err := i.registry(ctx, cfg, nil)
	if err != nil {
		return err
	}
	if registry.PepperInForce() != i.vault.NewestPepper() {
		return notInForce()
	}
	u, err := registry.Unmoved(ctx)
	if err != nil {
		return err
	}
	left := append(texts(u.Credentials), texts(u.Tokens)...)
	if len(left) > 0 && !force {
		const most = 20
		shown := strings.Join(left[:min(most, len(left))], " ")
		if len(left) > most {
			shown += fmt.Sprintf(" and %d more", len(left)-most)
		}
		return &failure{code: exitFailed, err: fmt.Errorf("not used since the rotation: %s and %s: %s", counted(len(u.Credentials), "key"), counted(len(u.Tokens), "token"), shown),
			next: "They move when they are next used. Rotate or revoke them, or drop the old peppers with --force, which revokes these."}
	}
	if err := registry.Reseal(ctx, nil); err != nil {
		return err
	}
	if u.Sessions+u.Codes+u.Requests > 0 {
		fmt.Fprintf(g.err, "Ended with the old peppers: %s and %s. Requests that would be recognised if they were sent again, and are not any more: %d.\n",
			counted(u.Sessions, "session"), counted(u.Codes, "one-time code"), u.Requests)
	}
	if err := registry.EndUnmoved(ctx); err != nil {
		return err
	}
	if len(left) == 0 {
		return nil
	}
	ended, err := registry.EndUnmovedSecrets(ctx, keys.LocalActor("postern secrets rotate"), u)
	if err != nil {
		return err
	}
	names := g.out
	if cfg.Secrets.Pepper.File == "" {
		names = g.err // standard output is the new pepper's
	}
	tellEnded(g, names, ended)
	return nil
}

// tellEnded names what lost a secret with the old peppers, and says what became of it.
func tellEnded(g *globals, names io.Writer, ended keys.EndedSecrets) {
	lost := slices.Concat(ended.Revoked, ended.Kept, ended.Declared)
	slices.Sort(lost)
	for _, id := range append(texts(lost), texts(ended.Tokens)...) {
		fmt.Fprintln(names, id)
	}
	fmt.Fprintf(g.err, "Revoked, as nobody can be recognised by their secrets any more: %s and %s.\n", counted(len(ended.Revoked), "key"), counted(len(ended.Tokens), "token"))
	if n := len(ended.Kept); n > 0 {
		fmt.Fprintf(g.err, "Lost one of two secrets and work with the other: %s: %s\n", counted(n, "key"), strings.Join(texts(ended.Kept), " "))
	}
	if n := len(ended.Declared); n > 0 {
		fmt.Fprintf(g.err, "Declared, and moved when the gateway reads the configuration: %s: %s\n", counted(n, "key"), strings.Join(texts(ended.Declared), " "))
	}
}

// lockSecrets keeps two rotations from writing over each other. A gateway that runs is not in the way.
func lockSecrets(cfg *config.Config) (release func(), err error) {
	if err := makeDataDir(string(cfg.DataDir)); err != nil {
		return nil, err
	}
	path := filepath.Join(string(cfg.DataDir), "secrets.lock")
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock the secrets: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &failure{code: exitFailed, err: errors.New("another command is rotating the secrets"), next: "Wait for it to end."}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil // the kernel lets go
}

// replaceSecret writes a secret's file, where a link points to, and lets it belong to whom it did.
func replaceSecret(path string, text []byte) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return replaceFile(real, text)
}

func texts[T any](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = fmt.Sprint(x)
	}
	return out
}
