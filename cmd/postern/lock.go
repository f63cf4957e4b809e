package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDataDir keeps a second gateway out of the same data folder: two would count the same limits
// apart. The kernel lets go of the lock when the process ends, however it ends.
func lockDataDir(dir string) (*os.File, error) {
	if err := makeDataDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data_dir: %w", err)
	}
	if err := keepOwner(path, dir); err != nil { // root may restore what another user runs
		return nil, errors.Join(fmt.Errorf("lock data_dir: %w", err), f.Close())
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &failure{code: exitFailed, err: fmt.Errorf("another gateway is running on %s", dir),
				next: "Stop it first, or give this one a data_dir of its own."}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
