package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"postern/config"
)

// TestCommonLeavesOutWhatIsOfANode: gateways of a fleet differ in their addresses and folders, and in
// nothing that decides about a request.
func TestCommonLeavesOutWhatIsOfANode(t *testing.T) {
	common := func(text string) string {
		c, _, err := config.Parse("c.yaml", []byte(text), config.LoadOptions{Env: []string{"T=Bearer c4n4ry"}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(c.Common())
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	const route = "routes: { a: { match: { path: / }, upstream: { targets: [\"http://127.0.0.1:9000\"] }, public: true, limits: [1/s], set_headers: { Authorization: env:T } } }\n"
	first := common(route)
	if other := common(route + "listen: { gateway: \":9999\" }\nnode: { id: b }\ndata_dir: /tmp/x\nlog: { level: debug }\n"); other != first {
		t.Errorf("got %s\nand %s", first, other)
	}
	for _, change := range []string{"max_stale: 2h\n", "plans: { p: { limits: [1/s] } }\n", "policy: { keys_enabled: false }\n"} {
		if common(route+change) == first {
			t.Errorf("%q makes no difference", change)
		}
	}
	if strings.Contains(first, "c4n4ry") {
		t.Error("a secret is in it")
	}
}
