package store

import (
	"bufio"
	"context"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"modernc.org/sqlite"

	"postern/internal/keys"
)

// The tests of this package (as opposed to store_test) look behind the contract: at the file, at
// other processes and at what a kill leaves. A process that may be killed is this test binary
// again, with a job in its environment.
const (
	jobVariable = "POSTERN_STORE_TEST_JOB" // name of a job and a database, separated by a space
	jobWrite    = "write"                  // writes one credential after another until killed
	jobWriteFew = "write-few"              // writes a few and ends
	jobMigrate  = "migrate"                // is killed by its own second migration
	// migrates PostgreSQL and takes long over the last step; only with the real servers
	jobMigratePostgres = "migrate-postgres"
	fewPerWriter       = 40
)

// atExit is what has to be ended after the last test.
var atExit []func() error

// AtExit has something ended after the last test. It is called once, by the server's start.
func AtExit(end func() error) { atExit = append(atExit, end) }

func TestMain(m *testing.M) {
	job, path, _ := strings.Cut(os.Getenv(jobVariable), " ")
	var err error
	switch job {
	case "":
		code := m.Run()
		for _, end := range atExit {
			if err := end(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		os.Exit(code)
	case jobWrite:
		err = writeCredentials(path, 1<<30)
	case jobWriteFew:
		err = writeCredentials(path, fewPerWriter)
	case jobMigrate:
		err = migrateAndDie(path)
	case jobMigratePostgres:
		err = migrateAndSleep(path)
	default:
		err = fmt.Errorf("no job %q", job)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// start runs a job in a process of its own and returns its output.
func start(t *testing.T, job, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), jobVariable+"="+job+" "+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// writeCredentials makes up to n credentials, each in an update with an audit entry, and prints
// the id of each once the store has acknowledged it.
func writeCredentials(path string, n int) error {
	ctx := context.Background()
	s, err := Open(ctx, "sqlite:"+path, Options{})
	if err != nil {
		return err
	}
	for i := range n {
		id := keys.CredentialID(fmt.Sprintf("key_%d_%d", os.Getpid(), i))
		if _, err := s.Update(ctx, write(id)); err != nil {
			return err
		}
		fmt.Println(id)
	}
	return s.Close()
}

// write puts one credential and its audit entry.
func write(id keys.CredentialID) func(context.Context, keys.Tx) error {
	return func(ctx context.Context, tx keys.Tx) error {
		var digest keys.Digest
		copy(digest[:], id)
		err := tx.PutCredential(ctx, keys.Credential{
			ID: id, Tenant: "default", Status: keys.Active, Version: 1, Secrets: []keys.StoredSecret{{ID: "s", Digest: digest}},
		})
		if err != nil {
			return err
		}
		head, err := tx.AuditHead(ctx, "default")
		if err != nil {
			return err
		}
		return tx.AppendAudit(ctx, keys.AuditEntry{Chain: "default", Seq: head.Seq + 1, Target: string(id)})
	}
}

// consistent checks that credentials, audit entries, digests and the head all tell of the same
// updates, and returns the ids.
func consistent(t *testing.T, s *Store) map[keys.CredentialID]bool {
	t.Helper()
	found := map[keys.CredentialID]bool{}
	f := keys.CredentialFilter{Now: time.Unix(1, 0)}
	for {
		page, err := s.Credentials(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Items {
			found[c.ID] = true
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	seq, err := s.Head(t.Context())
	if err != nil || int(seq) != len(found) {
		t.Errorf("head: got %d, %v, want %d as there are credentials", seq, err, len(found))
	}
	entries, err := s.AuditEntries(t.Context(), "default", 0, 1<<30)
	if err != nil || len(entries) != len(found) {
		t.Errorf("audit entries: got %d, %v, want %d", len(entries), err, len(found))
	}
	for i, e := range entries {
		if e.Seq != int64(i)+1 || !found[keys.CredentialID(e.Target)] {
			t.Errorf("audit entry %d has number %d and tells of %q", i+1, e.Seq, e.Target)
		}
	}
	digests, err := s.read.NewSelect().Table("secrets").Count(t.Context())
	if err != nil || int(digests) != len(found) {
		t.Errorf("digests: got %d, %v, want %d", digests, err, len(found))
	}
	var verdict string
	if err := s.read.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %q, %v", verdict, err)
	}
	return found
}

func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	rounds := 3
	if os.Getenv("POSTERN_LONG") == "1" {
		rounds = 40
	}
	acknowledged := map[keys.CredentialID]bool{}
	for round := range rounds {
		cmd, out := start(t, jobWrite, path)
		for n := 0; n < 20+7*round && out.Scan(); n++ {
			acknowledged[keys.CredentialID(out.Text())] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() { // what it had said before it died
			acknowledged[keys.CredentialID(out.Text())] = true
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}
		s := openAt(t, path)
		found := consistent(t, s)
		for id := range acknowledged {
			if !found[id] {
				t.Errorf("round %d: credential %s was acknowledged and is lost", round, id)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < 20*rounds {
		t.Fatalf("only %d writes were acknowledged", len(acknowledged))
	}
}

// nextMigrations are the real ones and one more.
func nextMigrations(t interface{ Fatal(...any) }, second string) fs.FS {
	own, err := sqliteDialect().migrations()
	if err != nil {
		t.Fatal(err)
	}
	all := fstest.MapFS{}
	names, err := fs.Glob(own, "*.sql")
	if err != nil {
		t.Fatal(err)
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

// ownVersion is the schema's version that this program makes.
func ownVersion(t interface{ Fatal(...any) }) int {
	own, err := sqliteDialect().migrations()
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(own, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal("no migrations", err)
	}
	number, _, _ := strings.Cut(slices.Max(names), "_")
	version, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

const goodSecond = "CREATE TABLE half (n INTEGER NOT NULL);\nINSERT INTO half (n) VALUES (1);\n"

// fatal stands in for a test in a job.
type fatal struct{}

func (fatal) Fatal(v ...any) { panic(fmt.Sprint(v...)) }

// migrateAndDie migrates with a function in the second migration that kills the process.
func migrateAndDie(path string) error {
	die := func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if err := sqlite.RegisterScalarFunction("die", 0, die); err != nil {
		return err
	}
	p, err := openSQLite(path, discard)
	if err != nil {
		return err
	}
	r := reader{dialect: p.dialect, log: discard, closed: new(atomic.Bool)}
	return r.migrate(context.Background(), p.write, nextMigrations(fatal{}, goodSecond+"SELECT die();\n"))
}
