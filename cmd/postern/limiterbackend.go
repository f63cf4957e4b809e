package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/config"
	"postern/limiter"
)

// countingLimiter is a limiter whose counts of days and months outlive the process.
type countingLimiter interface {
	limiter.Limiter
	Changed([]limiter.Count) []limiter.Count
	Restore([]limiter.Count) error
	Close() error
}

var (
	_ countingLimiter = (*limiter.Local)(nil)
	_ countingLimiter = (*limiter.Redis)(nil)
)

// openLimiter makes the limiter of the configuration. Redis need not be there: until it is, limits are as
// they are when it is lost.
func openLimiter(cfg *config.Config, log *slog.Logger) (countingLimiter, error) {
	backend := cfg.Limiter.Backend
	if backend.Local() {
		return limiter.NewLocal(limiter.LocalOptions{Track: true}), nil
	}
	node, err := nodeName(string(cfg.DataDir))
	if err != nil {
		return nil, err
	}
	o := backend.Options()
	o.Node, o.Log = node, log
	r, err := limiter.NewRedis(o)
	if err != nil {
		return nil, fmt.Errorf("limiter.backend: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := r.Ping(ctx); err != nil {
		log.Error("Redis does not answer; until it does, limits are counted as limiter.on_loss says", "error", err)
	}
	return r, nil
}

const nodeFileName = "node"

// nodeName is this gateway's name among those that share a store: made once, kept in data_dir, which
// no two gateways share.
func nodeName(dataDir string) (string, error) {
	path := filepath.Join(dataDir, nodeFileName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(uuid.NewString() + "\n")
		err = replaceFile(path, text)
	}
	if err != nil {
		return "", fmt.Errorf("name of this node: %w", err)
	}
	name := strings.TrimSpace(string(text))
	if _, err := uuid.Parse(name); err != nil {
		return "", &failure{code: exitFailed, err: fmt.Errorf("name of this node: %s holds something else", path),
			next: "Remove the file; a new name is made. What this node counted today is then counted under the old one."}
	}
	return name, nil
}
