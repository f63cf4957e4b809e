//go:build realservers

package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postern/internal/keys"
	"postern/internal/pgserver"
	"postern/internal/store"
)

// TestPostgresOpenRefuses holds what is said where a database cannot be used, and that the password is
// never among it.
func TestPostgresOpenRefuses(t *testing.T) {
	server, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := server.Database("")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		server.Exec(foreign, "CREATE TABLE orders (id int)"),
		server.Exec("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"),
		server.Exec("postgres", "CREATE ROLE nobody_much LOGIN"),
		server.Exec("postgres", "CREATE DATABASE closed"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	good := server.Address(foreign)
	for _, c := range []struct {
		name, address string
		is            error
		says          []string
	}{
		{"nobody there", "postgres://u:hunter2-pg@127.0.0.1:1/db", keys.ErrStoreUnavailable, []string{`"db"`, "127.0.0.1:1", "refused"}},
		{"no such database", server.Address("nothing"), keys.ErrStoreUnavailable, []string{`"nothing"`, "does not exist"}},
		{"another program's tables", good, nil, []string{"another program's", "(1)", "database of its own"}},
		{"another encoding", server.Address("latin"), nil, []string{"LATIN1", "UTF8"}},
		{"no rights", strings.Replace(server.Address("closed"), "postern:", "nobody_much:", 1), keys.ErrStoreUnavailable, []string{"permission denied", "schema"}},
		{"no URL", "postgres://u:hunter2-pg%zz@h/db", nil, []string{"not a URL", "hex digits"}},
		{"a bad port", "postgres://u:hunter2-pg@h:none/db", nil, []string{"URL"}},
		{"a bad setting", "postgres://u:hunter2-pg@h/db?sslmode=hunter2-pg", nil, []string{"cannot be used"}},
		{"a password among the settings", "postgres://h/db?password=hunter2-pg&connect_timeout=hunter2-pg", nil, []string{"cannot be used"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := store.Open(t.Context(), c.address, store.Options{})
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
			if strings.Contains(err.Error(), pgserver.Password) {
				t.Errorf("error %q repeats the password", err)
			}
		})
	}
}

// fleet is some stores on one database, whose writers write until they are told to end.
type fleet struct {
	t      *testing.T
	stores []*store.Store

	mu           sync.Mutex
	acknowledged map[keys.CredentialID]bool
	unknown      map[keys.CredentialID]bool // of which nobody can say
	written      int
}

func newFleet(t *testing.T, address string, n int) *fleet {
	f := &fleet{t: t, acknowledged: map[keys.CredentialID]bool{}, unknown: map[keys.CredentialID]bool{}}
	for range n {
		f.stores = append(f.stores, openAddress(t, address))
	}
	return f
}

// write writes by two writers per store until ctx ends, each change with its audit entry.
func (f *fleet) write(ctx context.Context) *sync.WaitGroup {
	var group sync.WaitGroup
	for i, s := range f.stores {
		for w := range 2 {
			group.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					c := bare(1_000_000*(2*i+w+1) + n)
					_, err := s.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx keys.Tx) error {
						head, err := tx.AuditHead(ctx, "chain")
						if err != nil {
							return err
						}
						if err := tx.AppendAudit(ctx, keys.AuditEntry{Chain: "chain", Seq: head.Seq + 1, Target: string(c.ID)}); err != nil {
							return err
						}
						return tx.PutCredential(ctx, c)
					})
					f.mu.Lock()
					switch {
					case err == nil:
						f.acknowledged[c.ID] = true
						f.written++
					case errors.Is(err, keys.ErrOutcomeUnknown):
						f.unknown[c.ID] = true
					case !errors.Is(err, keys.ErrStoreUnavailable):
						f.t.Errorf("writer: %v, want ErrStoreUnavailable", err)
					}
					f.mu.Unlock()
				}
			})
		}
	}
	return &group
}

// reached waits until so many writes are acknowledged.
func (f *fleet) reached(n int) {
	f.t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		written := f.written
		f.mu.Unlock()
		if written >= n {
			return
		}
		if time.Since(begin) > time.Minute {
			f.t.Fatalf("only %d writes in a minute, want %d", written, n)
		}
	}
}

