package config

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Store is the system of record: one of the two, or neither with store: none.
type Store struct {
	SQLite   string // absolute path of the database in data_dir
	Postgres Ref    // where the address of a PostgreSQL database is
}

// None tells whether there is no store: declared keys only.
func (s Store) None() bool { return s == Store{} }

// Address is what opens the store: sqlite:<absolute path> or postgres://…, which may hold a password. env
// is the environment as os.Environ gives it. It must not be called with store: none.
func (s Store) Address(env []string) (string, error) {
	if s.SQLite != "" {
		return "sqlite:" + s.SQLite, nil
	}
	text, err := s.Postgres.Read(env)
	return strings.TrimSpace(string(text)), err
}

// String is what people call the store, without anything secret.
func (s Store) String() string {
	switch {
	case s.SQLite != "":
		return s.SQLite
	case s.Shared():
		return "the PostgreSQL database that " + s.Postgres.String() + " names"
	}
	return "none"
}

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
	if strings.Contains(in, "@") || strings.Contains(in, "//") {
		d.mask(n) // a database's address, perhaps with its password
	}
	err := s.parse(in)
	if s.Postgres.File != "" {
		s.Postgres.File = d.absolute(s.Postgres.File)
	}
	d.accept(err, p, n)
	if err == nil && s.Shared() {
		d.accept(s.Postgres.checkPostgres(d.env), p, n)
	}
}

// checkPostgres looks at the address where it is kept. What is in it is never shown: it may hold a
// password, at any place where it is not an address.
func (r Ref) checkPostgres(env map[string]string) error {
	text, err := r.read(env)
	if err != nil {
		return complaint{err.Error(), "set it where Postern runs, to postgres://USER:PASSWORD@HOST/DATABASE"}
	}
	place := "file " + r.File
	if r.Env != "" {
		place = "environment variable " + r.Env
	}
	u, err := url.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return complaint{fmt.Sprintf("what %s holds is not a URL", place),
			"set it to postgres://USER:PASSWORD@HOST/DATABASE, with % and two hex digits for each special character of the password"}
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return complaint{place + " does not hold the address of a PostgreSQL database",
			"set it to postgres://USER:PASSWORD@HOST/DATABASE"}
	}
	return nil
}

// ParseStore reads a store as it is written in a configuration with this data_dir. What an environment
// variable or a file holds is not looked at; a relative path of a file starts where the process runs.
func ParseStore(in, dataDir string) (Store, error) {
	var s Store
	err := s.parse(in)
	if s.SQLite != "" {
		s.SQLite = filepath.Join(dataDir, s.SQLite)
	}
	return s, err
}

func (s *Store) parse(in string) error {
	kind, name, _ := strings.Cut(in, ":")
	switch {
	case in == "none":
	case kind == "sqlite" && fileForm.MatchString(name):
		s.SQLite = name // checkStore puts data_dir before it
	case kind == "sqlite":
		return complaint{fmt.Sprintf("%s is not a file name", show(name)), "write a plain name, as in sqlite:postern.db; the file lies in data_dir"}
	case kind == "env" && variableForm.MatchString(name):
		s.Postgres.Env = name
	case kind == "env":
		return complaint{fmt.Sprintf("%s is not the name of an environment variable", show(name)), "write it as in env:DATABASE_URL"}
	case kind == "file" && name == "":
		return complaint{"names no file", "write it as in file:PATH"}
	case kind == "file":
		s.Postgres.File = name
	case strings.HasPrefix(kind, "postgres"):
		return complaint{"must say where the address is, not the address itself, which may hold a password",
			"put it into an environment variable, and write its name as in env:DATABASE_URL, or into a file, as in file:PATH"}
	default:
		return complaint{fmt.Sprintf("%s is not a store", show(kind)), "write sqlite:NAME, env:NAME or file:PATH for PostgreSQL, or none"}
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
	if c.Store.SQLite != "" {
		c.Store.SQLite = filepath.Join(string(c.DataDir), c.Store.SQLite)
	}
}
