package config

import (
	"fmt"
	"strings"
)

// Limiter is where limits are counted.
type Limiter struct {
	Backend Backend `yaml:"backend" default:"local" reload:"no"`
	OnLoss  string  `yaml:"on_loss" default:"local" enum:"local|deny|allow"`
}

// Backend is the kind of limiter: local, in the process.
type Backend string

func (b *Backend) decode(d *decoder, n *node, p path) {
	if n.kind == mapping {
		for _, e := range n.entries {
			if e.key != "addrs" {
				d.mask(e.value) // a password is among them
			}
		}
		d.problem(n.at, p, "a shared limiter is not available in this version", "write local")
		return
	}
	in, ok := d.text(n, p)
	if ok && in != "local" {
		if strings.Contains(in, "@") {
			d.mask(n) // an address with its password
		}
		d.problem(n.at, p, "a limiter other than local is not available in this version", "write local")
	}
	*b = Backend(in)
}

func (d *decoder) checkLimiter(c *Config) {
	if c.Limiter.OnLoss == "allow" {
		d.warn(d.place(path{"limiter", "on_loss"}), path{"limiter", "on_loss"}, "while the limiter is lost, nothing is limited", "")
	}
	for name, r := range c.Routes {
		if p := (path{"routes", name, "on_loss"}); r.OnLoss == "allow" {
			d.warn(d.place(p), p, fmt.Sprintf("while the limiter is lost, nothing is limited on route %s", name), "")
		}
		if r.OnLoss == "" {
			r.OnLoss = c.Limiter.OnLoss
		}
	}
}
