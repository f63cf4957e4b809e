package config_test

import (
	"strings"
	"testing"

	"postern/config"
)

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
