package keys

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// admit authenticates a text and notes its use, as the gateway does.
func (h *house) admit(text string) {
	h.t.Helper()
	p, code := h.dir.Authenticate(Presented{Text: text}, h.clock.Now())
	if code != Admitted {
		h.t.Fatalf("got %q, want to be admitted", code)
	}
	p.Used(h.clock.Now())
}

func TestLastUseIsTakenOnce(t *testing.T) {
	h := newHouse(t)
	g, other := h.generate(NewCredential{}), h.generate(NewCredential{})
	_, second, _ := h.format.NewKey(nil, false)
	h.change(g.Credential.ID, func(c *Credential) {
		c.Secrets = append(c.Secrets, StoredSecret{ID: "second000000", Digest: h.vault.Digest(second.Reveal()), Pepper: 1})
	})
	first := h.clock.Now().Truncate(time.Second).UTC()
	h.admit(g.Secret.Reveal())
	h.admit(g.Secret.Reveal())
	h.clock.advance(90 * time.Second)
	h.admit(second.Reveal())
	want := []LastUse{
		{g.Credential.ID, g.Credential.Secrets[0].ID, first},
		{g.Credential.ID, "second000000", h.clock.Now().Truncate(time.Second).UTC()},
	}
	if diff := cmp.Diff(want, h.dir.TakeUses(nil)); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
	if got := h.dir.TakeUses(nil); len(got) != 0 {
		t.Errorf("nothing was used since, but got %v", got)
	}
	if diff := cmp.Diff(want, h.dir.LastUses(g.Credential.ID)); diff != "" {
		t.Errorf("what is known in memory (-want +got):\n%s", diff)
	}
	if got := h.dir.LastUses(other.Credential.ID); len(got) != 0 {
		t.Errorf("the other was never used, but got %v", got)
	}
	// A change of the credential forgets nothing of what stays.
	h.change(g.Credential.ID, func(c *Credential) { c.Secrets = c.Secrets[1:] })
	want = []LastUse{{g.Credential.ID, "second000000", want[1].At}}
	if got := h.dir.LastUses(g.Credential.ID); len(got) != 1 || got[0].At != want[0].At {
		t.Errorf("after a change: got %v, want %v", got, want)
	}
}

// TestUseOfAReplacedEntryIsNotLost: a call may be admitted while its credential is being changed.
func TestUseOfAReplacedEntryIsNotLost(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	p, _ := h.dir.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now())
	h.change(g.Credential.ID, func(c *Credential) { c.Scopes = []Scope{"orders.read"} })
	p.Used(h.clock.Now())
	if got := h.dir.TakeUses(nil); len(got) != 1 {
		t.Fatalf("got %v, want the one use", got)
	}
	if got := h.dir.LastUses(g.Credential.ID); len(got) != 1 {
		t.Errorf("got %v, want the present entry to know it", got)
	}
}

func TestUsesWhileTheyAreTaken(t *testing.T) {
	d, _ := filledDirectory(testVault(t), 50, OwnerTenant)
	var users sync.WaitGroup
	begin := time.Unix(1_800_000_000, 0)
	const seconds = 300
	for range 4 {
		users.Go(func() {
			for at := range seconds {
				for i := range 50 {
					p, _ := d.Authenticate(Presented{Text: sampleText(i)}, begin)
					p.Used(begin.Add(time.Duration(at) * time.Second))
				}
			}
		})
	}
	last := map[CredentialID]time.Time{}
	take := func() {
		for _, u := range d.TakeUses(nil) {
			if u.At.After(last[u.Credential]) {
				last[u.Credential] = u.At
			}
		}
	}
	done := make(chan struct{})
	go func() { users.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		take()
	}
	want := begin.Add((seconds - 1) * time.Second).UTC()
	for i := range 50 {
		if id := sampleCredential(testVault(t), i, OwnerTenant).ID; last[id] != want {
			t.Errorf("%s: last use %v, want %v", id, last[id], want)
		}
	}
}

func TestUseIsShown(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	stored := h.clock.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	h.store.uses = []LastUse{
		{g.Credential.ID, g.Credential.Secrets[0].ID, stored},
		{g.Credential.ID, "gone", stored.Add(time.Minute)}, // a secret that was rotated away
	}
	show := func(want, wantSecret time.Time) {
		t.Helper()
		one, err := h.registry.Credential(t.Context(), operator(), g.Credential.ID)
		if err != nil {
			t.Fatal(err)
		}
		page, err := h.registry.Credentials(t.Context(), operator(), CredentialFilter{})
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(page.Items, func(c Credential) bool { return c.ID == g.Credential.ID })
		for name, c := range map[string]Credential{"alone": one, "in the list": page.Items[at]} {
			if c.LastUsedAt != want || c.Secrets[0].LastUsedAt != wantSecret {
				t.Errorf("%s: used %v, the secret %v, want %v and %v", name, c.LastUsedAt, c.Secrets[0].LastUsedAt, want, wantSecret)
			}
		}
	}
	show(stored.Add(time.Minute), stored)
	h.admit(g.Secret.Reveal())
	now := h.clock.Now().Truncate(time.Second).UTC()
	show(now, now)

	h.store.breakWith(ErrStoreUnavailable)
	if _, err := h.registry.Credentials(context.Background(), operator(), CredentialFilter{}); err == nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("got %v, want the store's error", err)
	}
}

func TestUsedOutsideADirectory(t *testing.T) {
	NewPrincipal(Credential{ID: "key_1", Tenant: DefaultTenant}, testCatalog()).Used(time.Now())
}
