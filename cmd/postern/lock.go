package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFile lies in each data_dir.
const lockFile = "lock"

// lockForGateway is lockDataDir for a gateway, which reload finds by the process that the file names.
func lockForGateway(dir string) (*os.File, error) {
	f, err := lockDataDir(dir)
	if err != nil {
		return nil, err
	}
	if err := writeAt(f, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return f, nil
}

// lockDataDir keeps a second gateway out of the same data folder: two would count the same limits
// apart. The kernel lets go of the lock when the process ends, however it ends. The file names nobody.
func lockDataDir(dir string) (*os.File, error) {
	if err := makeDataDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, lockFile)
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock data_dir: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &failure{code: exitFailed, err: fmt.Errorf("another gateway is running on %s", dir),
				next: "Stop it first. Each gateway needs a data_dir of its own."}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, fmt.Errorf("empty %s: %w", path, err)
	}
	return f, nil
}

// openLock opens a lock file of a folder, made where it is missing. Root may restore what another user
// runs, whose the folder is: what that user puts in the file's place must not lead root to another file,
// which would be emptied and given away.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a link; remove it", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if of, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && of.Nlink > 1 {
			err = fmt.Errorf("%s is no file of its own; remove it", path)
		} else {
			err = keepOwner(f, filepath.Dir(path))
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// lockHolder returns the process that runs a gateway on the data folder. The number in the file
// counts only while the lock is held: afterwards it may be anybody's.
func lockHolder(dir string) (int, error) {
	none := &failure{code: exitUnreachable, err: fmt.Errorf("no gateway is running on %s", dir), next: "Start it with `postern run`."}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, none
	}
	if err != nil {
		return 0, fmt.Errorf("look at the lock: %w", err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		return 0, none
	}
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, fmt.Errorf("read the lock: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0, &failure{code: exitFailed, err: fmt.Errorf("%s does not name the process that holds it", f.Name()), next: "Send the gateway a SIGHUP yourself."}
	}
	return pid, nil
}

// hangUp tells a process to reload.
func hangUp(pid int) error { return unix.Kill(pid, unix.SIGHUP) }
