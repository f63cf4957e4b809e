package config

import (
	"os"
	"path/filepath"
	"testing"
)

// TestReach: what leads to a running gateway is found in a file that is broken elsewhere, and never
// guessed where that itself is broken.
func TestReach(t *testing.T) {
	const rest = "routes: { main: { match: { path: / }, upstream: { targets: [\"http://127.0.0.1:9\"] }, public: true } }\n"
	tests := []struct {
		name, text string
		found      bool
	}{
		{"whole", "version: 1\nlisten: { admin: \"127.0.0.1:9081\" }\n" + rest, true},
		{"unknown setting", "version: 1\nlisten: { admin: \"127.0.0.1:9081\" }\nplonk: 1\n" + rest, true},
		{"wrong limit", "version: 1\nlisten: { admin: \"127.0.0.1:9081\" }\nplans: { standard: { limits: [2/x] } }\n" + rest, true},
		{"wrong address", "version: 1\nlisten: { admin: \"127.0.0.1\" }\n" + rest, false},
		{"a store whose address another environment has", "version: 1\nlisten: { admin: \"127.0.0.1:9081\" }\nstore: env:NO_SUCH_URL\n" + rest, true},
		{"wrong store", "version: 1\nlisten: { admin: \"127.0.0.1:9081\" }\nstore: mysql:x\n" + rest, false},
		{"another version", "version: 9\nlisten: { admin: \"127.0.0.1:9081\" }\n" + rest, false},
		{"no YAML", "version: 1\nlisten: {\n", false},
		{"empty", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gateway.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Reach(path, LoadOptions{})
			if tt.found && (err != nil || c.Listen.Admin != "127.0.0.1:9081") {
				t.Errorf("got %+v, %v", c, err)
			}
			if !tt.found && err == nil {
				t.Errorf("found %s", c.Listen.Admin)
			}
		})
	}
	if _, err := Reach("nowhere.yaml", LoadOptions{}); err == nil {
		t.Error("found a gateway by no file")
	}
}
