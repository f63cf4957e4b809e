package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"postern/config"
	"postern/internal/keys"
	"postern/internal/store"
	"postern/limiter"
)

func newRestore(g *globals) *cobra.Command {
	var exports []string
	var force bool
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup back, with the gateway stopped",
		Long: `Put back what postern backup saved. The file is checked as a whole first, also whether the pepper and
the keyset belong to it; on any problem nothing is changed. The gateway must be stopped.

What was revoked after the backup was made would work again. --audit-export names exports of the audit
trail (postern audit export) that are newer than the backup: what they say was revoked, suspended or
deleted since is put into force again, also for admin tokens and people: who was deleted, disabled, or
lost roles or his access to keys since stays so. Give one for each organisation, and one for the
provider. Passwords are those of the backup; all sessions and one-time codes end.

Where a database is there already, nothing is done without --force, which keeps it under another name,
and reads its audit trail as if it were given as an export.`,
		Example: `  postern restore postern-monday.tar
  postern restore postern-monday.tar --audit-export default.jsonl --audit-export provider.jsonl`,
		Args: exactArgs("the backup's file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, _, err := config.Load(g.config, config.LoadOptions{Env: g.env})
			if err != nil {
				return err
			}
			if cfg.Store.Shared() {
				return &failure{code: exitUsage, err: errors.New("the database is PostgreSQL's, which has backups of its own"),
					next: fmt.Sprintf(`Stop every gateway, and use pg_restore --clean --if-exists --single-transaction --dbname=%s postern.dump. What was revoked since that backup works again: look through an export of the audit trail.`, shellText(cfg.Store.Postgres))}
			}
			lock, err := lockDataDir(string(cfg.DataDir))
			if err != nil {
				return err
			}
			defer lock.Close()
			r := &restoration{g: g, cfg: cfg, exports: exports, force: force, now: time.Now().UTC()}
			if err := r.run(cmd.Context(), args[0]); err != nil {
				return err
			}
			return r.report()
		},
	}
	c.Flags().StringArrayVar(&exports, "audit-export", nil, "`FILE` of an audit chain as jsonl, newer than the backup; repeat for more")
	c.Flags().BoolVar(&force, "force", false, "keep the database that is there under another name, and restore")
	return c
}

// restoration is one restore: everything is made ready in a folder beside the database, and put into
// place at the end.
type restoration struct {
	g       *globals
	cfg     *config.Config
	exports []string
	force   bool
	now     time.Time

	work     string
	manifest *manifest
	ends     []keys.AuditEnd
	secrets  []plannedSecret
	vault    *keys.Vault
	replaced string // what the old database is called now; "" when there was none

	later    map[string][]keys.AuditEntry // by chain
	covered  map[string]bool              // chains of which it is known what came later
	replayed keys.Replayed
	warnings []string
}

