package config_test

import (
	"strings"
	"testing"

	"postern/config"
)

func TestWarnings(t *testing.T) {
	const route = "routes: { a: { match: { path: / }, upstream: { targets: [\"http://127.0.0.1:9000\"] }, "
	tests := []struct {
		name, text, want string
	}{
		{"no route", "version: 1\n", "w.yaml:1:1: there is no route, so every request is answered 404"},
		{"unused API", "apis: { orders: {} }\n" + route + "public: true, limits: [1/s] } }", "w.yaml:1:9: apis.orders: no route asks for API orders or a scope of it"},
		{"public without limits", route + "public: true } }", "w.yaml:1:11: routes.a: is public and has no limits, so anybody may call it as often as he likes"},
		{"no plan", route + `scopes: { "*": [] } } }`, "there is no plan, so no key can be made for the routes that ask for one"},
		{"allow on loss", "limiter: { on_loss: allow }\n" + route + "public: true, limits: [1/s] } }", "w.yaml:1:21: limiter.on_loss: while the limiter is lost, nothing is limited"},
		{"allow on loss of a route", route + "public: true, limits: [1/s], on_loss: allow } }", "while the limiter is lost, nothing is limited on route a"},
		{"no effect on a public route", route + "public: true, limits: [1/s], accept_test: true } }", "routes.a.accept_test: has no effect on a public route"},
		{"everybody is trusted", `trusted_proxies: ["0.0.0.0/0"]` + "\n" + route + "public: true, limits: [1/s] } }", "w.yaml:1:19: trusted_proxies[0]: trusts everybody to say which address a call comes from"},
		{"everybody comes from a proxy", "admin: { behind_tls_proxy: true }\n" + route + "public: true, limits: [1/s] } }",
			"w.yaml:1:28: admin.behind_tls_proxy: everybody then comes from the proxy's address"},
		{"a secret in the clear", route + "public: true, limits: [1/s], set_headers: { X-Team: blue, Authorization: Bearer abc } } }", "routes.a.set_headers.Authorization: the file holds a secret in the clear"},
		{"no key at all", "store: none\nplans: { p: { limits: [1/s] } }\n" + route + `scopes: { "*": [] } } }`, "w.yaml:1:8: store: without a store and without access.keys nobody can call"},
		{"plan without keys", "store: none\nplans: { p: { limits: [1/s] } }\n" + route + `scopes: { "*": [] } } }`, "w.yaml:2:10: plans.p: no key uses this plan"},
		{"no port for the CA", "listen: { gateway: \":8443\", http: none }\ntls: { domains: [api.example.com] }\n" + route + "public: true, limits: [1/s] } }",
			"w.yaml:2:17: tls.domains: the CA calls each domain at port 443 or 80, and Postern listens on neither"},
		{"expired", "plans: { p: { limits: [1/s] } }\naccess: { keys: { ci: { plan: p, expires_at: 2020-01-31, hash: sha256:" + strings.Repeat("0", 64) + " } } }\n" + route + `scopes: { "*": [] } } }`,
			"w.yaml:2:46: access.keys.ci.expires_at: has passed, so the key is refused"},
		{"observes a server that another route enforces for", route + "public: true, limits: [1/s], enforce: false },\n  b: { match: { path: /b/ }, upstream: { targets: [\"http://127.0.0.1:9000\"] }, public: true, limits: [1/s] } }",
			"w.yaml:1:58: routes.a.upstream.targets[0]: route b (w.yaml:2), which enforces, has the same target; so odd requests, as with // or .. in the path, are refused here too"},
		{"observes the same server by another spelling", route + "public: true, limits: [1/s], enforce: true },\n  b: { match: { path: /b/ }, upstream: { targets: [\"http://o\", \"http://127.0.0.1:9000/x\"] },\n    public: true, limits: [1/s], enforce: false } }",
			"w.yaml:2:64: routes.b.upstream.targets[1]: route a (w.yaml:1), which enforces, has the same target"},
		{"observes the same server by another name", route + "public: true, limits: [1/s], enforce: false },\n  b: { match: { path: /b/ }, upstream: { targets: [\"http://localhost:9000\"] }, public: true, limits: [1/s] } }",
			"w.yaml:1:58: routes.a.upstream.targets[0]: route b (w.yaml:2), which enforces, has the same target"},
		{"observes below a base path", "routes: { a: { match: { path: / }, upstream: { targets: [\"http://127.0.0.1:9000/base\"] }, public: true, limits: [1/s], enforce: false } }",
			"routes.a.upstream.targets[0]: has a base path, which odd requests, as with // or .. in the path, could leave"},
		{"observes and strips", route + "public: true, limits: [1/s], strip_prefix: true, enforce: false } }", "routes.a.strip_prefix: changes paths, so odd requests"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := config.Parse("w.yaml", []byte(tt.text), config.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, w := range warnings {
				all = append(all, w.String())
			}
			if got := strings.Join(all, "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestExcerptsHoldNoSecrets writes a secret wherever people put one by mistake, with another
// mistake beside it, and looks for it in everything that is printed.
func TestExcerptsHoldNoSecrets(t *testing.T) {
	const canary = "c4n4ry-0123456789"
	tests := []struct{ name, text string }{
		{"pepper", "secrets: { pepper: " + canary + ", x: 1 }"},
		{"quoted pepper", "secrets: { pepper: \"" + canary + "\", x: 1 }"},
		{"behind the mistake", "secrets: { x: 1, keyset: " + canary + " }"},
		{"header", "routes: { a: { set_headers: { Authorization: " + canary + " }, x: 1 } }"},
		{"header list", "routes: { a: { set_headers: { Authorization: [" + canary + "] }, x: 1 } }"},
		{"header with a bad name", "routes: { a: { set_headers: { Bad Name: " + canary + " } } }"},
		{"key for its hash", "access: { keys: { ci: { hash: " + canary + ", x: 1 } } }"},
		{"database", "store: postgres://postern:" + canary + "@db/postern"},
		{"limiter's password", "limiter: { backend: { addrs: [\"r:1\"], password: " + canary + " } }"},
		{"limiter's password in a block", "limiter:\n  backend:\n    password: " + canary + "\n    addrs: [\"r:1\"]\n"},
		{"private key for its file", "tls: { cert_file: \"-----BEGIN PRIVATE KEY-----" + canary + "\" }"},
		{"user of an address", "admin: { public_url: \"https://u:" + canary + "@x\" }"},
		{"limiter", "limiter: { backend: \"redis://:" + canary + "@db\" }"},
		{"target", "routes: { a: { upstream: { targets: [\"http://u:" + canary + "@host\"], x: 1 } } }"},
		{"unquoted target", "routes: { a: { upstream: { targets: [http://u:" + canary + "@host], x: 1 } } }"},
		{"unknown setting", "admin_password: " + canary},
		{"misspelt setting", "secrets: { peper: " + canary + " }"},
		{"unknown section", "signin:\n  oidc: { client_secret: " + canary + " }"},
		{"section of a later version", "mail: { password: " + canary + " }"},
		{"section of a later version, in lines", "sign_in:\n  oidc:\n    client_secret: " + canary},
		{"misspelt header list", "routes: { a: { set_header: { Authorization: " + canary + " } } }"},
		{"misspelt target", "routes: { a: { upstream: { target: \"http://u:" + canary + "@host\" } } }"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := config.Parse("secret.yaml", []byte(tt.text), config.LoadOptions{})
			if err == nil {
				t.Fatal("was accepted")
			}
			printed := err.Error()
			for _, w := range warnings {
				printed += w.String()
			}
			if strings.Contains(printed, canary) {
				t.Errorf("the secret is printed:\n%s", printed)
			}
		})
	}
}

func TestVariablesWithSecretsDoNotPrint(t *testing.T) {
	const canary = "c4n4ry-0123456789"
	_, _, err := config.Parse("secret.yaml", []byte(base), config.LoadOptions{Env: []string{
		"POSTERN_SECRETS__PEPPER=" + canary, "POSTERN_STORE=postgres://u:" + canary + "@db",
		"POSTERN_ROUTES__ORDERS__SET_HEADERS={Host: " + canary + "}",
	}})
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("got %v, want an error without the secret", err)
	}
}
