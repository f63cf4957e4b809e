//go:build realservers

package store

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/internal/keys"
	"postern/internal/pgserver"
)

// emptyPostgres makes a database without our schema on a server of the test's own.
func emptyPostgres(t *testing.T) string {
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
	name, err := server.Database("")
	if err != nil {
		t.Fatal(err)
	}
	return server.Address(name)
}

// nextPostgres are PostgreSQL's migrations and one more.
func nextPostgres(t interface{ Fatal(...any) }, second string) fstest.MapFS {
	own, err := postgresDialect().migrations()
	if err != nil {
		t.Fatal(err)
	}
	all := fstest.MapFS{}
	names, err := fs.Glob(own, "*.sql")
	if err != nil || len(names) != ownVersion(t) {
		t.Fatal("PostgreSQL's migrations are not as many as SQLite's", names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(own, name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: text}
	}
	all[fmt.Sprintf("%04d_next.sql", ownVersion(t)+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + second)}
	return all
}

// migratePostgres brings a database to the migrations of fsys.
func migratePostgres(ctx context.Context, address string, fsys fs.FS) error {
	p, err := openPostgres(address, Options{Log: discard})
	if err != nil {
		return err
	}
	defer p.read.Close()   // nothing to lose
	defer p.write.Close()  // nothing to lose
	defer p.schema.Close() // nothing to lose
	r := reader{dialect: p.dialect, log: discard, closed: new(atomic.Bool)}
	return r.migrate(ctx, p.schema, fsys)
}

// askPostgres reads one number.
func askPostgres(t *testing.T, address, query string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) // only read from
	if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const versionQuery = "SELECT max(version_id) FROM goose_db_version"

// TestConcurrentOpenPostgres lets eight open an empty database at once.
func TestConcurrentOpenPostgres(t *testing.T) {
	address := emptyPostgres(t)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			s, err := Open(context.Background(), address, Options{})
			if err != nil {
				t.Errorf("open %d: %v", n, err)
				return
			}
			defer s.Close() // checked elsewhere
			if _, err := s.Update(context.Background(), write(keys.CredentialID(fmt.Sprintf("key_%d", n)))); err != nil {
				t.Errorf("write %d: %v", n, err)
			}
		})
	}
	group.Wait()
	if n := askPostgres(t, address, "SELECT count(*) FROM credentials"); n != 8 {
		t.Errorf("got %d credentials, want 8", n)
	}
	if n := askPostgres(t, address, "SELECT count(*) - count(DISTINCT version_id) FROM goose_db_version"); n != 0 {
		t.Errorf("%d migrations were made twice", n)
	}
}

// TestPostgresVersions: one version ahead is used, two are refused, and a migration that fails leaves
// nothing.
func TestPostgresVersions(t *testing.T) {
	address, own := emptyPostgres(t), ownVersion(t)
	if err := migratePostgres(t.Context(), address, nextPostgres(t, goodSecond+"INSERT INTO nowhere (n) VALUES (1);\n")); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got error %v, want one that names the table", err)
	}
	if n := askPostgres(t, address, versionQuery); n != own {
		t.Errorf("after a migration that failed: got version %d, want %d", n, own)
	}
	if n := askPostgres(t, address, "SELECT count(*) FROM pg_class WHERE relname = 'half'"); n != 0 {
		t.Error("half a migration is there")
	}
	fsys := nextPostgres(t, goodSecond)
	if err := migratePostgres(t.Context(), address, fsys); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), address, Options{})
	if err != nil {
		t.Fatalf("one ahead: %v", err)
	}
	if _, err := s.Update(t.Context(), write("key_1")); err != nil {
		t.Errorf("write on the next schema: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fsys[fmt.Sprintf("%04d_third.sql", own+2)] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE third (n INTEGER);\n")}
	if err := migratePostgres(t.Context(), address, fsys); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), address, Options{}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("version %d", own+2)) || !strings.Contains(err.Error(), "newer release") {
		t.Errorf("two ahead: got error %v", err)
	}
}

