package keys

import (
	"net/netip"
	"testing"
	"time"
)

// TestByIDAgreesWithAuthenticate: what whoever shows a credential's text is told, and what its id is
// explained with, are the same; neither proves anything to whoever only knows the id.
func TestByIDAgreesWithAuthenticate(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	for _, kind := range []Kind{APIKey, Client} {
		g := h.generate(NewCredential{Kind: kind})
		text, id := g.Secret.Reveal(), ""
		if kind == Client {
			id = string(g.Credential.ID)
		}
		agree := func(when string, want Code) {
			t.Helper()
			now := h.clock.Now()
			who, code := h.dir.Authenticate(Presented{Text: text, ClientID: id}, now)
			byID, byIDCode := h.dir.ByID(g.Credential.ID, now)
			if code != want || byIDCode != code || who == nil || byID == nil || byID.ID != who.ID {
				t.Errorf("%s %s: %v %q, by id %v %q, want %q", kind, when, who, code, byID, byIDCode, want)
			}
			if owner := h.dir.ByText(text); owner == nil || owner.ID != g.Credential.ID {
				t.Errorf("%s %s: by text %v", kind, when, owner)
			}
		}
		agree("new", Admitted)
		if _, err := h.registry.Revoke(t.Context(), operator(), g.Credential.ID, ""); err != nil {
			t.Fatal(err)
		}
		agree("revoked", CredentialRevoked)
	}
	if who, code := h.dir.ByID("key_000000000000", h.clock.Now()); who != nil || code != InvalidCredentials {
		t.Errorf("nobody's id: %v %q", who, code)
	}
	for _, text := range []string{"", "nonsense", "pst_live_000000000000_0000000000000000000000000000000000000000000000000"} {
		if who := h.dir.ByText(text); who != nil {
			t.Errorf("%q: by text %v", text, who)
		}
	}
	if who, code := NewDirectory(DirectoryOptions{}).ByID("key_000000000000", h.clock.Now()); who != nil || code != DirectoryUnavailable {
		t.Errorf("before it is loaded: %v %q", who, code)
	}
}

func TestMayExplain(t *testing.T) {
	h := newHouse(t)
	q := Question{Path: "/", Tenant: "whatever"}
	if got, err := h.registry.MayExplain(operator(), q); err != nil || got.Tenant != "" {
		t.Errorf("the provider: %+v, %v", got, err)
	}
	admin := Actor{Tenant: "acme", Permissions: permissions([]Permission{ExplainDecision})}
	if got, err := h.registry.MayExplain(admin, q); err != nil || got.Tenant != "acme" {
		t.Errorf("a tenant's administrator: %+v, %v", got, err)
	}
	admin.Permissions = permissions([]Permission{KeysReadAny})
	_, err := h.registry.MayExplain(admin, q)
	refused(t, err, PermissionDenied)
}

func TestFailuresPeek(t *testing.T) {
	f := NewFailures(3)
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	from := netip.MustParseAddr("192.0.2.1")
	for i := range 8 {
		peeked := f.Peek(from, now)
		if again := f.Peek(from, now); again != peeked {
			t.Fatalf("failure %d: looking changed %s to %s", i+1, peeked, again)
		}
		if got := f.Record(from, now); got != peeked {
			t.Errorf("failure %d: Record says %s, Peek said %s", i+1, got, peeked)
		}
		now = now.Add(11 * time.Second) // past the end of the minute in between
	}
	if f.Peek(netip.MustParseAddr("192.0.2.2"), now) != 0 {
		t.Error("an address that never failed has to wait")
	}
}
