package store

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
)

// migrateTo brings the database at path to the migrations of fsys and returns its version.
func migrateTo(t *testing.T, path string, fsys fs.FS) (version int, err error) {
	t.Helper()
	p, err := openSQLite(path, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer p.write.Close() // nothing to lose
	defer p.read.Close()  // nothing to lose
	r := reader{dialect: p.dialect, log: discard, closed: new(atomic.Bool)}
	err = r.migrate(t.Context(), p.write, fsys)
	if scan := p.read.QueryRow("SELECT max(version_id) FROM goose_db_version").Scan(&version); scan != nil {
		t.Fatal(scan)
	}
	return version, err
}

func TestMigrateForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	s := openAt(t, path)
	if _, err := s.Update(t.Context(), write("key_1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if version, err := migrateTo(t, path, nextMigrations(t, goodSecond)); version != ownVersion(t)+1 || err != nil {
		t.Fatalf("got version %d, %v, want %d", version, err, ownVersion(t)+1)
	}
	// One ahead: this program still works with it.
	s = openAt(t, path)
	if _, err := s.Update(t.Context(), write("key_2")); err != nil {
		t.Errorf("write on the next schema: %v", err)
	}
	if found := consistent(t, s); len(found) != 2 {
		t.Errorf("got %d credentials, want 2", len(found))
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	fsys := nextMigrations(t, goodSecond).(fstest.MapFS)
	own := ownVersion(t)
	fsys[fmt.Sprintf("%04d_third.sql", own+2)] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE third (n INTEGER);\n")}
	if version, err := migrateTo(t, path, fsys); version != own+2 || err != nil {
		t.Fatalf("got version %d, %v, want %d", version, err, own+2)
	}
	_, err := Open(t.Context(), "sqlite:"+path, Options{})
	if err == nil {
		t.Fatal("got no error for a schema two versions ahead")
	}
	for _, part := range []string{fmt.Sprintf("version %d", own+2), fmt.Sprintf("up to %d", own+1), "newer release", "backup"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want it to say %q", err, part)
		}
	}
}

func TestFailedMigrationLeavesNoHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	version, err := migrateTo(t, path, nextMigrations(t, goodSecond+"INSERT INTO nowhere (n) VALUES (1);\n"))
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got error %v, want one that names the table", err)
	}
	wholeOwn(t, path, version)
}

func TestKillInMigrationLeavesNoHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	cmd, out := start(t, jobMigrate, path)
	for out.Scan() {
	}
	err := cmd.Wait()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the job ended with %v, want it killed", err)
	}
	version, err := migrateTo(t, path, mustMigrations(t))
	if err != nil {
		t.Fatal(err)
	}
	wholeOwn(t, path, version)
}

func mustMigrations(t *testing.T) fs.FS {
	t.Helper()
	fsys, err := sqliteDialect().migrations()
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

// wholeOwn checks that our own migrations are there as a whole and nothing of the next, and
// that the next can be made up for.
func wholeOwn(t *testing.T, path string, version int) {
	t.Helper()
	if version != ownVersion(t) {
		t.Errorf("got version %d, want %d", version, ownVersion(t))
	}
	s := openAt(t, path)
	var tables int
	if err := s.read.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("tables of the second migration: got %d, %v, want none", tables, err)
	}
	if _, err := s.Update(t.Context(), write("key_1")); err != nil {
		t.Errorf("write: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if version, err := migrateTo(t, path, nextMigrations(t, goodSecond)); version != ownVersion(t)+1 || err != nil {
		t.Errorf("made up for: got version %d, %v, want %d", version, err, ownVersion(t)+1)
	}
}