// TestPostgresKillInMigration kills a process in the middle of a migration, while another waits for it.
func TestPostgresKillInMigration(t *testing.T) {
	address := emptyPostgres(t)
	cmd, out := start(t, jobMigratePostgres, address)
	const asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
	for begin := time.Now(); askPostgres(t, address, asleep) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("the migration does not begin")
		}
	}
	opened := make(chan error)
	go func() {
		s, err := Open(context.Background(), address, Options{})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for out.Scan() {
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the job ended by itself")
	}
	if err := <-opened; err != nil {
		t.Errorf("the one that waited: %v", err)
	}
	if n := askPostgres(t, address, versionQuery); n != ownVersion(t) {
		t.Errorf("got version %d, want %d", n, ownVersion(t))
	}
	if n := askPostgres(t, address, "SELECT count(*) FROM pg_class WHERE relname = 'half'"); n != 0 {
		t.Error("half a migration is there")
	}
	if err := migratePostgres(t.Context(), address, nextPostgres(t, goodSecond)); err != nil {
		t.Errorf("made up for: %v", err)
	}
}

// TestPostgresNotifies: a change of another store wakes at once, and without notifications it is found
// all the same.
func TestPostgresNotifies(t *testing.T) {
	address := emptyPostgres(t)
	var stores [2]*Store
	for i := range stores {
		s, err := Open(t.Context(), address, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() }) // checked elsewhere
		stores[i] = s
	}
	writer, follower := stores[0], stores[1]
	for begin := time.Now(); askPostgres(t, address, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FROM head WHERE id = 1'") == 0; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatal("nobody listens")
		}
	}
	// woken returns the time from a write's acknowledgement until the follower has the change.
	woken := func(n int) time.Duration {
		before, err := follower.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		acknowledged := make(chan time.Time, 1)
		go func() {
			time.Sleep(5 * time.Millisecond) // so that the follower waits already
			if _, err := writer.Update(context.Background(), write(keys.CredentialID(fmt.Sprintf("key_%d", n)))); err != nil {
				t.Error(err)
			}
			acknowledged <- time.Now()
		}()
		for {
			if err := follower.Wait(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			changes, err := follower.Changes(t.Context(), before, 10)
			if err != nil {
				t.Fatal(err)
			}
			if len(changes) == 1 {
				return time.Since(<-acknowledged)
			}
		}
	}
	fastest := time.Hour
	for n := range 10 {
		fastest = min(fastest, woken(n))
	}
	t.Logf("woken after %v at best", fastest)
	if fastest > pollEvery/4 {
		t.Errorf("woken after %v at best: that is polling", fastest)
	}

	// Who may connect may notify: of a number that there is not, of nothing, of anything.
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) // nothing to lose
	for _, payload := range []string{"9223372036854775807", "", "-1", "what?"} {
		if _, err := conn.Exec(t.Context(), "SELECT pg_notify($1, $2)", channel, payload); err != nil {
			t.Fatal(err)
		}
	}
	head, err := follower.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for range 3 {
		if err := follower.Wait(t.Context(), head); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < pollEvery {
		t.Errorf("three waits took %v: a forged notification makes followers spin", took)
	}

	follower.listener.end()
	for n := range 3 {
		if took := woken(100 + n); took > 5*time.Second {
			t.Errorf("without notifications a change was found after %v", took)
		}
	}
}

// TestPostgresListensAgain ends the listening connection.
func TestPostgresListensAgain(t *testing.T) {
	address := emptyPostgres(t)
	s, err := Open(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // checked elsewhere
	const listening = `SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE query = 'SELECT seq FROM head WHERE id = 1'`
	first := 0
	for round := range 2 {
		pid := 0
		for begin := time.Now(); pid == 0 || pid == first; time.Sleep(5 * time.Millisecond) {
			pid = askPostgres(t, address, listening)
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("round %d: nobody listens", round)
			}
		}
		if first = pid; round == 0 {
			askPostgres(t, address, fmt.Sprintf("SELECT pg_terminate_backend(%d)::int", pid))
		}
	}
}

// migrateAndSleep migrates with a last statement that takes long, so that it can be killed in it.
func migrateAndSleep(address string) error {
	return migratePostgres(context.Background(), address, nextPostgres(fatal{}, goodSecond+"SELECT pg_sleep(3);\n"))
}
