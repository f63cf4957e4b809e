//go:build realservers

package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"postern/internal/keys"
	"postern/internal/pgserver"
	"postern/internal/store"
)

// postgres is the server of this package's tests. It is started by the first that asks and stopped by
// TestMain.
var postgres = sync.OnceValues(func() (*pgserver.Server, error) {
	s, err := pgserver.Start()
	if err != nil {
		return nil, err
	}
	store.AtExit(func() error { return s.Stop() })
	const template = "migrated"
	if err := s.Exec("postgres", "CREATE DATABASE "+template); err != nil {
		return nil, err
	}
	migrated, err := store.Open(context.Background(), s.Address(template), store.Options{})
	if err != nil {
		return nil, err
	}
	return s, migrated.Close()
})

func TestPostgres(t *testing.T) { testStore(t, openPostgres) }

func TestConcurrentPostgres(t *testing.T) { testConcurrent(t, openPostgres) }

func TestOddPostgres(t *testing.T) { testOdd(t, openPostgres) }

func TestScalePostgres(t *testing.T) {
	server, name := migrated(t)
	// As it is installed the server has 128 MB of memory for a database ten times as large.
	testScale(t, openAddress(t, server.Address(name)), 10*time.Second, 500*time.Millisecond, func() int64 {
		var size int64
		conn, err := pgx.Connect(t.Context(), server.Address(name))
		if err == nil {
			err = errors.Join(conn.QueryRow(t.Context(), "SELECT pg_database_size(current_database())").Scan(&size), conn.Close(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
		return size
	})
}

// openPostgres opens a store in a database of the test's own.
func openPostgres(t *testing.T) keys.Store {
	t.Helper()
	return openAddress(t, address(t))
}

// address is that of a new database with our schema.
func address(t *testing.T) string {
	t.Helper()
	server, name := migrated(t)
	return server.Address(name)
}

// migrated returns the server that tests share, and the name of a new database on it.
func migrated(t *testing.T) (*pgserver.Server, string) {
	t.Helper()
	server, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	name, err := server.Database("migrated")
	if err != nil {
		t.Fatal(err)
	}
	return server, name
}

func openAddress(t *testing.T, address string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), address, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