// follow tails the feed of a store as a directory does, until it has reached the number that last sends.
// No number may be left out.
func (f *fleet) follow(s *store.Store, last <-chan keys.Seq) map[keys.CredentialID]bool {
	seen := map[keys.CredentialID]bool{}
	applied, end := keys.Seq(0), keys.Seq(-1)
	for begin := time.Now(); end < 0 || applied < end; {
		select {
		case end = <-last:
			begin = time.Now()
		default:
		}
		if time.Since(begin) > time.Minute && end >= 0 {
			f.t.Errorf("a follower is at %d a minute after the end at %d", applied, end)
			return seen
		}
		if err := s.Wait(f.t.Context(), applied); err != nil {
			f.t.Error(err)
			return seen
		}
		changes, err := s.Changes(f.t.Context(), applied, 100)
		if err != nil {
			if !errors.Is(err, keys.ErrStoreUnavailable) {
				f.t.Errorf("follower: %v, want ErrStoreUnavailable", err)
			}
			time.Sleep(10 * time.Millisecond) // as a directory pauses
			continue
		}
		for _, c := range changes {
			if c.Seq != applied+1 {
				f.t.Errorf("number %d came after %d", c.Seq, applied)
			}
			applied, seen[c.Credential.ID] = c.Seq, true
		}
	}
	return seen
}

// run writes and follows while fault does its worst, and then compares what was acknowledged with what
// is there and with what every follower saw.
func (f *fleet) run(fault func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	writing := f.write(ctx)
	seen := make([]map[keys.CredentialID]bool, len(f.stores))
	ends := make([]chan keys.Seq, len(f.stores))
	var following sync.WaitGroup
	for i, s := range f.stores {
		ends[i] = make(chan keys.Seq, 1)
		following.Go(func() { seen[i] = f.follow(s, ends[i]) })
	}
	fault()
	cancel()
	writing.Wait()
	// Connections that were ended while nobody used them are found out by who uses them next.
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := f.stores[0].Load(f.t.Context(), keys.LoadVisitor{Credential: func(keys.Credential) error { return nil }})
		if err == nil || time.Since(begin) > 30*time.Second {
			break
		}
	}
	head, err := f.stores[0].Head(f.t.Context())
	if err != nil {
		f.t.Error(err)
	}
	for _, end := range ends {
		end <- head
	}
	following.Wait()

	stored := 0
	_, err = f.stores[0].Load(f.t.Context(), keys.LoadVisitor{Credential: func(c keys.Credential) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		stored++
		if !f.acknowledged[c.ID] && !f.unknown[c.ID] {
			f.t.Errorf("%s was said not to be written and is there", c.ID)
		}
		delete(f.acknowledged, c.ID)
		for i := range seen {
			if !seen[i][c.ID] {
				f.t.Errorf("follower %d never saw %s", i, c.ID)
			}
		}
		return nil
	}})
	if err != nil {
		f.t.Error(err)
	}
	if len(f.acknowledged) > 0 {
		f.t.Errorf("%d acknowledged writes are lost", len(f.acknowledged))
	}
	audit, err := f.stores[0].AuditHead(f.t.Context(), "chain")
	if err != nil || int(audit.Seq) != stored || int(head) != stored {
		f.t.Errorf("%d credentials, but audit at %d, %v, and head at %d", stored, audit.Seq, err, head)
	}
	f.t.Logf("%d written, of %d nobody could say", stored, len(f.unknown))
}

// TestPostgresConcurrentStores lets three stores write at once and follow each other.
func TestPostgresConcurrentStores(t *testing.T) {
	f := newFleet(t, address(t), 3)
	f.run(func() { f.reached(300) })
}

// TestPostgresConnectionsEnd ends everybody's connections again and again while they write.
func TestPostgresConnectionsEnd(t *testing.T) {
	server, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, address(t), 3)
	f.run(func() {
		for n := range 10 {
			f.reached(20 * (n + 1))
			err := server.Exec("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postern'")
			if err != nil {
				t.Error(err)
			}
		}
		f.reached(220)
	})
}

// TestPostgresKilled kills the server under writes, and starts it again.
func TestPostgresKilled(t *testing.T) {
	server, err := pgserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := server.Database(""); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, server.Address("db_1"), 3)
	rounds := 3
	if long() {
		rounds = 40
	}
	f.run(func() {
		for n := range rounds {
			f.reached(50 * (n + 1))
			if err := server.Kill(); err != nil {
				t.Error(err)
			}
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		f.reached(50 * (rounds + 1))
	})
}

// endOthers ends all other connections to the database, and is done when they are gone.
const endOthers = `DO $$ DECLARE
	others int[] := ARRAY(SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid());
BEGIN
	PERFORM pg_terminate_backend(pid) FROM unnest(others) AS pid;
	PERFORM pg_terminate_backend(pid, 5000) FROM unnest(others) AS pid; -- waits for one that is still there
END $$`

