package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLockLeadsNowhere: whose the folder is decides what stands at the lock's place, and root, who restores
// or rotates there, must neither empty nor give away another file.
func TestLockLeadsNowhere(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "precious")
	for name, place := range map[string]func(string) error{
		"a symbolic link":             func(lock string) error { return os.Symlink(outside, lock) },
		"a link to what is not there": func(lock string) error { return os.Symlink(outside+"2", lock) },
		"a hard link":                 func(lock string) error { return os.Link(outside, lock) },
		"a folder":                    func(lock string) error { return os.Mkdir(lock, 0o700) },
	} {
		if err := os.WriteFile(outside, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := place(filepath.Join(dir, "lock")); err != nil {
			t.Fatal(err)
		}
		if f, err := lockDataDir(dir); err == nil {
			f.Close()
			t.Errorf("%s was taken for the lock", name)
		}
		if text, err := os.ReadFile(outside); err != nil || string(text) != "precious" {
			t.Errorf("%s: the other file holds %q, %v", name, text, err)
		}
		if _, err := os.Stat(outside + "2"); err == nil {
			t.Errorf("%s: a file was made outside", name)
		}
	}
}
