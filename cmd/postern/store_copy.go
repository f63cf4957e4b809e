package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/keys"
	"postern/internal/store"
	"postern/limiter"
)

func newStoreCopy(g *globals) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "copy --to env:NAME",
		Short: "Copy everything that is stored into an empty database, as from SQLite to PostgreSQL",
		Long: `Copy everything that the configuration's store holds into another database that is empty, in one
transaction: keys, people, tokens, sessions, certificates, what days and months have counted, and the
audit trail as it is. Then what was written is compared with what was read, row by row, and the audit
chains are verified where they are now. The old database is left as it is.

--to is env:NAME or file:PATH, an environment variable or a file that holds
postgres://USER:PASSWORD@HOST/DATABASE, or such an address itself, which other users of this machine may see; or, for the way back, sqlite:NAME, a file in
data_dir. The pepper and the keyset stay what they are.

No gateway may run meanwhile.`,
		Example: `  DATABASE_URL=postgres://postern:…@db.example.com/postern postern store copy --to env:DATABASE_URL
  postern store copy --to sqlite:postern.db`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := config.Load(g.config, config.LoadOptions{Env: g.env, Flags: map[string]any{"limiter.backend": "local"}}) // it needs no Redis
			if err != nil {
				return err
			}
			return copyStore(cmd.Context(), g, cfg, to)
		},
	}
	c.Flags().StringVar(&to, "to", "", "`STORE` to copy into: env:NAME, file:PATH or postgres://… for PostgreSQL, or sqlite:NAME")
	return c
}

// copyTarget is where a copy goes.
type copyTarget struct {
	address string
	setting string // for the configuration; "" where the address itself was given
}