// TestPostgresPoolOutlivesItsConnections: a server that ended all connections, as one that is restarted does, costs no call
// its answer.
func TestPostgresPoolOutlivesItsConnections(t *testing.T) {
	server, name := migrated(t)
	s := openAddress(t, server.Address(name))
	const readers = 8
	for range 3 {
		var group sync.WaitGroup
		for range readers { // as many connections
			group.Go(func() {
				for range 20 {
					if _, _, err := s.Nodes(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		// Within a second, after which the driver looks at a connection by itself.
		if err := server.Exec(name, endOthers); err != nil {
			t.Fatal(err)
		}
		for range 2 * readers {
			if _, _, err := s.Nodes(t.Context()); err != nil {
				t.Errorf("read: %v", err)
			}
			if err := s.RegisterNode(t.Context(), node("a", "1", "")); err != nil {
				t.Errorf("write: %v", err)
			}
		}
	}
}

// TestPostgresCommitReplyLost cuts connections right before and after a commit arrived.
func TestPostgresCommitReplyLost(t *testing.T) {
	server, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, server)
	direct := address(t)
	s := openAddress(t, p.address(direct))
	watcher := openAddress(t, direct)
	there := func(n int) bool {
		_, err := watcher.Credential(t.Context(), bare(n).ID, false)
		if err != nil && !errors.Is(err, keys.ErrNotFound) {
			t.Error(err)
		}
		return err == nil
	}
	write := func(n int) error {
		_, err := s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, bare(n)) })
		return err
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}

	p.set(cutAfter)
	if err := write(1); err != nil || !there(1) {
		t.Errorf("cut after the commit: got error %v, there: %v, want it written and acknowledged", err, there(1))
	}
	p.set(cutBefore)
	if err := write(2); !errors.Is(err, keys.ErrStoreUnavailable) || errors.Is(err, keys.ErrOutcomeUnknown) || there(2) {
		t.Errorf("cut before the commit: got error %v, there: %v, want ErrStoreUnavailable and nothing written", err, there(2))
	}
	p.set(cutForGood)
	begin := time.Now()
	if err := write(3); !errors.Is(err, keys.ErrStoreUnavailable) || !errors.Is(err, keys.ErrOutcomeUnknown) || !there(3) {
		t.Errorf("cut for good: got error %v, there: %v, want ErrOutcomeUnknown, and it is written", err, there(3))
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("cut for good: took %v", took)
	}
	if p.cuts != 3 {
		t.Errorf("%d commits were cut, want 3", p.cuts)
	}
	p.set(none)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) { // a failed dial stands for a moment
		err := write(4)
		if err == nil {
			break
		}
		if !errors.Is(err, keys.ErrStoreUnavailable) || time.Since(begin) > 10*time.Second {
			t.Fatalf("reachable again: %v", err)
		}
	}
}

// TestPostgresBlackHole lets nothing through any more, without ending anything: writers, readers and those
// who wait for them hear of it within bounds, and it is over when the hole is.
func TestPostgresBlackHole(t *testing.T) {
	server, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, server)
	s := openAddress(t, p.address(address(t)))
	put(t, s, bare(1))
	p.set(silent)
	blackHole(t, s)
	p.set(none)
	healed(t, s)
}

// TestPostgresPaused is the same with a server that is stopped where it stands: its machine still takes
// what is sent.
func TestPostgresPaused(t *testing.T) {
	server, err := pgserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := server.Database(""); err != nil {
		t.Fatal(err)
	}
	s := openAddress(t, server.Address("db_1"))
	put(t, s, bare(1))
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	blackHole(t, s)
	if err := server.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	healed(t, s)
}

func blackHole(t *testing.T, s *store.Store) {
	t.Helper()
	begin := time.Now()
	var group sync.WaitGroup
	ended := func(what string, call func() error) {
		group.Go(func() {
			err := call()
			took := time.Since(begin)
			if !errors.Is(err, keys.ErrStoreUnavailable) {
				t.Errorf("%s: got error %v, want ErrStoreUnavailable", what, err)
			}
			if took > 25*time.Second {
				t.Errorf("%s: ended after %v", what, took)
			}
		})
	}
	for n := range 30 {
		ended(fmt.Sprintf("write %d", n), func() error {
			_, err := s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, bare(100+n)) })
			return err
		})
		ended(fmt.Sprintf("read %d", n), func() error {
			_, err := s.Credential(t.Context(), bare(1).ID, false)
			return err
		})
	}
	ended("checkpoint", func() error {
		return s.SaveCheckpoint(t.Context(), keys.Checkpoint{Uses: []keys.LastUse{{Credential: "key_1", Secret: "s", At: noon}}})
	})
	ended("changes", func() error {
		_, err := s.Changes(t.Context(), 0, 10)
		return err
	})
	group.Wait()
	t.Logf("all ended within %v", time.Since(begin).Round(time.Millisecond))
}

