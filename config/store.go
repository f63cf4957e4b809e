package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Store is the system of record.
type Store struct {
	// SQLite is the absolute path of the database in data_dir; "" with store: none.
	SQLite string
}

// None tells whether there is no store: declared keys only.
func (s Store) None() bool { return s.SQLite == "" }

// Secrets names the files or variables that hold the installation's secrets. Load does not read
// them; see Ref.Read.
type Secrets struct {
	Pepper Ref `yaml:"pepper" default:"file:pepper"`
	Keyset Ref `yaml:"keyset" default:"file:keyset.json"`
}

// Ref says where a secret is. Exactly one field is set.
type Ref struct {
	Env  string // name of an environment variable
	File string // absolute path
}

// Path is an absolute path of a file or folder, or "".
type Path string

var (
	fileForm     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func (p *Path) parse(d *decoder, in string) error {
	if in == "" {
		return complaint{"must not be empty", "name a file or folder, or remove the line"}
	}
	*p = Path(d.absolute(in))
	return nil
}

func (d *decoder) absolute(in string) string {
	if filepath.IsAbs(in) {
		return filepath.Clean(in)
	}
	return filepath.Join(d.dir, in)
}

func (s *Store) decode(d *decoder, n *node, p path) {
	in, ok := d.text(n, p)
	if !ok {
		return
	}
	if strings.Contains(in, "@") {
		d.mask(n) // a database's address with its password
	}
	d.accept(s.parse(in), p, n)
}

func (s *Store) parse(in string) error {
	kind, name, _ := strings.Cut(in, ":")
	switch {
	case in == "none":
	case kind == "sqlite" && fileForm.MatchString(name):
		s.SQLite = name // checkStore puts data_dir before it
	case kind == "sqlite":
		return complaint{fmt.Sprintf("%s is not a file name", show(name)), "write a plain name, as in sqlite:postern.db; the file lies in data_dir"}
	case kind == "env" || strings.HasPrefix(kind, "postgres"):
		return complaint{"PostgreSQL is not available in this version", "write sqlite:postern.db, or none"}
	default:
		return complaint{fmt.Sprintf("%s is not a store", show(kind)), "write sqlite:NAME or none"}
	}
	return nil
}

func (r *Ref) decode(d *decoder, n *node, p path) {
	in, ok := d.text(n, p)
	if !ok {
		return
	}
	ref, isRef, err := d.reference(in)
	if !isRef {
		d.mask(n)
		err = complaint{"must say where the secret is, not the secret itself", "write env:NAME or file:PATH"}
	}
	d.accept(err, p, n)
	*r = ref
}

// reference reads env:NAME and file:PATH. isRef is false when in begins with neither.
func (d *decoder) reference(in string) (ref Ref, isRef bool, err error) {
	kind, rest, _ := strings.Cut(in, ":")
	switch {
	case kind == "env" && !variableForm.MatchString(rest):
		return Ref{}, true, complaint{fmt.Sprintf("%s is not the name of an environment variable", show(rest)), "write it as in env:NAME"}
	case kind == "env":
		return Ref{Env: rest}, true, nil
	case kind == "file" && rest == "":
		return Ref{}, true, complaint{"names no file", "write it as in file:PATH"}
	case kind == "file":
		return Ref{File: d.absolute(rest)}, true, nil
	}
	return Ref{}, false, nil
}

// Read returns the secret as it is kept, byte for byte. env is the environment as os.Environ
// gives it. The error names the file or variable, never what is in it; it wraps fs.ErrNotExist
// when the file is not there.
func (r Ref) Read(env []string) ([]byte, error) { return r.read(environment(env)) }

func (r Ref) read(env map[string]string) ([]byte, error) {
	if r.Env != "" {
		value, ok := env[r.Env]
		if !ok || value == "" {
			return nil, fmt.Errorf("environment variable %s is not set", r.Env)
		}
		return []byte(value), nil
	}
	f, err := os.Open(r.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSecret))
}

const maxSecret = 1 << 20 // bytes; more is no secret but the wrong file

// String is env:NAME or file:PATH.
func (r Ref) String() string {
	if r.Env != "" {
		return "env:" + r.Env
	}
	return "file:" + r.File
}

func (d *decoder) checkStore(c *Config) {
	if !c.Store.None() {
		c.Store.SQLite = filepath.Join(string(c.DataDir), c.Store.SQLite)
	}
}
