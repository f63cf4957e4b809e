package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"postern/internal/keys"
	"postern/internal/pgserver"
	"postern/internal/store"
)

// measureKeys times the start of a gateway with very many keys, and what each costs in memory.
func (b *bench) measureKeys(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "keys-")
	if err != nil {
		return err
	}
	g, err := b.startGateway(ctx, dir, "http://127.0.0.1:9", localLimits)
	if err != nil {
		return err
	}
	// A scrape collects nothing by itself, so the heap's garbage counts too: at most a tenth here,
	// and against us. What the gateway holds anyway cancels out.
	heap := func() (float64, error) {
		if _, err := b.run(ctx, dir, g, "GOGC=10"); err != nil {
			return 0, err
		}
		defer g.stop()
		return metric(ctx, g.admin, "go_memstats_heap_alloc_bytes")
	}
	empty, err := heap()
	if err != nil {
		return err
	}
	fmt.Printf("\n%d keys in SQLite\n", b.keys)
	started := time.Now()
	if err := seed(ctx, dir, b.keys); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	tell("written in", time.Since(started).Seconds(), "s")
	syscall.Sync() // the start is not to wait for the disk to take what was just written
	ready, err := b.run(ctx, dir, g)
	if err != nil {
		return err
	}
	loaded, err := metric(ctx, g.admin, `postern_directory_keys{status="active"}`)
	g.stop()
	if err != nil {
		return err
	}
	if int(loaded) != b.keys {
		return fmt.Errorf("the gateway was ready with %.0f keys of %d", loaded, b.keys)
	}
	full, err := heap()
	if err != nil {
		return err
	}
	b.judge("from start to ready", ready.Seconds(), "s", 5)
	b.judge("memory of a key", (full-empty)/float64(b.keys), "B", 500)
	return b.measureKeysOnPostgres(ctx, dir, g)
}

// measureKeysOnPostgres has the same keys copied to PostgreSQL, and times the start there.
func (b *bench) measureKeysOnPostgres(ctx context.Context, dir string, g *gatewayUnderTest) (err error) {
	server, err := pgserver.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	name, err := server.Database("")
	if err != nil {
		return err
	}
	const setting = "env:BENCH_DATABASE_URL"
	address := "BENCH_DATABASE_URL=" + server.Address(name)
	fmt.Printf("\n%d keys in PostgreSQL\n", b.keys)
	started := time.Now()
	cmd := exec.CommandContext(ctx, b.postern, "store", "copy", "--to", setting)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), address)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("store copy: %w: %s", err, out)
	}
	tell("copied in", time.Since(started).Seconds(), "s")
	syscall.Sync()
	ready, err := b.run(ctx, dir, g, "POSTERN_STORE="+setting, address)
	if err != nil {
		return err
	}
	defer g.stop()
	loaded, err := metric(ctx, g.admin, `postern_directory_keys{status="active"}`)
	if err != nil {
		return err
	}
	if int(loaded) != b.keys {
		return fmt.Errorf("the gateway was ready with %.0f keys of %d", loaded, b.keys)
	}
	b.judge("from start to ready", ready.Seconds(), "s", 10)
	return nil
}

// seed writes keys as the registry would, many to a transaction.
func seed(ctx context.Context, dir string, count int) (err error) {
	pepper, err := os.ReadFile(filepath.Join(dir, "pepper"))
	if err != nil {
		return err
	}
	keyset, err := os.ReadFile(filepath.Join(dir, "keyset.json"))
	if err != nil {
		return err
	}
	vault, err := keys.OpenVault(pepper, keyset)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, "sqlite:"+filepath.Join(dir, "data", "postern.db"), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	const batch = 50_000
	for from := 0; from < count; from += batch {
		_, err := s.Update(ctx, func(ctx context.Context, tx keys.Tx) error {
			for i := from; i < min(from+batch, count); i++ {
				if err := tx.PutCredential(ctx, seedKey(vault, i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func seedKey(vault *keys.Vault, i int) keys.Credential {
	var sum [sha256.Size]byte
	_, _ = rand.Read(sum[:]) // it never fails
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := keys.Credential{
		ID: keys.CredentialID(fmt.Sprintf("key_%012d", i)), Kind: keys.APIKey, Tenant: keys.DefaultTenant,
		Owner: keys.Owner{Type: keys.OwnerTenant, ID: string(keys.DefaultTenant), Name: string(keys.DefaultTenant)},
		Name:  fmt.Sprintf("key %d", i), Status: keys.Active, Plan: "standard", APIs: []keys.APIName{"main"},
		CreatedBy: "bench", CreatedAt: now, UpdatedAt: now, Version: 1,
		Secrets: []keys.StoredSecret{{
			ID: keys.SecretID(fmt.Sprintf("%012d", i)), Digest: vault.DigestHash(sum), Pepper: vault.PepperVersion(),
			Preview: "pst_live_0000", CreatedAt: now,
		}},
	}
	vault.SealSecret(c.ID, &c.Secrets[0])
	vault.SealCredential(&c)
	return c
}
