package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"postern/config"
	"postern/internal/keys"
)

// buildFleet makes this gateway's place among those that share its store. The listeners are bound.
func (p *program) buildFleet() error {
	if p.install.store == nil {
		return nil
	}
	id, err := nodeID(p.cfg)
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // for people; without a name there is none to show
	admin := ""
	if p.adminListener != nil {
		admin = adminURL(p.cfg, addressOf(p.adminListener))
	}
	print := &fingerprint{program: p}
	p.fleet = keys.NewFleet(keys.FleetOptions{
		Store: p.install.store, Directory: p.directory, Log: p.log, Configuration: print.inForce,
		Self: keys.Node{
			ID: id, Boot: rand.Text(), Place: placeOf(p.cfg), Version: buildVersion(), Host: host,
			Address: addressOf(p.gatewayListener), AdminURL: admin,
		},
	})
	return nil
}

// nodeIDFile keeps the id of a node whose configuration names none.
const nodeIDFile = "node_id"

// nodeID is what the configuration calls this gateway, or else the id that was made for its data_dir,
// which is made now where there is none.
func nodeID(cfg *config.Config) (keys.NodeID, error) {
	if cfg.Node.ID != "" {
		return keys.NodeID(cfg.Node.ID), nil
	}
	path := filepath.Join(string(cfg.DataDir), nodeIDFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte("node-" + strings.ToLower(rand.Text()[:12]) + "\n")
		err = writeNew(path, text)
	}
	if err != nil {
		return "", fmt.Errorf("node id: %w", err)
	}
	id := string(bytes.TrimSpace(text))
	if !keys.NodeIDForm.MatchString(id) {
		return "", &failure{code: exitFailed, err: fmt.Errorf("%s does not hold a node's id", path), next: "Remove the file: a new id is made then. Or set node.id."}
	}
	return keys.NodeID(id), nil
}

// placeOf is what no two gateways have at once: the lock of the data_dir, of which the kernel gives one
// to one process at a time. A copy of the folder is another one, and so is the folder after the machine
// was started anew: then nobody can tell whether it is the same machine. A database that lies in the
// folder is locked with it.
func placeOf(cfg *config.Config) string {
	if !cfg.Store.Shared() {
		return "data_dir"
	}
	const bootFile = "/proc/sys/kernel/random/boot_id"
	boot, err := os.ReadFile(bootFile)
	if err != nil {
		return "" // no proof of anything
	}
	f, err := os.OpenFile(filepath.Join(string(cfg.DataDir), lockFile), os.O_RDWR, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	of, ok := (*syscall.Stat_t)(nil), false
	if err == nil {
		of, ok = info.Sys().(*syscall.Stat_t)
	}
	if !ok || !errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK) {
		return "" // this process holds it, unless it was started without
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", bytes.TrimSpace(boot), of.Dev, of.Ino))
	return fmt.Sprintf("%x", sum[:16])
}

// fingerprint tells configurations apart. Making it takes a while for a large one, so it is made once
// for each.
type fingerprint struct {
	program *program

	mu   sync.Mutex
	of   *config.Config
	text string
}

// inForce is the fingerprint of the configuration in force.
func (f *fingerprint) inForce() string {
	cfg := f.program.reloader.current.Load().cfg
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of != cfg {
		text, err := json.Marshal(cfg.Common())
		if err != nil { // maps, lists and plain values always can be
			panic(fmt.Sprintf("write the configuration: %v", err))
		}
		f.of, f.text = cfg, f.program.install.vault.Fingerprint(text)
	}
	return f.text
}

// leaveFleet takes the gateway out of those that count. Nothing is admitted any more by then.
func (p *program) leaveFleet() {
	if p.fleet == nil {
		return
	}
	if err := p.fleet.Leave(context.Background()); err != nil {
		p.log.Warn("this node could not be taken out of the fleet; the others wait for it until max_stale is over", "error", err)
	}
}
