package keys

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// record is a log that may be read while it is written.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// await polls for what another goroutine brings about, up to ten seconds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not come to pass", what)
		}
	}
}

func TestFollowSurvivesAnOutage(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	log := &record{}
	d := NewDirectory(DirectoryOptions{
		Store: h.store, Vault: h.vault, Format: h.format, Catalog: h.catalog, Now: h.clock.Now, MaxStale: time.Hour,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.follow(d)
	h.store.breakWith(fmt.Errorf("dial: %w", ErrStoreUnavailable))
	first := h.store.readsSoFar()
	await(t, "three tries", func() bool { return h.store.readsSoFar() >= first+3 })
	if _, code := d.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now()); code != Admitted {
		t.Errorf("during the outage: %q", code)
	}
	h.clock.advance(2 * time.Hour)
	if _, code := d.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now()); code != DirectoryUnavailable {
		t.Errorf("past max_stale: %q", code)
	}
	if lag := d.Stats(h.clock.Now()).Lag; lag < 2*time.Hour {
		t.Errorf("lag %s", lag)
	}
	h.store.breakWith(nil)
	await(t, "recovery", func() bool { return d.Ready(h.clock.Now()) == nil })
	await(t, "the second log line", func() bool { return strings.Contains(log.String(), "again") })
	if n := strings.Count(log.String(), "cannot be read"); n != 1 {
		t.Errorf("the outage is logged %d times:\n%s", n, log)
	}
}

// forgetful is a store that lost a change to one of its readers.
type forgetful struct {
	*fakeStore
	lost atomic.Int64
}

func (s *forgetful) Changes(ctx context.Context, after Seq, most int) ([]Change, error) {
	return s.fakeStore.Changes(ctx, after+Seq(s.lost.Load()), most)
}

// A database that fails over to a standby which lacked the newest changes gives their numbers away again.
func TestFollowStopsWhenTheStoreWentBack(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	for _, shared := range []bool{false, true} {
		store := &forgetful{fakeStore: h.store}
		d := NewDirectory(DirectoryOptions{Store: store, Vault: h.vault, Format: h.format, Catalog: h.catalog, Now: h.clock.Now,
			MaxStale: time.Hour, Shared: shared})
		d.registered(d.instant(), true)
		h.clock.advance(time.Nanosecond)
		if err := d.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, code := d.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now()); code != Admitted {
			t.Fatalf("before: %q", code)
		}
		ended := make(chan error, 1)
		go func() { ended <- d.Follow(t.Context()) }()
		store.lost.Store(1)
		h.store.breakWith(nil) // wakes
		if err := <-ended; !errors.Is(err, ErrStoreWentBack) {
			t.Errorf("shared %t: got %v, want ErrStoreWentBack", shared, err)
		}
		d.registered(d.instant(), false) // a heartbeat that was on its way
		if _, code := d.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now()); code != DirectoryUnavailable {
			t.Errorf("shared %t: it still answers %q", shared, code)
		}
		if err := d.Ready(h.clock.Now()); !errors.Is(err, ErrNotLoaded) {
			t.Errorf("shared %t: ready is %v", shared, err)
		}
	}
}

func TestWaitAppliedGivesUpWithItsContext(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("client gone")
	cancel(cause)
	if err := h.dir.WaitApplied(ctx, h.store.newest()+1); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if err := h.dir.WaitApplied(ctx, 0); err != nil {
		t.Errorf("what is applied already: %v", err)
	}
}

// A change with more records than fit a batch must be in effect as a whole before it counts.
func TestFollowReadsALargeChangeWhole(t *testing.T) {
	const records = 2*changesBatch + 7
	h := newHouse(t)
	before := h.store.newest()
	var made []Generated
	seq, err := h.store.Update(t.Context(), func(ctx context.Context, tx Tx) error {
		for range records {
			g, err := h.registry.withSecret(Credential{Kind: APIKey, Tenant: "default", Status: Active, Plan: "standard", Version: 1}, h.registry.catalog.Load().Policy)
			if err != nil {
				return err
			}
			made = append(made, g)
			// Past PutCredential, whose search for duplicate digests is quadratic.
			tx.(*fakeTx).credentials[g.Credential.ID] = g.Credential
			tx.(*fakeTx).changed[g.Credential.ID] = tx.(*fakeTx).seq
		}
		tx.(*fakeTx).dirty = true
		return nil
	})
	if err != nil || seq != before+1 {
		t.Fatalf("change %d after %d, error %v", seq, before, err)
	}
	h.wait(seq)
	for i, g := range made {
		if code := h.code(g.Secret.Reveal(), ""); code != Admitted {
			t.Fatalf("record %d: %q", i, code)
		}
	}
}

func TestFollowRefusesToSkip(t *testing.T) {
	h := newHouse(t)
	h.store.mu.Lock()
	h.store.mostRows = changesBatch // never more at once
	h.store.seq++
	for i := range changesBatch + 1 {
		id := CredentialID(fmt.Sprintf("key_%d", i))
		c := Credential{ID: id, Version: 1}
		h.vault.SealCredential(&c)
		h.store.credentials[id], h.store.changed[id] = c, h.store.seq
	}
	h.store.mu.Unlock()
	if err := h.dir.catchUp(t.Context()); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("got %v, want a refusal to go past the change", err)
	}
	if seq, _ := h.dir.progress.at(); seq == h.store.newest() {
		t.Error("the change counts as applied")
	}
}

func TestDeclareManyStaysWithinABatch(t *testing.T) {
	h := newHouse(t)
	h.store.mu.Lock()
	h.store.mostRows = changesBatch
	h.store.mu.Unlock()
	var ds []Declared
	for i := range 3*declareChunk - 1 {
		ds = append(ds, Declared{Name: fmt.Sprintf("k%d", i), Hash: sha256.Sum256(fmt.Append(nil, i))})
	}
	before := h.store.newest()
	if err := h.registry.Declare(t.Context(), ds); err != nil {
		t.Fatal(err)
	}
	if got := h.store.newest() - before; got != 3 {
		t.Errorf("%d changes, want 3", got)
	}
	if got := h.dir.Stats(h.clock.Now()).ByStatus[Active]; got != len(ds) {
		t.Errorf("%d keys in effect, want %d", got, len(ds))
	}
}