// healed waits until the store writes again, and looks that it does everything else.
func healed(t *testing.T, s *store.Store) {
	t.Helper()
	begin := time.Now()
	for {
		_, err := s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error { return tx.PutCredential(ctx, bare(2)) })
		if err == nil {
			break
		}
		if !errors.Is(err, keys.ErrStoreUnavailable) || time.Since(begin) > 30*time.Second {
			t.Fatalf("not there again: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("writes again after %v", time.Since(begin).Round(time.Millisecond))
	if _, err := s.Credential(t.Context(), bare(2).ID, false); err != nil {
		t.Error(err)
	}
}

// TestPostgresFrozenWriter has one store stop in the middle of a change, with the lock in its hand: it loses
// it, and another's change goes through.
func TestPostgresFrozenWriter(t *testing.T) {
	a := address(t)
	frozen, other := openAddress(t, a), openAddress(t, a)
	holds, ended := make(chan struct{}), make(chan error)
	go func() {
		_, err := frozen.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error {
			if err := tx.PutCredential(ctx, bare(1)); err != nil {
				return err
			}
			close(holds)
			<-t.Context().Done()
			return tx.PutCredential(context.WithoutCancel(ctx), bare(2))
		})
		ended <- err
	}()
	<-holds
	begin := time.Now()
	put(t, other, bare(3))
	t.Logf("another's change after %v", time.Since(begin).Round(time.Millisecond))
	if _, err := other.Credential(t.Context(), bare(1).ID, false); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("the frozen one's change: got error %v, want ErrNotFound", err)
	}
	t.Cleanup(func() {
		if err := <-ended; err == nil {
			t.Error("the frozen one's change was acknowledged")
		}
	})
}

// TestPostgresDiskFull has the server say that its disk is full in the middle of a change.
func TestPostgresDiskFull(t *testing.T) {
	server, name := migrated(t)
	s := openAddress(t, server.Address(name))
	put(t, s, bare(1))
	full := `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100'; END $$;
		CREATE TRIGGER full_disk BEFORE INSERT ON secrets FOR EACH ROW EXECUTE FUNCTION full_disk()`
	if err := server.Exec(name, full); err != nil {
		t.Fatal(err)
	}
	refused(t, s, keys.ErrStorageFull, func(ctx context.Context, tx keys.Tx) error {
		if err := tx.PutMeta(ctx, "m", []byte("v")); err != nil {
			return err
		}
		return tx.PutCredential(ctx, bare(2))
	})
	if _, err := s.Meta(t.Context(), "m"); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("half of it was written: %v", err)
	}
	if err := server.Exec(name, "DROP TRIGGER full_disk ON secrets"); err != nil {
		t.Fatal(err)
	}
	put(t, s, bare(2))
}

// TestPostgresSettingsOfTheDatabase holds that what a database has for settings does not change what a
// store does.
func TestPostgresSettingsOfTheDatabase(t *testing.T) {
	server, name := migrated(t)
	for setting, value := range map[string]string{
		"default_transaction_isolation": "serializable", "standard_conforming_strings": "off", "bytea_output": "escape",
		"statement_timeout": "1", "lock_timeout": "1", "synchronous_commit": "off", "DateStyle": "German", "client_encoding": "LATIN1",
	} {
		if err := server.Exec("postgres", fmt.Sprintf("ALTER DATABASE %s SET %s = '%s'", name, setting, value)); err != nil {
			t.Fatal(err)
		}
	}
	testConcurrent(t, func(t *testing.T) keys.Store { return openAddress(t, server.Address(name)) })
	s := openAddress(t, server.Address(name))
	odd := next(bare(1), func(c *keys.Credential) {
		c.Name = `back\' OR 1=1 --`
		c.Version = 1
		c.ID = "key_odd"
		c.Secrets = nil
	})
	put(t, s, odd)
	page, err := s.Credentials(t.Context(), keys.CredentialFilter{Now: noon, Search: `BACK\' or`})
	if err != nil || len(page.Items) != 1 || page.Items[0].Name != odd.Name {
		t.Errorf("got %d items, %v, want the one", len(page.Items), err)
	}
}

func TestPostgresCloseLeavesNothing(t *testing.T) {
	a := address(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s, err := store.Open(t.Context(), a, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seq := put(t, s, bare(1))
	waited := make(chan error)
	go func() { waited <- s.Wait(context.Background(), seq) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil && !errors.Is(err, keys.ErrStoreUnavailable) {
		t.Errorf("wait: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}
