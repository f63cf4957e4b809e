//go:build realservers

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/pgserver"
)

// newPostgres starts a server that ends with the test.
func newPostgres(t *testing.T) *pgserver.Server {
	t.Helper()
	server, err := pgserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// newDatabase makes an empty database and returns its address.
func newDatabase(t *testing.T, server *pgserver.Server) string {
	t.Helper()
	name, err := server.Database("")
	if err != nil {
		t.Fatal(err)
	}
	return server.Address(name)
}

// smallSite is the rest of a configuration with one route to an API of the test's own.
func smallSite(t *testing.T) string {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "here") }))
	t.Cleanup(upstream.Close)
	return fmt.Sprintf(`
apis: { main: { title: Main, scopes: { main.read: Read } } }
plans: { standard: { limits: [10000/s, 100000/day] } }
policy: { default_plan: standard, secret_visibility: { client: revealable } }
routes: { main: { match: { path: / }, upstream: { targets: [%q] }, api: main, scopes: { GET: [main.read] } } }
`, upstream.URL)
}

// refuses runs a command that must fail and say all of this.
func (s *site) refuses(code int, says []string, args ...string) {
	s.t.Helper()
	_, messages, err := s.try(args...)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("exit status %d", code)) {
		s.t.Errorf("postern %s: got %v, want exit status %d\n%s", strings.Join(args, " "), err, code, messages)
	}
	for _, part := range says {
		if !strings.Contains(messages, part) {
			s.t.Errorf("postern %s: said %q, want %q in it", strings.Join(args, " "), messages, part)
		}
	}
	if strings.Contains(messages, pgserver.Password) {
		s.t.Errorf("postern %s: said the password: %s", strings.Join(args, " "), messages)
	}
}

// wantCalls calls with keys and compares the statuses.
func (s *site) wantCalls(when string, want map[string]int) {
	s.t.Helper()
	for key, status := range want {
		if got := s.call(key); got != status {
			s.t.Errorf("%s: %s…: got %d, want %d", when, key[:22], got, status)
		}
	}
}

