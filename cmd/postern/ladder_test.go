package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The ladder: what each package of ours may import of ours. Imports go down, never up, never
// sideways. A package that is not listed fails the test, so a new one is placed on purpose.
var ladder = map[string][]string{
	"postern/limiter":           {},
	"postern/internal/socket":   {},
	"postern/internal/keys":     {"postern/limiter"},
	"postern/internal/store":    {"postern/internal/keys", "postern/internal/socket", "postern/limiter"},
	"postern/internal/keyfile":  {"postern/internal/keys"},
	"postern/internal/judge":    {"postern/limiter"},
	"postern/internal/pgserver": {},
	"postern/config":            {"postern/internal/keys", "postern/limiter"},
	"postern/gateway":           {"postern/internal/keys", "postern/internal/socket", "postern/limiter"},
	"postern/admin":             {"postern/internal/keys", "postern/limiter"},
	"postern/cmd/postern": {"postern/admin", "postern/config", "postern/gateway", "postern/internal/judge", "postern/internal/keyfile",
		"postern/internal/keys", "postern/internal/socket", "postern/internal/store", "postern/limiter"},
	"postern/internal/bench": {"postern/gateway", "postern/internal/keys", "postern/internal/pgserver", "postern/internal/store", "postern/limiter"},
}

// Tests may reach one rung further where a real component is the point of the test.
var ladderOfTests = map[string][]string{
	"postern/limiter":        {"postern/internal/judge", "postern/internal/socket"},
	"postern/internal/keys":  {"postern/internal/store"},
	"postern/internal/store": {"postern/internal/pgserver"},
	"postern/cmd/postern":    {"postern/internal/pgserver"},
	"postern/gateway":        {"postern/internal/store"},
	"postern/admin":          {"postern/internal/store"},
}

// Libraries that appear in one place only, so that they can be exchanged there.
var homes = map[string][]string{
	"github.com/redis/go-redis":    {"postern/limiter", "postern/internal/usage"},
	"github.com/caddyserver":       {"postern/gateway"},
	"github.com/mholt/acmez":       {"postern/gateway"},
	"go.uber.org/zap":              {"postern/gateway"},
	"github.com/knadh/koanf":       {"postern/config"},
	"github.com/fsnotify/fsnotify": {"postern/config"},
	"golang.org/x/crypto":          {"postern/internal/keys"},
	"github.com/goccy/go-yaml":     {"postern/config", "postern/internal/keyfile"},
	"modernc.org/sqlite":           {"postern/internal/store"},
	"github.com/jackc/pgx":         {"postern/internal/store", "postern/internal/pgserver"},
	"github.com/uptrace/bun":       {"postern/internal/store"},
	"github.com/pressly/goose":     {"postern/internal/store"},
	"github.com/danielgtaylor":     {"postern/admin"},
	"github.com/spf13/cobra":       {"postern/cmd/postern"},
	"github.com/tink-crypto/tink":  {"postern/internal/keys"},
}

// goPackage is what `go list -json` says of a package, as far as the ladder asks.
type goPackage struct {
	ImportPath                         string
	Dir                                string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

func TestLadder(t *testing.T) {
	for _, p := range listPackages(t) {
		allowed, placed := ladder[p.ImportPath]
		if !placed {
			t.Errorf("%s is on no rung: add it to the ladder, here and in docs/architecture.md", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "postern/") && !slices.Contains(allowed, imp) {
				t.Errorf("%s imports %s, which is not below it", p.ImportPath, imp)
			}
			for library, users := range homes {
				if strings.HasPrefix(imp, library) && !slices.Contains(users, p.ImportPath) {
					t.Errorf("%s imports %s, which belongs to %s alone", p.ImportPath, imp, strings.Join(users, ", "))
				}
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if !strings.HasPrefix(imp, "postern/") || imp == p.ImportPath {
				continue
			}
			if !slices.Contains(allowed, imp) && !slices.Contains(ladderOfTests[p.ImportPath], imp) {
				t.Errorf("a test of %s imports %s, which is not below it", p.ImportPath, imp)
			}
		}
	}
}

// TestHabits holds what no linter of ours checks: no init functions and no packages that are
// named after nothing in the domain.
func TestHabits(t *testing.T) {
	empty := []string{"util", "utils", "common", "types", "helpers", "middleware"}
	for _, p := range listPackages(t) {
		if slices.Contains(empty, filepath.Base(p.ImportPath)) {
			t.Errorf("%s: the name says nothing of the domain", p.ImportPath)
		}
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatalf("parse %s: %v", path, err)
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: registration by init", path)
				}
			}
		}
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	// With the compiler's profile, each package below the program would be listed twice.
	out, err := exec.Command("go", "list", "-pgo=off", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", "postern/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	return packages
}
