package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/internal/keys"
)

var discard = slog.New(slog.DiscardHandler)

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), "sqlite:"+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // often closed already
	return s
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign.db")
	db, err := sql.Open("sqlite", foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE orders (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dsn string
		is        error
		says      []string
	}{
		{"empty", "", nil, []string{"sqlite:<absolute path>"}},
		{"no scheme", "/var/lib/postern.db", nil, []string{"sqlite:<absolute path>"}},
		{"another scheme", "mysql://user:hunter2@db/postern", nil, []string{`"mysql"`, "sqlite:<absolute path>"}},
		{"relative", "sqlite:postern.db", nil, []string{"not absolute"}},
		{"no folder", "sqlite:" + filepath.Join(dir, "none", "postern.db"), keys.ErrStoreUnavailable, []string{"does not exist", "data_dir"}},
		{"a folder", "sqlite:" + dir, nil, []string{"not a file"}},
		{"read-only folder", "sqlite:" + filepath.Join(readOnly(t), "postern.db"), keys.ErrStoreUnavailable, []string{"must be writable"}},
		{"another program's database", "sqlite:" + foreign, nil, []string{"another program's", "store", foreign}},
		{"no database", "sqlite:" + garbage, keys.ErrStoreUnavailable, []string{"not a database", garbage, "restore it from a backup"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.Context(), c.dsn, Options{})
			if err == nil {
				s.Close() // it should not be open
				t.Fatal("got no error")
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got error %v, want %v", err, c.is)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got error %q, want it to say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q repeats the password", err)
			}
		})
	}
}

// readOnly returns a folder that this user cannot write in. To root none is but the kernel's own.
func readOnly(t *testing.T) string {
	if os.Geteuid() == 0 {
		return "/sys"
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b c%20#.db") // also: a name that a URL would take apart
	s := openAt(t, path)
	if _, err := s.Update(t.Context(), write("key_1")); err != nil {
		t.Fatal(err)
	}
	mode := func(name string) os.FileMode {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if got := mode(name); got != 0o600 {
			t.Errorf("%s: got mode %v, want 0600", filepath.Base(name), got)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	openAt(t, path)
	if got := mode(path); got != 0o600 {
		t.Errorf("opened again with mode 0644: got %v, want 0600", got)
	}
}

// TestEveryConnection holds all connections of both pools at once and looks at their settings.
func TestEveryConnection(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "postern.db"))
	for _, pool := range []struct {
		name      string
		db        *sql.DB
		queryOnly string
	}{{"writer", s.write.DB, "0"}, {"reader", s.read.DB, "1"}} {
		for n := range pool.db.Stats().MaxOpenConnections {
			conn, err := pool.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() // only read from
			for pragma, want := range map[string]string{
				"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": busyTimeout, "query_only": pool.queryOnly,
			} {
				var got string
				if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
					t.Errorf("%s %d: %s is %q, %v, want %q", pool.name, n, pragma, got, err, want)
				}
			}
		}
	}
}

func TestConcurrentOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			s, err := Open(context.Background(), "sqlite:"+path, Options{})
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
	if found := consistent(t, openAt(t, path)); len(found) != 8 {
		t.Errorf("got %d credentials, want 8", len(found))
	}
}

// TestConcurrentProcesses lets three processes write while this one writes and follows the feed.
func TestConcurrentProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	s := openAt(t, path)
	const others = 3
	var group sync.WaitGroup
	for range others {
		cmd, out := start(t, jobWriteFew, path)
		group.Go(func() {
			for out.Scan() {
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("another process: %v", err)
			}
		})
	}
	group.Go(func() {
		for n := range fewPerWriter {
			if _, err := s.Update(context.Background(), write(keys.CredentialID(fmt.Sprintf("key_own_%d", n)))); err != nil {
				t.Errorf("write: %v", err)
			}
		}
	})
	const want = (others + 1) * fewPerWriter
	seen := map[keys.CredentialID]bool{}
	for applied := keys.Seq(0); applied < want; {
		before := time.Now()
		if err := s.Wait(t.Context(), applied); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(before); waited > 10*pollEvery {
			t.Errorf("a change of another process was waited for %v", waited)
		}
		changes, err := s.Changes(t.Context(), applied, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if c.Seq != applied+1 {
				t.Fatalf("number %d came after %d", c.Seq, applied)
			}
			applied, seen[c.Credential.ID] = c.Seq, true
		}
	}
	group.Wait()
	if found := consistent(t, s); len(found) != want || len(seen) != want {
		t.Errorf("got %d credentials and %d in the feed, want %d", len(found), len(seen), want)
	}
}

