package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/keys"
)

// Access is what the file itself declares; it is read-only at run time.
type Access struct {
	Keys    map[string]*AccessKey `yaml:"keys"`
	Tenants Later                 `yaml:"tenants"`
	Users   Later                 `yaml:"users"`
	Roles   Later                 `yaml:"roles"`
}

// AccessKey is one declared key.
type AccessKey struct {
	Name      string    `yaml:"-"`
	Where     string    `yaml:"-"` // file:line of the declaration
	Hash      Hash      `yaml:"hash" required:"hash: sha256:<64 hex digits>"`
	Kind      string    `yaml:"kind" default:"api_key" enum:"api_key|client"`
	Tenant    string    `yaml:"tenant" default:"default" enum:"default"`
	Owner     string    `yaml:"owner" default:"tenant" enum:"tenant" later:"user"`
	Plan      string    `yaml:"plan"` // policy.default_plan when not written
	APIs      []string  `yaml:"apis" default:"[]"`
	Scopes    []string  `yaml:"scopes" default:"[]"`
	ExpiresAt ExpiresAt `yaml:"expires_at" default:"never"`
}

// Hash is the SHA-256 of a key's whole text.
type Hash [sha256.Size]byte

// ExpiresAt is an instant, zero for never.
type ExpiresAt struct{ time.Time }

func (h *Hash) decode(d *decoder, n *node, p path) {
	in, ok := d.text(n, p)
	if !ok {
		return
	}
	digits, isHash := strings.CutPrefix(in, "sha256:")
	sum, err := hex.DecodeString(digits)
	switch {
	case !isHash:
		d.mask(n) // it may be the key itself
		d.problem(n.at, p, "is not the hash of a key", "write sha256:<64 hex digits>, as postern keys hash prints it for a key on its standard input")
	case err != nil || len(sum) != len(h):
		d.problem(n.at, p, fmt.Sprintf("has %d characters after sha256: instead of 64 hex digits", len(digits)), "copy the whole line that postern keys hash prints")
	}
	copy(h[:], sum)
}

func (e *ExpiresAt) parse(_ *decoder, in string) error {
	l, err := keys.ParseLifetime(in)
	if err != nil || !l.Never() && l.Until.IsZero() {
		return complaint{fmt.Sprintf("%s is not a date", show(in)), "write a date as in 2027-01-31, a time as in 2027-01-31T12:00:00Z, or never"}
	}
	e.Time = l.Until
	return nil
}

func (d *decoder) checkAccess(c *Config) {
	seen := map[Hash]string{}
	for _, name := range d.inOrderOfKeys(c) {
		k, p := c.Access.Keys[name], path{"access", "keys", name}
		k.Name, k.Where = name, d.where(p)
		if other, twice := seen[k.Hash]; twice && !d.broken(p.to("hash")...) {
			d.wrong(p.to("hash"), fmt.Sprintf("key %s (%s) has the same hash", other, c.Access.Keys[other].Where), "remove one: a key can be declared once")
		} else if !d.broken(p.to("hash")...) {
			seen[k.Hash] = name
		}
		d.checkPlanName(c, k.Plan, p.to("plan")...)
		if k.Plan == "" && c.Policy.DefaultPlan == "" && !d.broken(p.to("plan")...) && !d.broken("policy") {
			d.wrongKey(p.to("plan"), "is missing", "name a plan, or set policy.default_plan")
		}
		if k.Plan == "" {
			k.Plan = c.Policy.DefaultPlan
		}
		for i, api := range k.APIs {
			d.checkAPIName(c, api, p.to("apis", index(i))...)
		}
		for i, scope := range k.Scopes {
			d.checkScope(c, scope, p.to("scopes", index(i))...)
		}
	}
}

func (d *decoder) inOrderOfKeys(c *Config) []string {
	names := slices.Collect(maps.Keys(c.Access.Keys))
	slices.Sort(names)
	slices.SortStableFunc(names, func(a, b string) int {
		return d.keyPlace(path{"access", "keys", a}).line - d.keyPlace(path{"access", "keys", b}).line
	})
	return names
}

// where is file:line of a setting, or the variable or flag that it comes from.
func (d *decoder) where(p path) string {
	at := d.keyPlace(p)
	if at.origin != "" {
		return at.origin
	}
	return fmt.Sprintf("%s:%d", d.file, at.line)
}