// copyStore copies, verifies, and says what to change next.
func copyStore(ctx context.Context, g *globals, cfg *config.Config, to string) (err error) {
	if cfg.Store.None() {
		return usageError("with store: none nothing is stored")
	}
	target, err := findCopyTarget(g, cfg, to)
	if err != nil {
		return err
	}
	vault, err := openVault(cfg, g.env, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	format, err := keys.NewFormat(cfg.Credentials.Prefix)
	if err != nil {
		return fmt.Errorf("credentials.prefix: %w", err)
	}
	// As a gateway does: what it would write meanwhile would be missing.
	lock, err := lockDataDir(string(cfg.DataDir))
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(cfg.Store.SQLite); cfg.Store.SQLite != "" && err != nil {
		return &failure{code: exitNotFound, err: fmt.Errorf("there is no database %s", cfg.Store.SQLite), next: "Is data_dir the right one? Nothing was copied."}
	}
	const name = "postern store copy"
	options := store.Options{Log: slog.New(slog.DiscardHandler), Name: name}
	address, err := cfg.Store.Address(g.env)
	if err != nil {
		return &failure{code: exitConfig, err: fmt.Errorf("store: %w", err), next: "Set it, and try again."}
	}
	from, err := store.Open(ctx, address, options)
	if err != nil {
		return unreachable(err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if canary, err := from.Meta(ctx, keys.PepperCanaryName); err == nil && !vault.Recognises(canary) {
		return &failure{code: exitFailed, err: errors.New("the pepper is not that of the database"), next: "Restore the pepper from your backup. Nothing was copied."}
	}
	into, err := store.Open(ctx, target.address, options)
	if err != nil {
		return unreachable(err)
	}
	defer func() { err = errors.Join(err, into.Close()) }()

	copied, err := copyBetween(ctx, cfg, target, from, into)
	if err != nil {
		return err
	}
	rows := int64(0)
	for _, table := range copied {
		rows += table.Rows
	}
	fmt.Fprintf(g.err, "Copied %d rows of %d tables, and read them again: all are the same.\n", rows, len(copied))
	if err := verifyCopy(ctx, g, cfg, &installation{format: format, vault: vault, store: into}); err != nil {
		return err
	}
	return tellCopied(g, target, rows, copied)
}

// copyBetween copies what is stored, and takes along what days and months have counted.
func copyBetween(ctx context.Context, cfg *config.Config, target copyTarget, from, into *store.Store) ([]store.CopiedTable, error) {
	back := strings.HasPrefix(target.address, "sqlite:")
	if !back {
		// Before the copy, which cannot be made twice.
		if err := carryCounts(ctx, cfg, from, nil); err != nil {
			return nil, err
		}
	}
	copied, err := from.CopyTo(ctx, into)
	switch {
	case errors.Is(err, store.ErrNotEmpty):
		return nil, &failure{code: exitFailed, err: err, next: "Name a database that is empty. Nothing was changed."}
	case errors.Is(err, store.ErrInUse):
		return nil, &failure{code: exitFailed, err: err, next: "What they write meanwhile would be missing. Nothing was changed."}
	case errors.Is(err, keys.ErrOutcomeUnknown):
		return nil, &failure{code: exitUnreachable, err: err, next: "Try again: if the other database is not empty then, the copy was made as a whole."}
	case err != nil:
		return nil, unreachable(err)
	}
	if back {
		if err := carryCounts(ctx, cfg, from, into); err != nil {
			return nil, &failure{code: exitFailed, err: fmt.Errorf("what this gateway's days and months have counted did not come along: %w", err),
				next: fmt.Sprintf("Remove %s, and copy again.", strings.TrimPrefix(target.address, "sqlite:"))}
		}
	}
	return copied, nil
}

// tellCopied says what was copied, and what to change next.
func tellCopied(g *globals, target copyTarget, rows int64, copied []store.CopiedTable) error {
	if g.output == "json" {
		tables := map[string]int64{}
		for _, table := range copied {
			tables[table.Name] = table.Rows
		}
		return writeJSON(g.out, map[string]any{"rows": rows, "tables": tables})
	}
	setting := target.setting
	if setting == "" {
		setting = "env:DATABASE_URL"
		fmt.Fprintln(g.err, "Next, put the address that you gave into an environment variable of the gateway's, such as DATABASE_URL, and")
		fmt.Fprintf(g.err, "write this into %s; then start the gateway.\n", g.config)
	} else {
		fmt.Fprintf(g.err, "Next, write this into %s, and start the gateway.\n", g.config)
	}
	_, err := fmt.Fprintf(g.out, "store: %s\n", setting)
	return err
}

// carryCounts takes along what this gateway's days and months have counted. It stands in the database
// that a gateway has for itself, and where others share that, in a book of its own: into is nil then.
// What counts more already stays.
func carryCounts(ctx context.Context, cfg *config.Config, from, into *store.Store) (err error) {
	book, err := openBook(ctx, string(cfg.DataDir), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	if cfg.Store.Shared() {
		from = book
	}
	if into == nil {
		into = book
	}
	if from == into {
		return nil
	}
	return from.Counts(ctx, time.Now().Add(-countsKept), func(counts []limiter.Count) error {
		return into.SaveCheckpoint(ctx, keys.Checkpoint{Counts: counts})
	})
}

// findCopyTarget reads --to. What a variable or the flag holds is not shown.
func findCopyTarget(g *globals, cfg *config.Config, to string) (copyTarget, error) {
	kind, name, _ := strings.Cut(to, ":")
	var t copyTarget
	switch {
	case to == "":
		return t, usageError("--to is missing: write env:NAME of a variable that holds postgres://USER:PASSWORD@HOST/DATABASE")
	case kind == "postgres", kind == "postgresql":
		if err := store.CheckAddress(to); err != nil {
			return t, usageError("--to: %v", err)
		}
		return copyTarget{address: to}, nil
	case kind != "env" && kind != "file" && kind != "sqlite":
		return t, usageError("--to is not a store: write env:NAME, file:PATH, postgres://… or sqlite:NAME")
	}
	parsed, err := config.ParseStore(to, string(cfg.DataDir))
	if err != nil {
		return t, usageError("--to: %v", err)
	}
	if kind == "file" { // where the process runs and where the configuration lies are two folders
		if name, err = filepath.Abs(name); err != nil {
			return t, usageError("--to: %v", err)
		}
		parsed.Postgres.File, to = name, "file:"+name
	}
	if parsed == cfg.Store {
		return t, usageError("--to is what store says already")
	}
	if t.address, err = parsed.Address(g.env); err != nil {
		return t, usageError("--to: %v", err)
	}
	if kind != "sqlite" && !strings.HasPrefix(t.address, "postgres://") && !strings.HasPrefix(t.address, "postgresql://") {
		return t, usageError("--to: %s does not hold an address such as postgres://USER:PASSWORD@HOST/DATABASE", to)
	}
	if kind != "sqlite" {
		if err := store.CheckAddress(t.address); err != nil {
			return t, usageError("--to: %s: %v", to, err)
		}
	}
	t.setting = to
	return t, nil
}

// verifyCopy verifies every audit chain in the database that was copied into.
func verifyCopy(ctx context.Context, g *globals, cfg *config.Config, i *installation) error {
	registry, err := i.registry(ctx, cfg, nil)
	if err != nil {
		return err
	}
	heads, err := i.store.AuditHeads(ctx)
	if err != nil {
		return err
	}
	bad := 0
	for _, h := range heads {
		v, err := registry.VerifyAudit(ctx, keys.LocalActor("postern store copy"), h.Chain, nil)
		if err != nil {
			return err
		}
		if v.Fault != nil {
			bad++
			fmt.Fprintf(g.err, "Audit chain %s: entry %d: %s\n", printable(h.Chain), v.Fault.Seq, v.Fault.Problem)
		}
	}
	if bad > 0 {
		return &failure{code: exitFailed, err: fmt.Errorf("%d of %d audit chains do not hold", bad, len(heads)),
			next: "They were copied as they are, so they do not hold in the old database either. Find out why before you go on."}
	}
	fmt.Fprintf(g.err, "Verified %d audit chains.\n", len(heads))
	return nil
}

// unreachable gives an error of a database that cannot be reached its exit code.
func unreachable(err error) error {
	if errors.Is(err, keys.ErrStoreUnavailable) {
		return &failure{code: exitUnreachable, err: err, next: "Is the database running, and may the user use it?"}
	}
	return err
}
