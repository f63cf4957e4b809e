package config_test

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/config"
)

// watched starts a watch and returns how to wait for the next call of changed.
func watched(t *testing.T, path, seen string) (next func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	calls, ended := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(ended)
		config.Watch(ctx, path, sha256.Sum256([]byte(seen)), func() { calls <- struct{}{} })
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if n := len(calls); n > 0 {
			t.Errorf("changed was called %d times more than the file changed", n)
		}
		goleak.VerifyNone(t, goleak.IgnoreCurrent())
	})
	return func() {
		t.Helper()
		select {
		case <-calls:
		case <-time.After(20 * time.Second):
			t.Fatal("the change was not noticed")
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestWatch changes a file in each way that editors and deployments do.
func TestWatch(t *testing.T) {
	t.Run("written in place, again and again", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gateway.yaml")
		write(t, path, "one")
		next := watched(t, path, "one")
		for _, text := range []string{"two", "three", "two"} {
			write(t, path, text)
			next()
		}
	})
	t.Run("changed before the watch began", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gateway.yaml")
		write(t, path, "two")
		watched(t, path, "one")()
	})
	t.Run("replaced by renaming", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "gateway.yaml")
		write(t, path, "one")
		next := watched(t, path, "one")
		for _, text := range []string{"two", "three"} {
			write(t, filepath.Join(dir, "new"), text)
			must(t, os.Rename(filepath.Join(dir, "new"), path))
			next()
		}
	})
	t.Run("removed, and made again", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "gateway.yaml")
		write(t, path, "one")
		next := watched(t, path, "one")
		must(t, os.Remove(path))
		next()
		write(t, path, "two")
		next()
	})
	t.Run("behind a folder that is swapped, as Kubernetes does", func(t *testing.T) {
		dir := t.TempDir()
		for _, v := range []string{"v1", "v2", "v3"} {
			must(t, os.Mkdir(filepath.Join(dir, v), 0o700))
			write(t, filepath.Join(dir, v, "gateway.yaml"), v)
		}
		must(t, os.Symlink("v1", filepath.Join(dir, "..data")))
		must(t, os.Symlink("..data/gateway.yaml", filepath.Join(dir, "gateway.yaml")))
		next := watched(t, filepath.Join(dir, "gateway.yaml"), "v1")
		for _, v := range []string{"v2", "v3"} {
			must(t, os.Symlink(v, filepath.Join(dir, "..tmp")))
			must(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
			next()
		}
	})
	t.Run("in a folder that is removed and made again", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "etc")
		path := filepath.Join(dir, "gateway.yaml")
		must(t, os.Mkdir(dir, 0o700))
		write(t, path, "one")
		next := watched(t, path, "one")
		must(t, os.RemoveAll(dir))
		next()
		must(t, os.Mkdir(dir, 0o700))
		write(t, path, "two")
		next()
	})
}