func TestLockedBeyondPatience(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	s, other := openAt(t, path), openAt(t, path)
	if _, err := s.write.Exec("PRAGMA busy_timeout = 20"); err != nil {
		t.Fatal(err)
	}
	_, err := other.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error {
		if _, err := s.Update(ctx, write("key_1")); !errors.Is(err, keys.ErrStoreUnavailable) {
			t.Errorf("write under another's lock: got error %v, want ErrStoreUnavailable", err)
		}
		if _, err := s.Head(ctx); err != nil {
			t.Errorf("read under another's lock: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), write("key_1")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestDiskFull(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "postern.db"))
	var pages int
	if err := s.write.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		if _, err := s.write.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 10)
	written := 0
	var err error
	for ; err == nil && written < 10_000; written++ {
		_, err = s.Update(t.Context(), write(keys.CredentialID(fmt.Sprintf("key_%d", written))))
	}
	written--
	if !errors.Is(err, keys.ErrStorageFull) {
		t.Fatalf("after %d writes: got error %v, want ErrStorageFull", written, err)
	}
	if found := consistent(t, s); len(found) != written || written < 10 {
		t.Errorf("got %d credentials, want the %d acknowledged", len(found), written)
	}
	limit(1 << 30)
	if _, err := s.Update(t.Context(), write("key_room")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if found := consistent(t, s); len(found) != written+1 {
		t.Errorf("got %d credentials, want %d", len(found), written+1)
	}
}

// TestDamagedRecord writes over stored records as somebody with the file at hand could.
func TestDamagedRecord(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "postern.db"))
	for _, id := range []keys.CredentialID{"key_good", "key_cut", "key_other"} {
		if _, err := s.Update(t.Context(), write(id)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		"UPDATE credentials SET record = substr(record, 1, 40) WHERE id = 'key_cut'",
		"UPDATE credentials SET record = (SELECT record FROM credentials WHERE id = 'key_good') WHERE id = 'key_other'",
	} {
		if _, err := s.write.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []keys.CredentialID{"key_cut", "key_other"} {
		if _, err := s.Credential(t.Context(), id, false); !errors.Is(err, errDamaged) {
			t.Errorf("%s: got error %v, want errDamaged", id, err)
		}
	}
	if _, err := s.Credential(t.Context(), "key_good", false); err != nil {
		t.Errorf("key_good: %v", err)
	}
	page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: time.Unix(1, 0)})
	if err != nil || len(page.Items) != 3 {
		t.Errorf("list: got %d items, %v, want all 3", len(page.Items), err)
	}
	changes, err := s.Changes(t.Context(), 0, 10)
	if err != nil || len(changes) != 3 {
		t.Fatalf("changes: got %d, %v, want 3", len(changes), err)
	}
	for _, c := range changes {
		if damaged := c.Credential.ID != "key_good"; damaged == (len(c.Credential.Secrets) > 0) {
			t.Errorf("changes: %s has %d secrets", c.Credential.ID, len(c.Credential.Secrets))
		}
	}
	var visited atomic.Int64
	if _, err := s.Load(t.Context(), keys.LoadVisitor{Credential: func(keys.Credential) error { visited.Add(1); return nil }}); err != nil {
		t.Errorf("load: %v", err)
	}
	if visited.Load() != 2 { // key_good, and its record once more: the MACs of one id twice are the domain's to judge
		t.Errorf("load: visited %d, want 2", visited.Load())
	}
}

func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	s := openAt(t, path)
	for n := range 200 {
		if _, err := s.Update(t.Context(), write(keys.CredentialID(fmt.Sprintf("key_%d", n)))); err != nil {
			t.Fatal(err)
		}
	}
	var root, size int64
	if err := s.read.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'credentials'").Scan(&root); err != nil {
		t.Fatal(err)
	}
	if err := s.read.QueryRow("PRAGMA page_size").Scan(&size); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(strings.Repeat("x", int(size))), (root-1)*size)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	// The schema is whole, so the file opens; what is broken is found when it is read.
	s = openAt(t, path)
	visit := keys.LoadVisitor{Tenant: func(keys.Tenant) error { return nil }, Credential: func(keys.Credential) error { return nil }}
	_, loaded := s.Load(t.Context(), visit)
	_, one := s.Credential(t.Context(), "key_1", false)
	_, written := s.Update(t.Context(), write("key_new"))
	for name, err := range map[string]error{"load": loaded, "read": one, "write": written} {
		if !errors.Is(err, keys.ErrStoreUnavailable) {
			t.Errorf("%s: got error %v, want ErrStoreUnavailable", name, err)
			continue
		}
		for _, part := range []string{path, "is damaged", "restore it from a backup"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q lacks %q", name, err, part)
			}
		}
	}
}

func TestDamagedTokenHidesNoOther(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "postern.db"))
	for i, id := range []keys.TokenID{"tok_good", "tok_bad"} {
		_, err := s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error {
			return tx.PutToken(ctx, keys.Token{ID: id, Name: "bot", Roles: []keys.RoleName{"viewer"}, Digest: keys.Digest{byte(i + 1)}, Version: 1, MAC: keys.RowMAC{1}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.write.Exec("UPDATE tokens SET roles = 'operator' WHERE id = 'tok_bad'"); err != nil {
		t.Fatal(err)
	}
	page, err := s.Tokens(t.Context(), keys.TokenFilter{})
	if err != nil || len(page.Items) != 2 {
		t.Fatalf("got %d tokens, %v, want both", len(page.Items), err)
	}
	for _, k := range page.Items {
		if bad := k.ID == "tok_bad"; bad != (k.MAC == keys.RowMAC{}) || bad && k.Roles != nil {
			t.Errorf("got %+v", k)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	s := openAt(t, filepath.Join(dir, "postern.db"))
	if _, err := s.Update(t.Context(), write("key_1")); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() { waited <- s.Wait(context.Background(), 1) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil && !errors.Is(err, keys.ErrStoreUnavailable) {
		t.Errorf("wait: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v, want the database alone", left, err)
	}
}
