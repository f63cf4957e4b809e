package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockStore opens a certStore on a database with quick leases.
func lockStore(t *testing.T, db CertStore, log *slog.Logger) *certStore {
	t.Helper()
	s := newCertStore(db, newVault(t), log)
	s.lease, s.poll = 300*time.Millisecond, 5*time.Millisecond
	return s
}

// TestCertLockExcludes lets goroutines of two processes count under one lock.
func TestCertLockExcludes(t *testing.T) {
	db := openStore(t)
	nodes := []*certStore{lockStore(t, db, slog.New(slog.DiscardHandler)), lockStore(t, db, slog.New(slog.DiscardHandler))}
	var wait sync.WaitGroup
	inside, count := 0, 0
	for i := range 8 {
		wait.Go(func() {
			s := nodes[i%2]
			for range 5 {
				if err := s.Lock(t.Context(), "job"); err != nil {
					t.Error(err)
					return
				}
				// The race detector finds two in here at once too.
				inside++
				if inside != 1 {
					t.Errorf("%d hold the lock at once", inside)
				}
				count++
				inside--
				if err := s.Unlock(t.Context(), "job"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if count != 40 {
		t.Errorf("counted to %d, want 40", count)
	}
	if err := nodes[0].Unlock(t.Context(), "job"); err == nil {
		t.Error("unlocked what was not locked")
	}
}

// TestCertLockOutlivesItsLease: the holder renews, even when the context that it locked with has
// ended, and the next one gets the lock when the holder is killed, not before.
func TestCertLockOutlivesItsLease(t *testing.T) {
	db := openStore(t)
	a, b := lockStore(t, db, slog.New(slog.DiscardHandler)), lockStore(t, db, slog.New(slog.DiscardHandler))
	a.lease, b.lease = 3*time.Second, 3*time.Second // renewed each second: longer than a busy disk keeps a commit waiting
	ctx, cancel := context.WithCancel(t.Context())
	if err := a.Lock(ctx, "job"); err != nil {
		t.Fatal(err)
	}
	cancel()
	began := time.Now()
	patient, cancel := context.WithTimeout(t.Context(), a.lease*3/2)
	defer cancel()
	if err := b.Lock(patient, "job"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("after %s: got %v, want the lock to be held still", time.Since(began), err)
	}
	if taken, err := b.TryLock(t.Context(), "job"); taken || err != nil {
		t.Errorf("try: got %t, %v, want false", taken, err)
	}
	// As kill -9 does: nobody renews and nobody gives back.
	a.held["job"].stop()
	<-a.held["job"].done
	if err := b.Lock(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	// What the killed one would still do harms nobody.
	if err := a.Unlock(t.Context(), "job"); err != nil {
		t.Error(err)
	}
	if taken, err := a.TryLock(t.Context(), "job"); taken || err != nil {
		t.Errorf("after somebody else's unlock: got %t, %v, want false", taken, err)
	}
	if err := b.Unlock(t.Context(), "job"); err != nil {
		t.Error(err)
	}
}

// TestCertLockLost tells when somebody else has the lock.
func TestCertLockLost(t *testing.T) {
	db, log := openStore(t), &lockedBuffer{}
	s := lockStore(t, db, slog.New(slog.NewTextHandler(log, nil)))
	if err := s.Lock(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	if err := db.EndLease(t.Context(), certPrefix+"job", s.held["job"].holder); err != nil {
		t.Fatal(err)
	}
	if taken, err := db.TakeLease(t.Context(), certPrefix+"job", "another", time.Hour); !taken || err != nil {
		t.Fatalf("take: %t %v", taken, err)
	}
	<-s.held["job"].done // renews no more
	if err := s.Unlock(t.Context(), "job"); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "somebody else has it") {
		t.Errorf("the log says %q", log.String())
	}
}

// TestCertLockRelease gives back at the end what nobody unlocks.
func TestCertLockRelease(t *testing.T) {
	db := openStore(t)
	s := lockStore(t, db, slog.New(slog.DiscardHandler))
	s.lease = time.Hour
	for _, name := range []string{"unlocked", "forgotten"} {
		if err := s.Lock(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Unlock(t.Context(), "unlocked"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	s.release(ctx)
	for _, name := range []string{"unlocked", "forgotten"} {
		if taken, err := db.TakeLease(t.Context(), certPrefix+name, "next", time.Hour); !taken || err != nil {
			t.Errorf("%s: got %t, %v, want it to be free", name, taken, err)
		}
	}
	s.release(t.Context()) // nothing is left to wait for
}