// TestStoreCopy moves an installation from SQLite to PostgreSQL and back, as an operator would.
func TestStoreCopy(t *testing.T) {
	server := newPostgres(t)
	t.Setenv("DATABASE_URL", newDatabase(t, server))
	t.Setenv("OTHER_URL", newDatabase(t, server))
	s := newSite(t, smallSite(t))
	s.start()
	want := map[string]int{}
	for n := range 30 {
		want[s.must("keys", "create", "--name", fmt.Sprintf("Schlüssel %d", n), "--api", "main")] = http.StatusOK
	}
	revoked := s.must("keys", "create", "--name", "gone", "--api", "main")
	id := "key_" + strings.Split(revoked, "_")[2]
	s.must("keys", "revoke", id)
	want[revoked] = http.StatusUnauthorized
	s.must("keys", "create", "--name", "app", "--client", "--api", "main")
	s.must("tenants", "create", "--name", "Acme", "--id", "acme")
	s.must("users", "invite", "--email", "ada@example.com", "--role", "developer", "--tenant", "acme")
	listed := s.listed()
	s.wantCalls("on SQLite", want)

	s.refuses(exitFailed, []string{"another gateway is running"}, "store", "copy", "--to", "env:DATABASE_URL")
	s.stop()
	s.refuses(exitUsage, []string{"--to is missing"}, "store", "copy")
	s.refuses(exitUsage, []string{"env:NAME"}, "store", "copy", "--to", "mysql:x")
	s.refuses(exitUsage, []string{"NO_SUCH_URL is not set"}, "store", "copy", "--to", "env:NO_SUCH_URL")
	t.Setenv("BAD_URL", "postgres://u:hunter2@db:port/postern")
	s.refuses(exitUsage, []string{"--to", "BAD_URL"}, "store", "copy", "--to", "env:BAD_URL")
	s.refuses(exitUsage, []string{"--to"}, "store", "copy", "--to", "postgres://u@db/x?sslmode=nonsense")
	s.refuses(exitUnreachable, []string{"connect to the database", "does not exist"}, "store", "copy", "--to", server.Address("nothing"))
	if out := s.must("store", "copy", "--to", "env:DATABASE_URL"); out != "store: env:DATABASE_URL" {
		t.Errorf("printed %q", out)
	}
	s.refuses(exitFailed, []string{"not empty", "empty"}, "store", "copy", "--to", "env:DATABASE_URL")

	text, err := os.ReadFile(s.path("gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(string(text) + "store: env:DATABASE_URL\n")
	s.start()
	s.wantCalls("on PostgreSQL", want)
	if now := s.listed(); now != listed || !strings.Contains(now, "Schlüssel 7") {
		t.Errorf("the list differs:\n%s\n%s", listed, now)
	}
	s.must("audit", "verify")
	if token := s.must("tokens", "create", "--role", "operator"); !strings.HasPrefix(token, "psta_") {
		t.Errorf("tokens create beside a running gateway printed %q", token)
	}
	added := s.must("keys", "create", "--name", "since", "--api", "main")
	want[added] = http.StatusOK
	s.refuses(exitUsage, []string{"pg_dump", "DATABASE_URL"}, "backup")
	s.refuses(exitUsage, []string{"pg_restore"}, "restore", "x.tar")
	s.refuses(exitFailed, []string{"another gateway is running"}, "store", "copy", "--to", "sqlite:back.db")
	if effective := string(send(t, "GET", "http://"+s.admin+"/v1/config", "", "Authorization", "Bearer "+s.token())); !strings.Contains(effective, "env:DATABASE_URL") {
		t.Errorf("/v1/config: %s", effective)
	} else if strings.Contains(effective, pgserver.Password) {
		t.Error("/v1/config tells the password")
	}
	s.stop()

	if out := s.must("store", "copy", "--to", "sqlite:back.db"); out != "store: sqlite:back.db" {
		t.Errorf("printed %q", out)
	}
	s.write(string(text) + "store: sqlite:back.db\n")
	s.start()
	s.wantCalls("back on SQLite", want)
	s.must("audit", "verify")
	s.stop()
	(canaries{"password of PostgreSQL": pgserver.Password}).lookThrough(t, "at the end", s.dir)
	if strings.Contains(s.log.String(), pgserver.Password) {
		t.Error("the log holds the password")
	}
}

// listed is every key without its last use, which is written a moment later.
func (s *site) listed() string {
	return regexp.MustCompile(`"last_used_at": [^\n]*`).ReplaceAllString(s.must("keys", "list", "-o", "json"), "")
}

// write replaces the configuration.
func (s *site) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path("gateway.yaml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// token is the operator's of the profile.
func (s *site) token() string {
	s.t.Helper()
	cfg, i := s.open()
	defer i.Close() // only the configuration was wanted
	token, err := localOf(cfg).token()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// TestPostgresOutage stops the database under a gateway and starts it again.
func TestPostgresOutage(t *testing.T) {
	server := newPostgres(t)
	t.Setenv("DATABASE_URL", newDatabase(t, server))
	s := newSite(t, "store: env:DATABASE_URL\n"+smallSite(t))
	s.start()
	key := s.must("keys", "create", "--name", "one", "--api", "main")
	s.wantCalls("before", map[string]int{key: http.StatusOK})
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	s.wantCalls("without the database", map[string]int{key: http.StatusOK})
	begin := time.Now()
	s.refuses(exitUnreachable, []string{"store_unavailable", "nothing was changed"}, "keys", "create", "--name", "two", "--api", "main")
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("a change was refused after %v", took)
	}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) { // it says so after 5 s
		ready := string(send(t, "GET", "http://"+s.admin+"/readyz", ""))
		if strings.Contains(ready, `"ready"`) && strings.Contains(ready, "the database was last read") {
			break
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("/readyz: %s", ready)
		}
	}
	other := newSiteBeside(t, s)
	other.refuses(exitUnreachable, []string{"DATABASE_URL", "refused"}, "run")
	s.wantCalls("still without the database", map[string]int{key: http.StatusOK})
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		out, _, err := s.try("keys", "create", "--name", "three", "--api", "main")
		if err == nil {
			s.wantCalls("afterwards", map[string]int{key: http.StatusOK, out: http.StatusOK})
			break
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("changes are still refused: %v", err)
		}
	}
	s.stop()
}

// newSiteBeside is a second gateway of the installation, with the same secrets and a data_dir of its own.
func newSiteBeside(t *testing.T, s *site) *site {
	t.Helper()
	o := &site{t: t, dir: t.TempDir(), gateway: freeAddress(t), admin: freeAddress(t), log: &logBuffer{}}
	for _, name := range []string{"gateway.yaml", "pepper", "keyset.json"} {
		text, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		moved := strings.NewReplacer(s.gateway, o.gateway, s.admin, o.admin).Replace(string(text))
		if err := os.WriteFile(o.path(name), []byte(moved), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if o.process != nil {
			o.kill()
		}
	})
	return o
}

// TestPostgresTwoGateways lets one gateway revoke what another admits, and keeps one with another pepper
// out.
func TestPostgresTwoGateways(t *testing.T) {
	server := newPostgres(t)
	t.Setenv("DATABASE_URL", newDatabase(t, server))
	a := newSite(t, "store: env:DATABASE_URL\n"+smallSite(t))
	b := newSiteBeside(t, a)
	a.start()
	b.start()
	key := a.must("keys", "create", "--name", "one", "--api", "main")
	until := func(s *site, want int) {
		t.Helper()
		for begin := time.Now(); s.call(key) != want; time.Sleep(time.Millisecond) {
			if time.Since(begin) > 5*time.Second {
				t.Fatalf("not %d after %v", want, time.Since(begin))
			}
		}
	}
	until(b, http.StatusOK)
	a.must("keys", "revoke", "key_"+strings.Split(key, "_")[2])
	until(b, http.StatusUnauthorized)
	b.stop()

	// A folder without the secrets gets none of its own, and one with others does not start.
	for _, name := range []string{"pepper", "keyset.json"} {
		if err := os.Remove(b.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	b.refuses(exitFailed, []string{"in use already", "copy them"}, "init")
	pepper, err := newPepper()
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := os.ReadFile(a.path("keyset.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"pepper": pepper, "keyset.json": keyset} {
		if err := os.WriteFile(b.path(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.refuses(exitFailed, []string{"pepper"}, "run")
	a.stop()
}
