package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/config"
	"postern/internal/store"
)

func newBackup(g *globals) *cobra.Command {
	var out string
	var withSecrets bool
	c := &cobra.Command{
		Use:   "backup",
		Short: "Save the database to one file, also while the gateway serves",
		Long: `Save to one file what a gateway needs to be put back as it is at this instant: the database with
keys, tokens, the audit trail, what days and months have counted, and last-used times. The gateway goes
on serving, and nothing is changed.

The pepper and the keyset are not in the file unless --with-secrets asks for them: without them nobody
can use what is in it, and with them whoever has the file has the installation. Keep them apart. The
configuration file and the profile with its admin token are never in it.

The file's name is printed. A file that is there is never written over.`,
		Example: `  postern backup
  postern backup --out /backup/postern-monday.tar
  postern backup --with-secrets --out /safe/postern-whole.tar`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := config.Load(g.config, config.LoadOptions{Env: g.env})
			if err != nil {
				return err
			}
			if cfg.Store.Shared() {
				return &failure{code: exitUsage, err: errors.New("the database is PostgreSQL's, which has backups of its own"),
					next: fmt.Sprintf(`Use pg_dump --format=custom --file=postern.dump %s, or what else backs that server up. The pepper and the keyset are not in it: keep copies of them apart.`, shellText(cfg.Store.Postgres))}
			}
			now := time.Now().UTC()
			if out == "" {
				out = "postern-backup-" + now.Format("20060102T150405Z") + ".tar"
			}
			m, err := backup(cmd.Context(), g, cfg, out, now, withSecrets)
			if err != nil {
				return err
			}
			fmt.Fprintln(g.err, m.describe())
			if g.output == "json" {
				return writeJSON(g.out, struct {
					File string `json:"file"`
					*manifest
				}{out, m})
			}
			_, err = fmt.Fprintln(g.out, out)
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "`FILE` to make (default: postern-backup-<time>.tar here)")
	c.Flags().BoolVar(&withSecrets, "with-secrets", false, "put the pepper and the keyset into the file too")
	return c
}

// backup makes the file. It is made under another name: the one that was asked for is reserved at
// once, empty, and becomes the backup when that is whole and on the disk.
func backup(ctx context.Context, g *globals, cfg *config.Config, out string, now time.Time, withSecrets bool) (_ *manifest, err error) {
	if err := reserve(out); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), ".postern-backup-")
	if err == nil {
		defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	}
	defer func() {
		if err != nil {
			_ = os.Remove(out) // the error that matters is told
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	m := &manifest{Format: manifestFormat, Postern: buildVersion(), CreatedAt: now, Store: "none"}
	if cfg.Store.None() {
		err = addCheckpoint(cfg, m, work)
	} else {
		err = addDatabase(ctx, cfg, m, work)
	}
	if err != nil {
		return nil, err
	}
	if withSecrets {
		if err := addSecrets(cfg, g.env, m, work); err != nil {
			return nil, err
		}
	}
	whole := filepath.Join(work, "bundle")
	f, err := os.OpenFile(whole, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	err = writeBundle(f, m)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	if err := os.Rename(whole, out); err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	return m, syncDir(filepath.Dir(out))
}

// reserve makes an empty file, so that nobody else makes one of that name meanwhile.
func reserve(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return usageError("%s exists already, and a backup never writes over a file: choose another --out", path)
	case errors.Is(err, fs.ErrNotExist):
		return usageError("the folder of %s does not exist", path)
	case err != nil:
		return fmt.Errorf("make %s: %w", path, err)
	}
	return f.Close()
}

func addDatabase(ctx context.Context, cfg *config.Config, m *manifest, work string) error {
	to := filepath.Join(work, partFiles[partDatabase])
	if err := os.WriteFile(to, nil, 0o600); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	snapshot, err := store.Backup(ctx, "sqlite:"+cfg.Store.SQLite, to)
	if errors.Is(err, fs.ErrNotExist) {
		return &failure{code: exitNotFound, err: fmt.Errorf("there is no database %s", cfg.Store.SQLite),
			next: "Is data_dir the right one? Nothing was saved."}
	}
	if err != nil {
		return err
	}
	m.Store, m.Schema, m.ChangeSeq = "sqlite", snapshot.Schema, int64(snapshot.Seq)
	for _, h := range snapshot.Heads {
		m.Audit = append(m.Audit, chainEnd{h.Chain, h.Seq, hex.EncodeToString(h.MAC[:])})
	}
	p, err := measure(partDatabase, to)
	m.Parts = append(m.Parts, p)
	return err
}

// addCheckpoint adds a copy of what there is with store: none. The gateway that runs replaces the file
// as a whole, and so it is read at once.
func addCheckpoint(cfg *config.Config, m *manifest, work string) error {
	text, err := os.ReadFile(filepath.Join(string(cfg.DataDir), checkpointFileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	return m.add(partCheckpoint, work, text)
}

// addSecrets adds copies of the secrets. They are read after the database: a rotation in between
// only adds to them.
func addSecrets(cfg *config.Config, env []string, m *manifest, work string) error {
	if _, err := openVault(cfg, env, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	for _, s := range []struct {
		setting, part string
		ref           config.Ref
	}{{"secrets.pepper", partPepper, cfg.Secrets.Pepper}, {"secrets.keyset", partKeyset, cfg.Secrets.Keyset}} {
		text, err := readSecret(s.setting, s.ref, env)
		if err != nil {
			return err
		}
		if err := m.add(s.part, work, text); err != nil {
			return err
		}
	}
	m.Secrets = true
	return nil
}

// add makes a part of a text.
func (m *manifest) add(part, work string, text []byte) error {
	path := filepath.Join(work, partFiles[part])
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	p, err := measure(part, path)
	m.Parts = append(m.Parts, p)
	return err
}

// describe says in a sentence what a backup holds and what it does not.
func (m *manifest) describe() string {
	var holds []string
	if m.Store == "sqlite" {
		var entries int64
		for _, c := range m.Audit {
			entries += c.Seq
		}
		holds = append(holds, fmt.Sprintf("the database (schema %d, change %d, %d audit entries; counts of days and months, last uses)",
			m.Schema, m.ChangeSeq, entries))
	}
	if m.part(partCheckpoint) != nil {
		holds = append(holds, "the counts of days and months")
	}
	lacks := "the configuration, the profile"
	if m.Secrets {
		holds = append(holds, "the pepper and the keyset: whoever has it has the installation")
	} else {
		lacks = "the pepper and the keyset, which it is worth nothing without; " + lacks
	}
	if len(holds) == 0 {
		holds = []string{"nothing yet"}
	}
	return "Holds " + strings.Join(holds, ", ") + ". Does not hold " + lacks + "."
}

// shellText is how a shell says what a reference holds.
func shellText(r config.Ref) string {
	if r.Env != "" {
		return `"$` + r.Env + `"`
	}
	return `"$(cat '` + strings.ReplaceAll(r.File, `'`, `'\''`) + `')"`
}
