package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

const declaredText = "pst_live_HtrzXGo3W5KJ_V8gULcQtdXf64OyJkNOzEXhMv5seDNcoqbzlhWxLhcY4T1NbW"

// declaredKeys declares the key above, without a store.
const declaredKeys = `
store: none
access: { keys: { ci: { hash: "sha256:25524e140c15fb7e60633cbc8bfa54ff70bf360ad540f2547dccd17e945233d0", apis: [main] } } }
`

// TestDayCountsSurvive kills the gateway under load and starts it again: the day is not given out
// twice, but for the last second; refused calls are not charged; and after a clean stop nothing is
// forgotten at all.
func TestDayCountsSurvive(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	const limit = 1200
	for name, yaml := range map[string]string{"SQLite": "", "no store": declaredKeys} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, mainConfig(upstream.URL, fmt.Sprintf("%d/day", limit))+yaml)
			s.start()
			key := declaredText
			if yaml == "" {
				key = s.must("keys", "create", "--name", "k", "--api", "main")
			}
			// Paced, so that a second is a small part of the day's units.
			before := s.paced(key, http.StatusOK, 300, 900)
			killed := time.Now()
			s.kill()
			lastSecond := 0
			for _, at := range before {
				if killed.Sub(at) <= time.Second {
					lastSecond++
				}
			}
			s.start()
			after := s.admits(key, http.StatusOK, 200)
			s.stop()
			s.start()
			after += s.admits(key, http.StatusOK, 2*limit)
			total := len(before) + after
			t.Logf("%d before the kill, %d of them in its last second, %d after: %d of %d", len(before), lastSecond, after, total, limit)
			if total < limit || total > limit+lastSecond {
				t.Errorf("%d were admitted, want %d to %d", total, limit, limit+lastSecond)
			}
			for range 50 {
				if got := s.call(key); got != http.StatusTooManyRequests {
					t.Fatalf("got %d over the limit, want 429", got)
				}
			}
			s.stop()
			if got := savedUnits(t, s); got > limit {
				t.Errorf("%d units are saved, want at most %d: refused calls were charged", got, limit)
			}
			c := canaries{}
			c.plantText("key", key)
			c.lookThrough(t, "after the last stop", s.dir)
		})
	}
}

