package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/config"
)

// TestStoreAddressInFile: a file says it as well as a variable does, and beside the configuration.
func TestStoreAddressInFile(t *testing.T) {
	const file = "version: 1\nstore: file:database_url\n"
	dir := t.TempDir()
	path := filepath.Join(dir, "database_url")
	parse := func(held string) (*config.Config, error) {
		if err := os.WriteFile(path, []byte(held), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := config.Parse(filepath.Join(dir, "gateway.yaml"), []byte(file), config.LoadOptions{})
		return c, err
	}
	const url = "postgres://u:hunter2@db/postern"
	c, err := parse(url + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if address, err := c.Store.Address(nil); err != nil || address != url || c.Store.None() || !c.Store.Shared() {
		t.Errorf("got %v, want the address", err)
	}
	if shown := c.Effective()["store"]; shown != "file:database_url" || strings.Contains(c.Store.String(), "hunter2") {
		t.Errorf("shown as %v, %s", shown, c.Store)
	}
	for held, want := range map[string]string{"mysql://u:hunter2@db/x": "file " + path + " does not hold", "postgres://u:hunter2%@db/x": "file " + path + " holds is not a URL", "": "does not hold"} {
		if _, err := parse(held); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got error %v, want %q", held, err, want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := config.Parse(filepath.Join(dir, "gateway.yaml"), []byte(file), config.LoadOptions{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without the file: got error %v", err)
	}
}

// TestStoreAddress: what is wrong with the address in the environment is said without a word of it.
func TestStoreAddress(t *testing.T) {
	const file = "version: 1\nstore: env:DATABASE_URL\n"
	for _, tt := range []struct{ name, address, want string }{
		{"good", "postgres://u:hunter2@db/postern?sslmode=verify-full", ""},
		{"the long name", "postgresql://u:hunter2@db/postern", ""},
		{"a line break at the end", "postgres://u:hunter2@db/postern\n", ""},
		{"empty", "", "DATABASE_URL is not set"},
		{"another database", "mysql://u:hunter2@db/postern", "does not hold the address of a PostgreSQL database"},
		{"the other form", "host=db user=u password=hunter2", "does not hold the address of a PostgreSQL database"},
		{"an open percent sign", "postgres://u:hunter2%@db/postern", "is not a URL"},
		{"a slash in the password", "postgres://u:hunter2/3@db/postern", "is not a URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := []string{"DATABASE_URL=" + tt.address}
			c, _, err := config.Parse("gateway.yaml", []byte(file), config.LoadOptions{Env: env})
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want == "":
				address, err := c.Store.Address(env)
				if err != nil || address != strings.TrimSpace(tt.address) || c.Store.None() {
					t.Errorf("got %v, want the address", err)
				}
				if shown := c.Effective()["store"]; shown != "env:DATABASE_URL" {
					t.Errorf("shown as %v", shown)
				}
			case err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "gateway.yaml:2:8"):
				t.Errorf("got error %v, want %q at its place", err, tt.want)
			case strings.Contains(err.Error(), "hunter2"):
				t.Errorf("error repeats the password: %v", err)
			}
		})
	}
}
