package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a file must rest before it is looked at: editors and deployments write in
	// several steps.
	settle = 200 * time.Millisecond
	// settleAtMost is how long steps that do not end put the look off.
	settleAtMost = 2 * time.Second
	// lookEvery is how often the file is looked at without any notice, for file systems that give none.
	lookEvery = 2 * time.Second
)

// Watch calls changed each time the file's content becomes another one, until ctx ends. seen is the
// content known at the start, as in Config.Digest. A file that is replaced, also behind a symbolic
// link anywhere in its folder (as Kubernetes and releases do it), counts as changed when what can be
// read at path differs; one that vanished counts once. Notices of the system make it quick; it looks
// for itself every two seconds, so that none can be missed for long. changed is not called twice at
// the same time.
//
// koanf's own watcher was tried: it ends for good after a Remove event or an error.
func Watch(ctx context.Context, path string, seen [sha256.Size]byte, changed func()) {
	w := &watcher{path: path, seen: seen, changed: changed}
	if notices, err := fsnotify.NewWatcher(); err == nil {
		defer func() { _ = notices.Close() }() // nothing was written
		w.notices = notices
	} // without notices there is still the look every two seconds
	w.run(ctx)
}

type watcher struct {
	path    string
	seen    [sha256.Size]byte
	changed func()
	notices *fsnotify.Watcher // nil where the system has none to give
}

func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	rest := time.NewTimer(settle)
	defer rest.Stop()
	var since time.Time // the first notice that was not followed up yet
	for {
		w.arm()
		select {
		case <-ctx.Done():
			return
		case <-w.events():
			now := time.Now()
			if since.IsZero() {
				since = now
			}
			rest.Reset(min(settle, max(0, settleAtMost-now.Sub(since))))
		case err := <-w.errors():
			if err != nil { // notices were lost: look
				rest.Reset(settle)
			}
		case <-rest.C:
			since = time.Time{}
			w.look()
		case <-tick.C:
			if since.IsZero() {
				w.look()
			}
		}
	}
}

// arm watches the folder of the file, and the one that holds what a link leads to. Watching a folder
// again does nothing; one that was removed and made anew is watched from here on.
func (w *watcher) arm() {
	if w.notices == nil {
		return
	}
	folders := []string{filepath.Dir(w.path)}
	if real, err := filepath.EvalSymlinks(w.path); err == nil {
		folders = append(folders, filepath.Dir(real))
	}
	for _, folder := range folders {
		_ = w.notices.Add(folder) // one that cannot be watched is looked at
	}
}

func (w *watcher) events() chan fsnotify.Event {
	if w.notices == nil {
		return nil
	}
	return w.notices.Events
}

func (w *watcher) errors() chan error {
	if w.notices == nil {
		return nil
	}
	return w.notices.Errors
}

// look compares what is there with what was seen last.
func (w *watcher) look() {
	text, err := readFile(w.path)
	now := sha256.Sum256(text)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		now = [sha256.Size]byte{} // the content of no file
	case err != nil:
		now = sha256.Sum256([]byte(err.Error()))
	}
	if now != w.seen {
		w.seen = now
		w.changed()
	}
}