// savedUnits is what the checkpoint of a stopped gateway holds in all.
func savedUnits(t *testing.T, s *site) int64 {
	t.Helper()
	cfg, i := s.open()
	defer i.Close()
	var units int64
	err := i.checkpoints(cfg).Counts(t.Context(), time.Now(), func(counts []limiter.Count) error {
		for _, c := range counts {
			units += c.Used
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return units
}

// sick is a store of checkpoints that fails while broken is set.
type sick struct {
	checkpointFile
	broken error
}

func (s *sick) SaveCheckpoint(ctx context.Context, c keys.Checkpoint) error {
	if s.broken != nil {
		return s.broken
	}
	return s.checkpointFile.SaveCheckpoint(ctx, c)
}

func TestCheckpointOutage(t *testing.T) {
	log := &logBuffer{}
	store := &sick{checkpointFile: *newCheckpointFile(t.TempDir()), broken: keys.ErrStorageFull}
	l := limiter.NewLocal(limiter.LocalOptions{Track: true})
	c := newCheckpoints(l, keys.NewDirectory(keys.DirectoryOptions{}), store, slog.New(slog.NewTextHandler(log, nil)))
	spend := func() {
		t.Helper()
		check := limiter.Check{Counter: limiter.Counter{Subject: "key_1"}, Limit: limiter.Limit{N: 100, Unit: limiter.Day},
			Span: limiter.NewCalendar(limiter.Day, nil).At(time.Now())}
		var a limiter.Answer
		if err := l.Decide(t.Context(), &limiter.Query{Cost: 1, Checks: []limiter.Check{check}}, &a); err != nil || !a.Allowed {
			t.Fatalf("decide while the store is down: %v, allowed %v", err, a.Allowed)
		}
	}
	for range 3 {
		spend()
		if err := c.save(t.Context()); !errors.Is(err, keys.ErrStorageFull) {
			t.Fatalf("got %v, want the store's error", err)
		}
	}
	if n := strings.Count(log.String(), "cannot be saved"); n != 1 {
		t.Errorf("the outage was logged %d times, want once:\n%s", n, log)
	}
	if c.degraded() == "" {
		t.Error("want the outage among what is degraded")
	}
	store.broken = nil
	if err := c.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.degraded() != "" || !strings.Contains(log.String(), "saved again") {
		t.Errorf("want the end of the outage told, but %q:\n%s", c.degraded(), log)
	}
	text, err := os.ReadFile(store.path)
	if err != nil || !strings.Contains(string(text), `"Used":3`) {
		t.Errorf("want all three units saved, got %s, %v", text, err)
	}
}

// book is a gateway's own, and remembers what it was asked.
type book struct {
	checkpointFile
	rows   []int
	pruned int
}

func (b *book) SaveCheckpoint(ctx context.Context, c keys.Checkpoint) error {
	b.rows = append(b.rows, len(c.Counts))
	return b.checkpointFile.SaveCheckpoint(ctx, c)
}

func (b *book) PruneCounts(ctx context.Context, before time.Time) (bool, error) {
	b.pruned++
	return b.checkpointFile.PruneCounts(ctx, before)
}

// TestSharedStoreLostSavesCounts: what the book has is not written again because the store of others
// cannot take last uses, and nobody is told that counts would be forgotten.
func TestSharedStoreLostSavesCounts(t *testing.T) {
	log := &logBuffer{}
	own := &book{checkpointFile: *newCheckpointFile(t.TempDir())}
	shared := &sick{checkpointFile: *newCheckpointFile(t.TempDir()), broken: keys.ErrStoreUnavailable}
	l := limiter.NewLocal(limiter.LocalOptions{Track: true})
	c := newCheckpoints(l, keys.NewDirectory(keys.DirectoryOptions{}), ownCheckpoints{own, shared}, slog.New(slog.NewTextHandler(log, nil)))
	span := limiter.NewCalendar(limiter.Day, nil).At(time.Now())
	for i := range 3 {
		count := limiter.Check{Counter: limiter.Counter{Subject: fmt.Sprint("key_", i)}, Limit: limiter.Limit{N: 100, Unit: limiter.Day}, Span: span}
		var a limiter.Answer
		if err := l.Decide(t.Context(), &limiter.Query{Cost: 1, Checks: []limiter.Check{count}}, &a); err != nil || !a.Allowed {
			t.Fatalf("decide: %v, allowed %v", err, a.Allowed)
		}
		c.uses[useKey{"key_1", "secret"}] = keys.LastUse{Credential: "key_1", Secret: "secret", At: time.Now()}
		if err := c.save(t.Context()); !errors.Is(err, keys.ErrStoreUnavailable) {
			t.Errorf("got %v, want the shared store's error", err)
		}
	}
	if want := []int{1, 1, 1}; !slices.Equal(own.rows, want) || own.pruned == 0 {
		t.Errorf("the book was given %v counters and pruned %d times, want %v and at least once", own.rows, own.pruned, want)
	}
	if got := c.degraded(); got != "" {
		t.Errorf("degraded: %s", got)
	}
	if text := log.String(); strings.Contains(text, "would forget") || strings.Count(text, "last uses cannot be saved") != 1 {
		t.Errorf("want only the last uses told, and once:\n%s", text)
	}
	shared.broken = nil
	if err := c.save(t.Context()); err != nil || len(c.uses) != 0 || !strings.Contains(log.String(), "last uses are saved again") {
		t.Errorf("after the outage: %v, %d uses left:\n%s", err, len(c.uses), log)
	}
}

func TestDamagedCheckpointFileIsPutAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, checkpointFileName)
	for _, text := range []string{"", "{", `{"version": 2}`, `[]`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		log := &logBuffer{}
		c := newCheckpoints(limiter.NewLocal(limiter.LocalOptions{}), keys.NewDirectory(keys.DirectoryOptions{}),
			newCheckpointFile(dir), slog.New(slog.NewTextHandler(log, nil)))
		if err := c.restore(t.Context()); err != nil {
			t.Errorf("%q: got %v, want a start", text, err)
		}
		if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != text || !strings.Contains(log.String(), "damaged") {
			t.Errorf("%q: kept %q, %v, logged %s", text, kept, err, log)
		}
	}
}

// TestLastUsedIsShown looks at a key's last use before and after a kill.
func TestLastUsedIsShown(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	s := newSite(t, mainConfig(upstream.URL, "100/s"))
	s.start()
	key := s.must("keys", "create", "--name", "k", "--api", "main")
	type shown struct {
		ID         string     `json:"id"`
		LastUsedAt *time.Time `json:"last_used_at"`
		Secrets    []struct {
			LastUsedAt *time.Time `json:"last_used_at"`
		} `json:"secrets"`
	}
	show := func() shown {
		t.Helper()
		var page struct {
			Items []shown `json:"items"`
		}
		if err := json.Unmarshal([]byte(s.must("keys", "list", "-o", "json")), &page); err != nil || len(page.Items) != 1 {
			t.Fatalf("list: %v, %d keys", err, len(page.Items))
		}
		return page.Items[0]
	}
	if k := show(); k.LastUsedAt != nil || k.Secrets[0].LastUsedAt != nil {
		t.Errorf("never used, but shown as used at %v", k.LastUsedAt)
	}
	if got := s.call(strings.Replace(key, "_", "-", 1)); got != http.StatusUnauthorized {
		t.Fatalf("got %d for a wrong key, want 401", got)
	}
	if k := show(); k.LastUsedAt != nil {
		t.Errorf("a refused call counts as use, at %v", k.LastUsedAt)
	}
	from := time.Now().Truncate(time.Second)
	if got := s.call(key); got != http.StatusOK {
		t.Fatalf("got %d, want 200", got)
	}
	used := show()
	if used.LastUsedAt == nil || used.LastUsedAt.Before(from) || used.LastUsedAt.After(time.Now()) ||
		used.Secrets[0].LastUsedAt == nil || !used.Secrets[0].LastUsedAt.Equal(*used.LastUsedAt) {
		t.Fatalf("used at %v, secret at %v, want both since %v", used.LastUsedAt, used.Secrets[0].LastUsedAt, from)
	}
	s.awaitSaved(used.ID)
	s.kill()
	s.start()
	if k := show(); k.LastUsedAt == nil || !k.LastUsedAt.Equal(*used.LastUsedAt) {
		t.Errorf("after the kill: used at %v, want %v", k.LastUsedAt, used.LastUsedAt)
	}
}

// awaitSaved returns when the last use of a key is in the database.
func (s *site) awaitSaved(id string) {
	s.t.Helper()
	_, i := s.open()
	defer i.Close()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		uses, err := i.store.LastUses(s.t.Context(), []keys.CredentialID{keys.CredentialID(id)})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(uses) > 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the last use is never saved")
		}
	}
}

