package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// checkpointFileName is where counts are kept with store: none, in data_dir.
const checkpointFileName = "checkpoint.json"

// checkpointFile keeps counts where there is no database. It is written whole each time, under
// another name first, so that there is always one complete file. Last uses are not kept: without a
// store nobody could ask for them.
type checkpointFile struct {
	path   string
	counts map[countKey]limiter.Count // as in the file
}

var _ keys.CheckpointStore = (*checkpointFile)(nil)

// savedCounts is the file's form.
type savedCounts struct {
	Version int             `json:"version"`
	SavedAt time.Time       `json:"saved_at"`
	Counts  []limiter.Count `json:"counts"`
}

const checkpointVersion = 1

func newCheckpointFile(dataDir string) *checkpointFile {
	return &checkpointFile{path: filepath.Join(dataDir, checkpointFileName), counts: map[countKey]limiter.Count{}}
}

// Counts implements keys.CheckpointStore. A file that cannot be understood is put aside: it counts
// for nothing, and must not keep the gateway from starting.
func (f *checkpointFile) Counts(_ context.Context, endAfter time.Time, visit func([]limiter.Count) error) error {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	var saved savedCounts
	if err := json.Unmarshal(text, &saved); err != nil || saved.Version != checkpointVersion {
		aside := f.path + ".damaged"
		return errors.Join(fmt.Errorf("%w: %s is not one; it was put aside as %s", errDamagedCheckpoint, f.path, aside), os.Rename(f.path, aside))
	}
	var live []limiter.Count
	for _, n := range saved.Counts {
		if n.Span.End > endAfter.UnixMicro() {
			live = append(live, n)
			f.counts[countKey{n.Counter, n.Unit, n.Span.Start}] = n
		}
	}
	return visit(live)
}

// errDamagedCheckpoint says that the checkpoint is no file of ours.
var errDamagedCheckpoint = errors.New("the checkpoint of days and months is damaged")

// SaveCheckpoint implements keys.CheckpointStore.
func (f *checkpointFile) SaveCheckpoint(_ context.Context, c keys.Checkpoint) error {
	if len(c.Counts) == 0 {
		return nil
	}
	for _, n := range c.Counts {
		f.counts[countKey{n.Counter, n.Unit, n.Span.Start}] = n
	}
	return f.write()
}

// PruneCounts implements keys.CheckpointStore. What ended leaves the file with the next checkpoint.
func (f *checkpointFile) PruneCounts(_ context.Context, endedBefore time.Time) (bool, error) {
	for k, n := range f.counts {
		if n.Span.End < endedBefore.UnixMicro() {
			delete(f.counts, k)
		}
	}
	return false, nil
}

func (f *checkpointFile) write() error {
	saved := savedCounts{Version: checkpointVersion, SavedAt: time.Now().UTC(), Counts: make([]limiter.Count, 0, len(f.counts))}
	for _, n := range f.counts {
		saved.Counts = append(saved.Counts, n)
	}
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(saved); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return replaceFile(f.path, text.Bytes())
}

// replaceFile gives a file new contents, readable by its owner alone: whoever reads it, also after
// a power loss, finds the old or the new ones whole.
func replaceFile(path string, text []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // the error that matters is told
		}
	}()
	_, err = tmp.Write(text)
	if err := errors.Join(err, keepOwner(tmp, path), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// keepOwner gives a new file the owner of the one whose place it takes, or else of the folder: a
// command that root types must not take a file away from the gateway's own user. It works on the open
// file: what stands at its path by now, that user may have put there.
func keepOwner(f *os.File, place string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(place)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(filepath.Dir(place))
	}
	if err != nil {
		return err
	}
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(of.Uid), int(of.Gid))
	}
	return nil
}

// syncDir makes what was created, renamed or removed in a folder last.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", path, err)
	}
	return nil
}
