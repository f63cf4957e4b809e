package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postern/internal/keys"
	"postern/internal/store"
)

func emptyFile(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBackupWhileWriting: a copy made between writes is one state of the database, and writers go on.
func TestBackupWhileWriting(t *testing.T) {
	dir := t.TempDir()
	s := openFile(t, filepath.Join(dir, "postern.db"))
	// Each change writes a credential and an entry, so a torn copy would have more of one.
	write := func(n int) {
		update(t, s, func(ctx context.Context, tx keys.Tx) error {
			last, err := tx.AuditHead(ctx, "acme")
			if err != nil {
				return err
			}
			c := sample(n)
			return errors.Join(tx.PutCredential(ctx, c), tx.PutMeta(ctx, keys.PepperCanaryName, []byte("canary")),
				tx.AppendAudit(ctx, keys.AuditEntry{Chain: "acme", Seq: last.Seq + 1, Time: noon}))
		})
	}
	write(0)
	stop, n := make(chan struct{}), 1
	var writer sync.WaitGroup
	writer.Go(func() {
		for ; ; n++ {
			select {
			case <-stop:
				return
			default:
				write(n)
			}
		}
	})
	var copies []store.Snapshot
	for i := range 5 {
		to := emptyFile(t, filepath.Join(dir, fmt.Sprintf("copy%d", i)))
		snapshot, err := store.Backup(t.Context(), "sqlite:"+filepath.Join(dir, "postern.db"), to)
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, snapshot)
		info, err := os.Stat(to)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the copy has mode %v, %v, want 0600", info.Mode(), err)
		}
	}
	close(stop)
	writer.Wait()
	for i, snapshot := range copies {
		c := openFile(t, filepath.Join(dir, fmt.Sprintf("copy%d", i)))
		page, err := c.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := c.AuditEntries(t.Context(), "acme", 0, 10_000)
		if err != nil || len(entries) != len(page.Items) || keys.Seq(len(entries)) != snapshot.Seq ||
			snapshot.Heads[0].Seq != int64(len(entries)) || string(snapshot.Canary) != "canary" || snapshot.Schema < 1 {
			t.Errorf("copy %d: %d credentials, %d entries, %v, told as %+v", i, len(page.Items), len(entries), err, snapshot)
		}
	}
	if n < 5 {
		t.Errorf("only %d writes went on beside the backups", n)
	}
}

func TestBackupSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	to := emptyFile(t, filepath.Join(dir, "to"))
	if _, err := store.Backup(t.Context(), "sqlite:"+filepath.Join(dir, "none.db"), to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a database: got %v, want ErrNotExist", err)
	}
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Backup(t.Context(), "sqlite:"+garbage, to); err == nil {
		t.Error("of no database: got no error")
	}
	s := openFile(t, filepath.Join(dir, "postern.db"))
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		return tx.PutMeta(ctx, "a", []byte("kept out of backups"))
	})
	update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.PutMeta(ctx, "a", []byte("changed")) })
	full := filepath.Join(dir, "full")
	if err := os.WriteFile(full, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Backup(t.Context(), "sqlite:"+filepath.Join(dir, "postern.db"), full); err == nil {
		t.Error("over a file with contents: got no error")
	}
	if text, err := os.ReadFile(full); err != nil || string(text) != "mine" {
		t.Errorf("the file with contents now holds %q, %v", text, err)
	}
}
