package keys

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAuthenticateAnswersWithThePrincipal(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{
		APIs: []APIName{"orders"}, Scopes: []Scope{"bills.read"}, AllowedIPs: []string{"192.0.2.0/24"}, Test: true,
		Expiry: &Lifetime{For: time.Hour},
	})
	p, code := h.dir.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now())
	if code != Admitted {
		t.Fatalf("code %q, want admitted", code)
	}
	if p.ID != g.Credential.ID || p.Kind != APIKey || p.Tenant != "default" || p.Owner != "tenant:default" || !p.Test ||
		!p.ExpiresAt().Equal(g.Credential.ExpiresAt) || p.PlanName() != "standard" || p.Plan() != h.catalog.Plans["standard"] {
		t.Errorf("principal %+v, plan %v", p, p.Plan())
	}
	if diff := cmp.Diff([]string{"192.0.2.0/24"}, prefixes(p.AllowedIPs)); diff != "" {
		t.Error(diff)
	}
	r := p.Rights()
	if r.Header != "bills.read orders.read orders.write" {
		t.Errorf("scopes %q", r.Header)
	}
	for scope, want := range map[Scope]bool{"orders.read": true, "bills.read": true, "bills.pay": false, "": false} {
		if r.Has(scope) != want {
			t.Errorf("Has(%s) = %t", scope, !want)
		}
	}
	for api, want := range map[APIName]bool{"orders": true, "bills": true, "other": false} {
		if r.HoldsAPI(api) != want {
			t.Errorf("HoldsAPI(%s) = %t", api, !want)
		}
	}
}

func prefixes(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

func TestAuthenticateByWhatIsPresented(t *testing.T) {
	h := newHouse(t)
	key := h.generate(NewCredential{Kind: APIKey})
	other := h.generate(NewCredential{Kind: APIKey})
	client := h.generate(NewCredential{Kind: Client})
	token, err := h.registry.CreateToken(t.Context(), operator(), NewToken{Name: "t", Roles: []RoleName{RoleOperator}})
	if err != nil {
		t.Fatal(err)
	}
	_, unknownKey, _ := h.format.NewKey(nil, false)
	_, unknownSecret, _ := h.format.NewClientSecret(nil)
	for _, c := range []struct {
		name, text, id string
		want           Code
	}{
		{"key", key.Secret.Reveal(), "", Admitted},
		{"key with its id", key.Secret.Reveal(), string(key.Credential.ID), Admitted},
		{"key with another key's id", key.Secret.Reveal(), string(other.Credential.ID), InvalidCredentials},
		{"key with a client's id", key.Secret.Reveal(), string(client.Credential.ID), InvalidCredentials},
		{"key with half its id", key.Secret.Reveal(), string(key.Credential.ID)[4:], InvalidCredentials},
		{"client", client.Secret.Reveal(), string(client.Credential.ID), Admitted},
		{"client without id", client.Secret.Reveal(), "", InvalidCredentials},
		{"client with another id", client.Secret.Reveal(), "app_000000000000", InvalidCredentials},
		{"client with a key's id", client.Secret.Reveal(), string(key.Credential.ID), InvalidCredentials},
		{"admin token", token.Secret.Reveal(), "", InvalidCredentials},
		{"unknown key", unknownKey.Reveal(), "", InvalidCredentials},
		{"unknown key with a known id", unknownKey.Reveal(), string(key.Credential.ID), InvalidCredentials},
		{"unknown secret of a known client", unknownSecret.Reveal(), string(client.Credential.ID), InvalidCredentials},
		{"empty", "", "", InvalidCredentials},
		{"id as text", string(key.Credential.ID), "", InvalidCredentials},
		{"not our form", "hunter2", "", InvalidCredentials},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, code := h.dir.Authenticate(Presented{Text: c.text, ClientID: c.id}, h.clock.Now())
			if code != c.want {
				t.Errorf("got %q, want %q", code, c.want)
			}
			if (p != nil) != (code == Admitted) {
				t.Errorf("principal %v beside %q", p, code)
			}
		})
	}
}

