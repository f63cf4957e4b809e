package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Load reads the file and what overrides it: defaults < file < POSTERN_ variables < flags. The
// error is a *Problems that lists everything that is wrong at once; warnings come in either case.
// Safe for concurrent use. Nothing is written and, beside the file itself, only files that
// set_headers and tls name are read.
func Load(path string, o LoadOptions) (*Config, []Warning, error) {
	text, err := readFile(path)
	if err != nil {
		p := Problem{File: path, Message: err.Error()}
		if errors.Is(err, fs.ErrNotExist) {
			p.Message, p.Next = "there is no such file", "name the configuration, or make one with postern init"
		}
		return nil, nil, &Problems{List: []Problem{p}}
	}
	return Parse(path, text, o)
}

// readFile stops a little above the largest size that is parsed.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxText+8))
}

// Parse is Load for a text in memory; name stands for the file's path in positions, and relative
// paths start at its folder.
func Parse(name string, text []byte, o LoadOptions) (*Config, []Warning, error) {
	d, c, err := decode(name, text, o)
	if err != nil {
		return nil, nil, err
	}
	var warnings []Warning
	for _, w := range d.render(d.warnings) {
		warnings = append(warnings, Warning(w))
	}
	if err := d.err(); err != nil {
		return nil, warnings, err
	}
	c.written = d.root
	return c, warnings, nil
}

// decode reads as far as it can; d has the problems.
func decode(name string, text []byte, o LoadOptions) (*decoder, *Config, error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, nil, &Problems{List: []Problem{{File: name, Message: fmt.Sprintf("find its folder: %v", err)}}}
	}
	d := &decoder{dir: dir, env: environment(o.Env), report: report{file: name, lines: lines(string(text))}}
	c := &Config{File: name, Dir: dir, Digest: sha256.Sum256(text)}
	d.configuration(c, string(text), o.Flags)
	return d, c, nil
}

// configuration runs the steps: read, merge, decode, check.
func (d *decoder) configuration(c *Config, src string, flags map[string]any) {
	r := reader{complain: func(at place, what, next string) { d.problem(at, nil, what, next) }}
	root := r.read(src)
	switch {
	case root == nil && len(d.problems) > 0:
		return
	case root == nil:
		d.problem(place{line: 1, column: 1}, nil, "the file is empty", "write at least version: 1 and a route")
		return
	case root.kind == broken:
		return
	case root.kind != mapping:
		d.problem(root.at, nil, fmt.Sprintf("the file must be a map of settings, not %s", root.kind), "begin with version: 1")
		return
	}
	l := newLayers()
	if err := errors.Join(l.add(nil, root), d.addEnv(l), d.addFlags(l, flags)); err != nil {
		d.problem(place{line: 1, column: 1}, nil, err.Error(), "")
		return
	}
	d.root = l.merged()
	d.section(reflect.ValueOf(c).Elem(), d.root, nil)
	d.check(c)
}

// environment makes a map of what os.Environ gives. The first of two equal names counts, as in
// getenv.
func environment(env []string) map[string]string {
	out := make(map[string]string, len(env))
	for _, one := range env {
		name, value, _ := strings.Cut(one, "=")
		if _, twice := out[name]; !twice {
			out[name] = value
		}
	}
	return out
}

// check looks at what settings say about each other, section by section.
func (d *decoder) check(c *Config) {
	d.checkVersion(c)
	d.checkListen(c)
	d.checkStore(c)
	d.checkLimiter(c)
	d.checkCredentials(c)
	d.checkPlans(c)
	d.checkPolicy(c)
	d.checkRoles(c)
	d.checkRoutes(c)
	d.checkTLS(c)
	d.checkAccess(c)
	d.checkUse(c)
	d.checkFleet(c)
}

func (d *decoder) checkVersion(c *Config) {
	if !d.broken("version") && c.Version != 1 {
		d.wrong(path{"version"}, fmt.Sprintf("version %d is not known", c.Version), "this program reads version 1")
	}
}