// TestCheckpointDiskGone takes the data folder away from a running gateway and gives it back: traffic
// goes on, the trouble is told where people look, and what was counted meanwhile is saved at the end.
func TestCheckpointDiskGone(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	const limit = 50
	s := newSite(t, mainConfig(upstream.URL, fmt.Sprintf("%d/day", limit))+declaredKeys)
	s.start()
	if err := os.Rename(s.path("data"), s.path("gone")); err != nil {
		t.Fatal(err)
	}
	if got := s.admits(declaredText, http.StatusOK, 20); got != 20 {
		t.Errorf("%d of 20 calls were admitted while nothing can be saved", got)
	}
	awaitLog(t, s.log, "cannot be saved")
	if out := s.must("health"); !strings.Contains(out, "degraded: counts of days and months could not be saved") {
		t.Errorf("health says: %s", out)
	}
	if err := os.Rename(s.path("gone"), s.path("data")); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, s.log, "saved again")
	if out := s.must("health"); strings.Contains(out, "degraded") {
		t.Errorf("health still says: %s", out)
	}
	s.kill()
	s.start()
	if got := s.admits(declaredText, http.StatusOK, 2*limit); got != limit-20 {
		t.Errorf("%d more were admitted after the restart, want %d", got, limit-20)
	}
	s.stop()
}