func TestNoEditOfAValidTextIsAdmitted(t *testing.T) {
	h := newHouse(t)
	h.dir.SetAcceptImported(true) // the checksum must not be all that stands in the way
	key := h.generate(NewCredential{})
	n := 0
	edits(key.Secret.Reveal(), func(how, text string) {
		n++
		if p, code := h.dir.Authenticate(Presented{Text: text}, h.clock.Now()); code != InvalidCredentials || p != nil {
			t.Errorf("%s: %q gets %q", how, text, code)
		}
	})
	if n < 5000 {
		t.Errorf("only %d edits tried", n)
	}
}

func TestStatesAnswerTheirCode(t *testing.T) {
	h := newHouse(t)
	end := &Lifetime{For: time.Hour}
	for _, c := range []struct {
		name string
		edit func(*Credential)
		want Code
	}{
		{"active", func(*Credential) {}, Admitted},
		{"pending", func(c *Credential) { c.Status = Pending }, CredentialPending},
		{"suspended", func(c *Credential) { c.Status = Suspended }, CredentialSuspended},
		{"revoked", func(c *Credential) { c.Status = Revoked }, CredentialRevoked},
		{"denied", func(c *Credential) { c.Status = Denied }, CredentialDenied},
		{"expired", func(c *Credential) { c.ExpiresAt = h.clock.Now() }, CredentialExpired},
		{"a microsecond left", func(c *Credential) { c.ExpiresAt = h.clock.Now().Add(time.Microsecond) }, Admitted},
		{"revoked and expired", func(c *Credential) { c.Status, c.ExpiresAt = Revoked, h.clock.Now() }, CredentialRevoked},
		{"suspended and expired", func(c *Credential) { c.Status, c.ExpiresAt = Suspended, h.clock.Now() }, CredentialSuspended},
		{"unknown status", func(c *Credential) { c.Status = "golden" }, CredentialDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := h.generate(NewCredential{Expiry: end})
			before, _ := h.dir.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now())
			h.change(g.Credential.ID, c.edit)
			p, code := h.dir.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now())
			if code != c.want {
				t.Errorf("got %q, want %q", code, c.want)
			}
			if p == nil || p.ID != g.Credential.ID {
				t.Error("possession was proved, but there is no principal")
			}
			for _, p := range []*Principal{p, before} {
				if got := h.dir.Recheck(Presented{Text: g.Secret.Reveal()}, p, h.clock.Now()); got != c.want {
					t.Errorf("Recheck: got %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestDeletedIsUnknown(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	p, _ := h.dir.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now())
	h.change(g.Credential.ID, func(c *Credential) { c.DeletedAt, c.Secrets = h.clock.Now(), nil })
	if got := h.code(g.Secret.Reveal(), ""); got != InvalidCredentials {
		t.Errorf("got %q, want invalid", got)
	}
	if got := h.dir.Recheck(Presented{Text: g.Secret.Reveal()}, p, h.clock.Now()); got != InvalidCredentials {
		t.Errorf("a call of a deleted key that waited gets %q", got)
	}
}

func TestRecheckSeesAReplacedSecret(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	shown := Presented{Text: g.Secret.Reveal()}
	p, _ := h.dir.Authenticate(shown, h.clock.Now())
	h.change(g.Credential.ID, func(c *Credential) { c.Name = "renamed" })
	if got := h.dir.Recheck(shown, p, h.clock.Now()); got != Admitted {
		t.Errorf("after another change: %q", got)
	}
	_, next, _ := h.format.NewKey(nil, false)
	h.change(g.Credential.ID, func(c *Credential) { c.Secrets[0].Digest = h.vault.Digest(next.Reveal()) })
	if got := h.dir.Recheck(shown, p, h.clock.Now()); got != InvalidCredentials {
		t.Errorf("after the secret was replaced: %q", got)
	}
}

func TestRolloverHasTwoSecrets(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	_, second, _ := h.format.NewKey(nil, false)
	oldEnds := h.clock.Now().Add(time.Hour)
	h.change(g.Credential.ID, func(c *Credential) {
		c.Secrets[0].ExpiresAt = oldEnds
		c.Secrets = append(c.Secrets, StoredSecret{ID: "second", Digest: h.vault.Digest(second.Reveal()), Pepper: 1})
	})
	check := func(when string, old, next Code) {
		t.Helper()
		if got := h.code(g.Secret.Reveal(), ""); got != old {
			t.Errorf("%s: old secret %q, want %q", when, got, old)
		}
		if got := h.code(second.Reveal(), ""); got != next {
			t.Errorf("%s: new secret %q, want %q", when, got, next)
		}
	}
	check("during the rollover", Admitted, Admitted)
	h.clock.advance(time.Hour)
	check("after the old one's end", CredentialExpired, Admitted)
	h.change(g.Credential.ID, func(c *Credential) { c.Secrets = c.Secrets[1:] })
	check("after the old one is gone", InvalidCredentials, Admitted)
	h.change(g.Credential.ID, func(c *Credential) { c.Status = Revoked })
	check("revoked", InvalidCredentials, CredentialRevoked)
}

func TestTenantDecidesForAllItsKeys(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	g := h.generate(NewCredential{Tenant: "acme"})
	revoked := h.generate(NewCredential{Tenant: "acme"})
	if _, err := h.registry.Revoke(t.Context(), operator(), revoked.Credential.ID, ""); err != nil {
		t.Fatal(err)
	}
	stays := h.generate(NewCredential{})
	yes, no := true, false
	for _, c := range []struct {
		name string
		edit func(*Tenant)
		want Code
	}{
		{"as made", func(*Tenant) {}, Admitted},
		{"switched off", func(t *Tenant) { t.Settings.KeysEnabled = &no }, KeysDisabled},
		{"switched on", func(t *Tenant) { t.Settings.KeysEnabled = &yes }, Admitted},
		{"plan with keys", func(t *Tenant) { t.Plan = "business" }, Admitted},
		{"plan without keys", func(t *Tenant) { t.Plan = "trial" }, PlanNotEligible},
		{"plan that is not configured", func(t *Tenant) { t.Plan = "gone" }, PlanNotEligible},
		{"off beats plan", func(t *Tenant) { t.Plan, t.Settings.KeysEnabled = "trial", &no }, KeysDisabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.tenant("acme", c.edit)
			if got := h.code(g.Secret.Reveal(), ""); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := h.code(revoked.Secret.Reveal(), ""); got != CredentialRevoked {
				t.Errorf("a revoked key gets %q: its own state must come first", got)
			}
			if got := h.code(stays.Secret.Reveal(), ""); got != Admitted {
				t.Errorf("another tenant's key gets %q", got)
			}
		})
	}
}

func TestUnknownTenantLetsNobodyIn(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	h.change(g.Credential.ID, func(c *Credential) { c.Tenant = "nowhere" })
	if got := h.code(g.Secret.Reveal(), ""); got != KeysDisabled {
		t.Errorf("got %q, want keys_disabled", got)
	}
	h.tenant("nowhere", nil)
	if got := h.code(g.Secret.Reveal(), ""); got != Admitted {
		t.Errorf("after the tenant came: got %q", got)
	}
}

func TestCatalogSwapReachesEveryKey(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", func(t *Tenant) { t.Plan = "trial" })
	h.setCatalog(func(c *Catalog) { c.TenantPlans["trial"] = TenantPlan{Keys: true} })
	g := h.generate(NewCredential{Tenant: "acme", APIs: []APIName{"orders"}, Scopes: []Scope{"bills.pay"}})
	p, code := h.dir.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now())
	if code != Admitted {
		t.Fatal(code)
	}
	before := p.Rights()
	fresh := &Plan{Name: "standard"}
	h.setCatalog(func(c *Catalog) {
		c.TenantPlans["trial"] = TenantPlan{Keys: true}
		c.APIs = map[APIName]API{"orders": {Scopes: map[Scope]string{"orders.read": "", "orders.list": ""}}}
		c.Plans = map[PlanName]*Plan{"standard": fresh}
	})
	if p.Plan() != fresh {
		t.Error("the plan in force is the old one")
	}
	if got := p.Rights().Header; got != "orders.list orders.read" {
		t.Errorf("scopes %q: want the API's present ones, without the scope that is gone", got)
	}
	if before.Header != "bills.pay orders.read orders.write" {
		t.Errorf("the rights handed out before changed to %q", before.Header)
	}
	if p.Rights().HoldsAPI("bills") {
		t.Error("an API that is gone is still held")
	}
	h.setCatalog(func(c *Catalog) {
		c.Plans = nil
		c.TenantPlans["trial"] = TenantPlan{Keys: true}
	})
	if p.Plan() != nil || p.PlanName() != "standard" {
		t.Errorf("a plan that is gone is still in force: %v", p.Plan())
	}
	h.setCatalog(func(c *Catalog) { c.TenantPlans["trial"] = TenantPlan{Keys: false} })
	if got := h.code(g.Secret.Reveal(), ""); got != PlanNotEligible {
		t.Errorf("got %q, want plan_not_eligible", got)
	}
	h.setCatalog(func(c *Catalog) {
		c.Policy.KeysEnabled = false
		c.TenantPlans["trial"] = TenantPlan{Keys: true}
	})
	if got := h.code(g.Secret.Reveal(), ""); got != KeysDisabled {
		t.Errorf("got %q, want keys_disabled", got)
	}
}

func TestForgedRowsLetNobodyIn(t *testing.T) {
	h := newHouse(t)
	var logged bytes.Buffer
	h.dir.log = slog.New(slog.NewTextHandler(&logged, nil))
	attacker := "pst_live_attacker"
	for name, forge := range map[string]func(*Credential){
		"more scopes":           func(c *Credential) { c.Scopes = []Scope{"bills.pay"} },
		"other digest":          func(c *Credential) { c.Secrets[0].Digest = h.vault.Digest(attacker) },
		"a later end":           func(c *Credential) { c.ExpiresAt = time.Time{} },
		"a huge version":        func(c *Credential) { c.Version = 1 << 60 },
		"a MAC of another row":  func(c *Credential) { c.Secrets, c.ID = nil, "key_copied000000" },
		"a tombstone":           func(c *Credential) { c.DeletedAt, c.Version = h.clock.Now(), 1<<60 },
		"no secrets of its own": func(c *Credential) { c.Secrets[0].ID = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			g := h.generate(NewCredential{Expiry: &Lifetime{For: time.Hour}})
			secret := g.Secret.Reveal()
			authentic := g.Credential
			forged := h.dir.forged.count.Load()
			c := copyCredential(authentic)
			forge(&c)
			h.store.forge(c.ID, func(stored *Credential) { *stored = c })
			h.wait(h.store.newest())
			if got := h.code(attacker, ""); got != InvalidCredentials {
				t.Errorf("the attacker's text gets %q", got)
			}
			if p, code := h.dir.Authenticate(Presented{Text: secret}, h.clock.Now()); code == Admitted && p.Rights().Has("bills.pay") {
				t.Error("the forged scopes are in force")
			}
			if got := h.dir.Stats(h.clock.Now()).Forged; got != forged+1 {
				t.Errorf("forged rows counted: %d, want %d", got, forged+1)
			}
			// The administrator puts the row back, and then changes it.
			h.store.forge(authentic.ID, func(stored *Credential) { *stored = authentic })
			h.wait(h.store.newest())
			h.change(authentic.ID, func(c *Credential) { c.Name = "renamed" })
			if got := h.code(secret, ""); got != Admitted {
				t.Errorf("after the authentic row came back: %q", got)
			}
		})
	}
	if n := strings.Count(logged.String(), "does not authenticate"); n != 7 {
		t.Errorf("%d log lines, want one for each row:\n%s", n, logged.String())
	}
	if strings.Contains(logged.String(), "pst_live") {
		t.Error("a text is in the log")
	}
}

