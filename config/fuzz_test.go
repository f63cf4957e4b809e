package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"postern/config"
)

// FuzzParse: whatever the bytes, Parse returns, and each problem says where it is.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", "../gateway.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: found %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, warnings, err := config.Parse("fuzz.yaml", text, config.LoadOptions{})
		var problems *config.Problems
		switch {
		case err == nil && c == nil:
			t.Fatal("neither a configuration nor an error")
		case err == nil:
			c.Catalog()
			c.Declared()
			return
		case c != nil:
			t.Fatal("a configuration beside an error")
		case !errors.As(err, &problems) || len(problems.List) == 0:
			t.Fatalf("got %v, want *Problems", err)
		}
		for _, p := range problems.List {
			if p.File != "fuzz.yaml" || p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Errorf("problem without a position: %+v", p)
			}
		}
		_ = err.Error()
		for _, w := range warnings {
			_ = w.String()
		}
	})
}