func (r *restoration) run(ctx context.Context, file string) (err error) {
	target := r.target()
	_, err = os.Lstat(target)
	there := err == nil
	if there && !r.force {
		return &failure{code: exitFailed, err: fmt.Errorf("%s is there already", target),
			next: "With --force it is kept under another name, and what its audit trail says was revoked stays revoked."}
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return fmt.Errorf("make the folder of %s: %w", target, err)
	}
	if r.work, err = os.MkdirTemp(filepath.Dir(target), ".restore-"); err != nil {
		return fmt.Errorf("make a folder to work in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	if r.manifest, err = unpackBundle(file, r.work); err != nil {
		return err
	}
	if r.ends, err = r.manifest.ends(); err != nil {
		return err
	}
	if r.cfg.Store.None() != (r.manifest.Store == "none") {
		return &failure{code: exitFailed, err: fmt.Errorf("the backup is of an installation with store: %s, and %s says otherwise", r.manifest.Store, r.g.config),
			next: "Let store say the same as when the backup was made. Nothing was changed."}
	}
	r.later, r.covered = map[string][]keys.AuditEntry{}, map[string]bool{}
	if r.cfg.Store.None() {
		err = r.openSecrets(nil)
	} else {
		err = r.prepare(ctx, there)
	}
	if err != nil {
		return err
	}
	if err := r.placeSecrets(); err != nil {
		return err
	}
	return r.place(target, there)
}

// target is the file that a restore puts into place.
func (r *restoration) target() string {
	if r.cfg.Store.None() {
		return filepath.Join(string(r.cfg.DataDir), checkpointFileName)
	}
	return r.cfg.Store.SQLite
}

// staged is that file before it is in place; "" where the backup has none.
func (r *restoration) staged() string {
	name := partDatabase
	if r.cfg.Store.None() {
		name = partCheckpoint
	}
	if p := r.manifest.part(name); p != nil {
		return p.path
	}
	return ""
}

// prepare makes the database of the backup what is to be put into place: with this program's schema,
// opened by the right secrets, and with what was denied later denied again.
func (r *restoration) prepare(ctx context.Context, there bool) (err error) {
	if r.staged() == "" {
		return errors.New("the backup holds no database")
	}
	s, err := store.Open(ctx, "sqlite:"+r.staged(), store.Options{})
	if err != nil {
		return fmt.Errorf("open the database of the backup: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var registry *keys.Registry
	err = r.openSecrets(func(vault *keys.Vault) (err error) {
		format, err := keys.NewFormat(r.cfg.Credentials.Prefix)
		if err != nil {
			return err
		}
		registry, err = keys.OpenRegistry(ctx, keys.RegistryOptions{Store: s, Vault: vault, Format: format, Catalog: r.cfg.Catalog()})
		return err
	})
	if err != nil {
		return err
	}
	for _, path := range r.exports {
		if err := r.readExport(path); err != nil {
			return err
		}
	}
	if there {
		r.readOld(ctx, s)
	}
	actor := keys.LocalActor("postern restore")
	var all []keys.AuditEntry
	for _, entries := range r.later {
		all = append(all, entries...)
	}
	if r.replayed, err = registry.Replay(ctx, actor, all); err != nil {
		return registryFailure(err)
	}
	return registry.RecordRestore(ctx, actor, r.manifest.CreatedAt, map[string]string{
		"change_seq": strconv.FormatInt(r.manifest.ChangeSeq, 10), "later_entries": strconv.Itoa(len(all)),
	})
}

// readExport takes what an export says. One that does not hold ends the restore: it was given because
// it matters.
func (r *restoration) readExport(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return &failure{code: exitNotFound, err: fmt.Errorf("open the audit export: %w", err)}
	}
	defer f.Close() // it is only read
	chain, later, err := keys.LaterInExport(r.vault, f, r.ends)
	if err != nil {
		return &failure{code: exitFailed, err: fmt.Errorf("audit export %s: %w", path, err),
			next: "Use another export, or leave it out. Nothing was changed."}
	}
	r.know(chain, later)
	return nil
}

// know keeps what came later in a chain, unless more is known of it already.
func (r *restoration) know(chain string, later []keys.AuditEntry) {
	r.covered[chain] = true
	if len(later) > len(r.later[chain]) {
		r.later[chain] = later
	}
}

// readOld takes what the database that is there says: its audit, and the counts that have gone on
// since the backup. That it cannot be read is perhaps why a backup is put back, so it is told and the
// restore goes on.
func (r *restoration) readOld(ctx context.Context, restored *store.Store) {
	warn := func(err error) {
		r.warnings = append(r.warnings, fmt.Sprintf("The database that was there could not be asked what was revoked since the backup: %v", err))
	}
	old, err := store.Open(ctx, "sqlite:"+r.cfg.Store.SQLite, store.Options{})
	if err != nil {
		warn(err)
		return
	}
	defer func() { _ = old.Close() }() // it folds its log into the file; nothing of ours was written
	heads, err := old.AuditHeads(ctx)
	if err != nil {
		warn(err)
		return
	}
	for _, h := range heads {
		later, err := keys.LaterInStore(ctx, r.vault, old, h.Chain, r.ends)
		if err != nil {
			warn(err)
			continue
		}
		r.know(h.Chain, later)
	}
	err = old.Counts(ctx, r.now.Add(-countsKept), func(counts []limiter.Count) error {
		return restored.SaveCheckpoint(ctx, keys.Checkpoint{Counts: counts})
	})
	if err != nil {
		r.warnings = append(r.warnings, fmt.Sprintf("What days and months had counted since the backup could not be taken over: %v", err))
	}
}

// place puts the prepared file where the gateway looks for it. What is there stays beside it under
// another name. A kill at any point leaves the old file or the new one in place, whole.
func (r *restoration) place(target string, there bool) error {
	if there {
		r.replaced = target + ".before-restore-" + r.now.Format("20060102T150405.000Z")
		// A log that could not be folded belongs to the old file: beside the new one it would be
		// taken for the new one's.
		for _, beside := range []string{"-wal", "-shm"} {
			if err := os.Rename(target+beside, r.replaced+beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("keep the old database: %w", err)
			}
		}
		if err := os.Link(target, r.replaced); err != nil {
			return fmt.Errorf("keep the old file: %w", err)
		}
	}
	if r.staged() == "" {
		return nil
	}
	if err := giveTo(r.staged(), target); err != nil {
		return fmt.Errorf("let the database belong to its owner: %w", err)
	}
	if err := os.Rename(r.staged(), target); err != nil {
		return fmt.Errorf("put the backup into place: %w", err)
	}
	return syncDir(filepath.Dir(target))
}

// giveTo is keepOwner for a file that is not open.
func giveTo(path, place string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(keepOwner(f, place), f.Close())
}