func TestForgedRowIsLoggedOnce(t *testing.T) {
	h := newHouse(t)
	var logged bytes.Buffer
	h.dir.log = slog.New(slog.NewTextHandler(&logged, nil))
	g := h.generate(NewCredential{})
	for range 5 {
		h.store.forge(g.Credential.ID, func(c *Credential) { c.MAC[0]++ })
		h.wait(h.store.newest())
	}
	if n := strings.Count(logged.String(), string(g.Credential.ID)); n != 1 {
		t.Errorf("%d log lines, want 1:\n%s", n, logged.String())
	}
	if got := h.dir.Stats(h.clock.Now()).Forged; got < 1 {
		t.Errorf("forged %d", got)
	}
}

func TestForeignPepperLetsNobodyIn(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	other := NewDirectory(DirectoryOptions{Store: h.store, Vault: testVault(t), Format: h.format, Catalog: h.catalog, Now: h.clock.Now})
	if err := other.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, code := other.Authenticate(Presented{Text: g.Secret.Reveal()}, h.clock.Now()); code != InvalidCredentials {
		t.Errorf("got %q", code)
	}
	if got := other.Stats(h.clock.Now()); got.Forged != 1 || got.ByStatus[Active] != 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestOldPepperStillFindsItsKeys(t *testing.T) {
	h := newHouse(t)
	first := "1:" + samplePepper + "\n"
	store := newFakeStore()
	open := func(pepper string) (*Registry, *Directory) {
		v := vaultOf(t, pepper)
		r, err := OpenRegistry(t.Context(), RegistryOptions{Store: store, Vault: v, Format: h.format, Catalog: h.catalog})
		if err != nil {
			t.Fatal(err)
		}
		d := NewDirectory(DirectoryOptions{Store: store, Vault: v, Format: h.format, Catalog: h.catalog})
		if err := d.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r, d
	}
	r, _ := open(first)
	g, err := r.Generate(t.Context(), operator(), NewCredential{Name: "old"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := r.CreateToken(t.Context(), operator(), NewToken{Name: "old", Roles: []RoleName{RoleViewer}})
	if err != nil {
		t.Fatal(err)
	}
	r, d := open(first + "2:" + strings.Repeat("QUJD", 10) + "QUI=")
	if _, code := d.Authenticate(Presented{Text: g.Secret.Reveal()}, time.Now()); code != Admitted {
		t.Errorf("a key of the old pepper gets %q", code)
	}
	if _, err := r.TokenActor(t.Context(), token.Secret.Reveal()); err != nil {
		t.Errorf("a token of the old pepper gets %v", err)
	}
	second, err := r.Generate(t.Context(), operator(), NewCredential{Name: "new"})
	if err != nil {
		t.Fatal(err)
	}
	if second.Credential.Secrets[0].Pepper != 2 {
		t.Errorf("a new key is under pepper %d", second.Credential.Secrets[0].Pepper)
	}
	// Opening with the new file moved the canary, so the old pepper may leave now.
	if got, _ := store.Meta(t.Context(), pepperCanary); !strings.HasPrefix(string(got), "2:") {
		t.Errorf("canary %.10s", got)
	}
}

func TestImportedTexts(t *testing.T) {
	store := newFakeStore()
	v, f := testVault(t), testFormat(t)
	r, err := OpenRegistry(t.Context(), RegistryOptions{Store: store, Vault: v, Format: f, Catalog: testCatalog()})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("k", 10_000)
	err = r.Declare(t.Context(), []Declared{
		{Name: "short", Hash: sha256.Sum256([]byte("hunter2"))},
		{Name: "long", Hash: sha256.Sum256([]byte(long))},
		{Name: "client", Kind: Client, Hash: sha256.Sum256([]byte("s3cret"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	app := string(DeclaredID(Client, DefaultTenant, "client"))
	for _, c := range []struct {
		name, text, id string
		accept         bool
		want           Code
	}{
		{"off", "hunter2", "", false, InvalidCredentials},
		{"on", "hunter2", "", true, Admitted},
		{"on, long", long, "", true, Admitted},
		{"on, unknown", "hunter3", "", true, InvalidCredentials},
		{"on, empty", "", "", true, InvalidCredentials},
		{"on, client", "s3cret", app, true, Admitted},
		{"on, client without id", "s3cret", "", true, InvalidCredentials},
		{"on, client with a key's id", "s3cret", string(DeclaredID(APIKey, DefaultTenant, "client")), true, InvalidCredentials},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDirectory(DirectoryOptions{Store: store, Vault: v, Format: f, Catalog: testCatalog(), AcceptImported: c.accept})
			if err := d.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, code := d.Authenticate(Presented{Text: c.text, ClientID: c.id}, time.Now()); code != c.want {
				t.Errorf("got %q, want %q", code, c.want)
			}
		})
	}
}

func TestUnknownTextsCauseNoRead(t *testing.T) {
	h := newHouse(t)
	h.generate(NewCredential{})
	reads := h.store.readsSoFar()
	_, text, _ := h.format.NewKey(nil, false)
	for range 1000 {
		if got := h.code(text.Reveal(), ""); got != InvalidCredentials {
			t.Fatal(got)
		}
	}
	if got := h.store.readsSoFar(); got != reads {
		t.Errorf("%d reads of the store", got-reads)
	}
}

func TestReady(t *testing.T) {
	h := newHouse(t)
	empty := NewDirectory(DirectoryOptions{Store: h.store, Vault: h.vault, Format: h.format, Catalog: h.catalog, Now: h.clock.Now})
	if err := empty.Ready(h.clock.Now()); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("before Load: %v", err)
	}
	if _, code := empty.Authenticate(Presented{Text: "x"}, h.clock.Now()); code != DirectoryUnavailable {
		t.Errorf("before Load: %q", code)
	}
	failing := errors.New("unreachable")
	h.store.breakWith(failing)
	if err := empty.Load(t.Context()); !errors.Is(err, failing) {
		t.Errorf("Load: %v", err)
	}
	if err := empty.Ready(h.clock.Now()); err == nil {
		t.Error("ready after a failed Load")
	}
	h.store.breakWith(nil)

	now := h.clock.Now()
	h.dir.lastRead.Store(&instantRead{at: now})
	if err := h.dir.Ready(now.Add(time.Hour)); err != nil {
		t.Errorf("at max_stale: %v", err)
	}
	if err := h.dir.Ready(now.Add(time.Hour + time.Nanosecond)); !errors.Is(err, ErrStale) {
		t.Errorf("past max_stale: %v", err)
	}
	g := h.generate(NewCredential{})
	h.dir.lastRead.Store(&instantRead{at: now})
	if _, code := h.dir.Authenticate(Presented{Text: g.Secret.Reveal()}, now.Add(2*time.Hour)); code != DirectoryUnavailable {
		t.Errorf("past max_stale: %q", code)
	}
	if code := h.dir.Recheck(Presented{Text: g.Secret.Reveal()}, &Principal{ID: g.Credential.ID}, now.Add(2*time.Hour)); code != DirectoryUnavailable {
		t.Errorf("Recheck past max_stale: %q", code)
	}
}

func TestOlderVersionsNeverWin(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	first := copyCredential(g.Credential)
	if _, err := h.registry.Revoke(t.Context(), operator(), first.ID, ""); err != nil {
		t.Fatal(err)
	}
	h.dir.apply(&first)
	if got := h.code(g.Secret.Reveal(), ""); got != CredentialRevoked {
		t.Errorf("an older change resurrected the key: %q", got)
	}
	h.change(first.ID, func(c *Credential) { c.DeletedAt, c.Secrets = h.clock.Now(), nil })
	h.dir.apply(&first)
	if got := h.code(g.Secret.Reveal(), ""); got != InvalidCredentials {
		t.Errorf("an older change resurrected a deleted key: %q", got)
	}
	if err := h.dir.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.dir.apply(&first)
	if got := h.code(g.Secret.Reveal(), ""); got != InvalidCredentials {
		t.Errorf("after another Load: %q", got)
	}
	tenant := h.store.tenants["default"]
	off := false
	h.tenant("default", func(t *Tenant) { t.Settings.KeysEnabled = &off })
	h.dir.policy.setTenant(tenant)
	other := h.code(h.generateIn(t).Secret.Reveal(), "")
	if other != KeysDisabled {
		t.Errorf("an older tenant record won: %q", other)
	}
}

// generateIn makes a key while the tenant's switch is off, by way of a registry that thinks it on.
func (h *house) generateIn(t *testing.T) Generated {
	t.Helper()
	g, err := h.registry.withSecret(Credential{Kind: APIKey, Tenant: "default", Status: Active, Plan: "standard", Version: 1, Owner: Owner{Type: OwnerTenant, ID: "default"}}, h.registry.catalog.Load().Policy)
	if err != nil {
		t.Fatal(err)
	}
	h.dir.apply(&g.Credential)
	return g
}

func TestSharedRightsAreGivenBack(t *testing.T) {
	h := newHouse(t)
	table := func() int {
		h.dir.policy.mu.Lock()
		defer h.dir.policy.mu.Unlock()
		return len(h.dir.policy.rights)
	}
	before := table()
	var made []Generated
	for range 10 {
		made = append(made, h.generate(NewCredential{APIs: []APIName{"orders"}}), h.generate(NewCredential{Scopes: []Scope{"bills.pay"}}))
	}
	if got := table(); got != before+2 {
		t.Errorf("%d combinations kept for 20 keys, want %d", got, before+2)
	}
	for _, g := range made {
		h.change(g.Credential.ID, func(c *Credential) { c.Name = "again" })
		h.dir.apply(&g.Credential) // late, ignored
		h.change(g.Credential.ID, func(c *Credential) { c.DeletedAt, c.Secrets = h.clock.Now(), nil })
	}
	if got := table(); got != before {
		t.Errorf("%d combinations kept after all keys are gone, want %d", got, before)
	}
}

func TestStatsCountByStatus(t *testing.T) {
	h := newHouse(t)
	h.generate(NewCredential{})
	h.generate(NewCredential{Expiry: &Lifetime{For: time.Minute}})
	for _, status := range []Status{Pending, Suspended, Revoked, Denied} {
		g := h.generate(NewCredential{})
		h.change(g.Credential.ID, func(c *Credential) { c.Status = status })
	}
	want := map[Status]int{Active: 2, Pending: 1, Suspended: 1, Revoked: 1, Denied: 1, Expired: 0}
	if diff := cmp.Diff(want, h.dir.Stats(h.clock.Now()).ByStatus); diff != "" {
		t.Error(diff)
	}
	h.clock.advance(time.Minute)
	want[Active], want[Expired] = 1, 1
	stats := h.dir.Stats(h.clock.Now())
	if diff := cmp.Diff(want, stats.ByStatus); diff != "" {
		t.Error(diff)
	}
	if stats.Applied != h.store.newest() || stats.Lag < 0 {
		t.Errorf("stats %+v, store at %d", stats, h.store.newest())
	}
}

func TestNewPrincipalStandsAlone(t *testing.T) {
	cat := testCatalog()
	p := NewPrincipal(Credential{ID: "key_a", Tenant: "acme", Owner: Owner{Type: OwnerUser, ID: "usr_1"}, Plan: "partner", APIs: []APIName{"bills"}}, cat)
	if p.Owner != "usr_1" || p.Plan() != cat.Plans["partner"] || !p.Rights().Has("bills.pay") {
		t.Errorf("%+v", p)
	}
	bare := &Principal{}
	if bare.Plan() != nil || bare.PlanName() != "" || bare.Rights().Has("x") || bare.Rights().HoldsAPI("x") {
		t.Error("the zero principal holds something")
	}
	var none *Rights
	if none.Has("") || none.HoldsAPI("") {
		t.Error("nil rights hold something")
	}
}

func TestDirectoryWithoutStore(t *testing.T) {
	d := NewDirectory(DirectoryOptions{Format: testFormat(t), Catalog: testCatalog(), MaxStale: time.Nanosecond})
	if err := d.Load(t.Context()); err == nil {
		t.Error("Load without a store works")
	}
	if err := d.Ready(time.Now()); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("before LoadDeclared: %v", err)
	}
	_, live, _ := d.format.NewKey(nil, false)
	_, test, _ := d.format.NewKey(nil, true)
	code := func(s Secret) Code {
		_, code := d.Authenticate(Presented{Text: s.Reveal()}, time.Now())
		return code
	}
	hash := func(s Secret) [32]byte { return sha256.Sum256([]byte(s.Reveal())) }
	load := func(ds ...Declared) {
		t.Helper()
		if err := d.LoadDeclared(ds); err != nil {
			t.Fatal(err)
		}
	}
	load(Declared{Name: "ci", Hash: hash(live), APIs: []APIName{"orders"}}, Declared{Name: "t", Hash: hash(test), Tenant: "acme", Plan: "partner"})
	if code(live) != Admitted || code(test) != Admitted {
		t.Errorf("declared keys get %q, %q", code(live), code(test))
	}
	p, _ := d.Authenticate(Presented{Text: live.Reveal()}, time.Now())
	if p.ID != DeclaredID(APIKey, DefaultTenant, "ci") || p.PlanName() != "standard" || p.Test {
		t.Errorf("%+v with plan %s", p, p.PlanName())
	}
	if p, _ := d.Authenticate(Presented{Text: test.Reveal()}, time.Now()); !p.Test || p.Tenant != "acme" || p.PlanName() != "partner" {
		t.Errorf("a declared test key: %+v with plan %s", p, p.PlanName())
	}
	if err := d.Ready(time.Now().Add(1000 * time.Hour)); err != nil {
		t.Errorf("without a store nothing gets stale: %v", err)
	}
	if err := d.WaitApplied(t.Context(), 99); err != nil {
		t.Errorf("WaitApplied: %v", err)
	}
	// Reload: one leaves, one changes its name and keeps its secret.
	load(Declared{Name: "renamed", Hash: hash(live)})
	if code(live) != Admitted || code(test) != InvalidCredentials {
		t.Errorf("after reload: %q, %q", code(live), code(test))
	}
	// It comes back with an end in the past; the other gets a new secret.
	_, fresh, _ := d.format.NewKey(nil, false)
	load(Declared{Name: "t", Hash: hash(test), ExpiresAt: time.Unix(1, 0)}, Declared{Name: "renamed", Hash: hash(fresh)})
	if code(test) != CredentialExpired || code(live) != InvalidCredentials || code(fresh) != Admitted {
		t.Errorf("after the second reload: %q, %q, %q", code(test), code(live), code(fresh))
	}
	if err := d.LoadDeclared([]Declared{{Name: "bad"}}); err == nil {
		t.Error("a declaration without a hash is taken")
	}
	if code(fresh) != Admitted {
		t.Error("a bad reload took the good keys away")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Follow(ctx); err != nil {
		t.Errorf("Follow: %v", err)
	}
	if err := newHouse(t).dir.LoadDeclared(nil); err == nil {
		t.Error("LoadDeclared works beside a store")
	}
}

func TestDigestCollisionsAreToldApart(t *testing.T) {
	var x digestIndex
	// Four entries whose digests share the map's key and shard.
	digest := func(n byte) Digest {
		d := Digest{1, 2, 3, 4, 5, 6, 7, 8, 9}
		d[31] = n
		return d
	}
	var all []*entry
	for n := range byte(4) {
		e := &entry{version: int64(n), first: entrySecret{digest: digest(n)}}
		all = append(all, e)
		x.replace(nil, e)
	}
	find := func(n byte) *entry {
		d := digest(n)
		e, _ := x.find(&d)
		return e
	}
	for n := range byte(4) {
		if find(n) != all[n] {
			t.Errorf("entry %d is not found", n)
		}
	}
	if find(9) != nil {
		t.Error("a digest of nobody finds somebody")
	}
	next := &entry{first: entrySecret{digest: digest(2)}, second: &secondSecret{entrySecret: entrySecret{digest: digest(7)}}}
	x.replace(all[2], next)
	if find(2) != next || find(7) != next {
		t.Error("the replacement is not found by both digests")
	}
	x.replace(all[0], nil)
	if find(0) != nil || find(1) != all[1] || find(2) != next || find(3) != all[3] {
		t.Error("dropping one hurt another")
	}
	for _, e := range []*entry{all[1], next, all[3]} {
		x.replace(e, nil)
	}
	shard, _ := x.at(&Digest{1, 2, 3, 4, 5, 6, 7, 8, 9})
	shard.table.each(func(e *entry) { t.Errorf("left behind: %v", e.first.digest) })
	buckets := *shard.table.buckets.Load()
	for i := range buckets {
		if n := buckets[i].passed.Load(); n != 0 || shard.table.held != 0 {
			t.Errorf("bucket %d was passed by %d, and %d are held, want none", i, n, shard.table.held)
		}
	}
}
