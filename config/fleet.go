package config

import (
	"time"

	"postern/internal/keys"
)

// Node is what this gateway is called among those that share a store.
type Node struct {
	ID NodeID `yaml:"id" default:""` // empty: made once, and kept in data_dir
}

// NodeID is a node's id, or "".
type NodeID string

func (id *NodeID) parse(_ *decoder, in string) error {
	if in != "" && !keys.NodeIDForm.MatchString(in) {
		return complaint{show(in) + " is not a node's id", "write 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first; or leave it empty"}
	}
	*id = NodeID(in)
	return nil
}

// Shared tells whether other gateways may use the same store.
func (s Store) Shared() bool { return !s.None() && s.SQLite == "" }

// leastStale is the shortest max_stale that a shared store is no trouble with: a database takes some
// seconds to fail over.
const leastStale = 10 * time.Second

// checkFleet warns of what several gateways cannot do exactly, or not for long.
func (d *decoder) checkFleet(c *Config) {
	if len(d.problems) > 0 {
		return
	}
	if at := (path{"tls", "domains"}); len(c.TLS.Domains) > 0 && c.Store.None() && !c.Limiter.Backend.Local() {
		d.warn(d.place(at), at, "each gateway that shares the limits has certificates of its own, and where the CA calls one of them for another it gets none",
			"name certificate files, or share a PostgreSQL store; a single gateway may have it so")
	}
	if !c.Store.Shared() {
		return
	}
	if at := (path{"limiter", "backend"}); c.Limiter.Backend.Local() {
		where := d.place(at)
		if !d.written(at...) {
			where = d.place(path{"store"}) // what makes the default a mistake
		}
		d.warn(where, at, "each gateway that shares the store counts by itself, so that together they admit every limit once for each gateway",
			"name a Redis, or run a single gateway")
	}
	if at := (path{"max_stale"}); c.MaxStale < leastStale {
		d.warn(d.place(at), at, "a database that is away for longer, as for a failover, stops every gateway at once", "write at least "+leastStale.String())
	}
}

// Common is Effective without the settings that may well differ from gateway to gateway: what is left
// decides about requests and keys, and should be the same everywhere.
func (c *Config) Common() map[string]any {
	common := c.Effective()
	for _, name := range []string{"data_dir", "listen", "admin", "store", "secrets", "tls", "log", "drain", "node"} {
		delete(common, name)
	}
	return common
}
