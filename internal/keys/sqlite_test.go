package keys_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
	"postern/internal/store"
)

// node is a registry and a followed directory over a SQLite file, as the program connects them.
type node struct {
	registry  *keys.Registry
	directory *keys.Directory
	store     keys.Store
}

type installation struct {
	path    string
	vault   *keys.Vault
	format  keys.Format
	catalog *keys.Catalog
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	pepper, err := keys.NewPepper(nil)
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := keys.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{path: filepath.Join(t.TempDir(), "postern.db"), catalog: &keys.Catalog{
		APIs:  map[keys.APIName]keys.API{"orders": {Scopes: map[keys.Scope]string{"orders.read": ""}}},
		Plans: map[keys.PlanName]*keys.Plan{"standard": {Name: "standard"}},
		Policy: keys.Policy{
			KeysEnabled: true, DefaultPlan: "standard", MaxKeysPerTenant: keys.Unlimited, MaxKeysPerUser: keys.Unlimited,
			SecretVisibility: map[keys.Kind]keys.Visibility{keys.Client: keys.Revealable},
		},
	}}
	if in.vault, err = keys.OpenVault(pepper, keyset); err != nil {
		t.Fatal(err)
	}
	if in.format, err = keys.NewFormat("pst"); err != nil {
		t.Fatal(err)
	}
	return in
}

func (in *installation) start(t *testing.T) *node {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+in.path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := keys.NewDirectory(keys.DirectoryOptions{Store: s, Vault: in.vault, Format: in.format, Catalog: in.catalog, AcceptImported: true})
	r, err := keys.OpenRegistry(t.Context(), keys.RegistryOptions{Store: s, Vault: in.vault, Format: in.format, Catalog: in.catalog, Directory: d})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Follow(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return &node{registry: r, directory: d, store: s}
}

func (n *node) code(text, id string) keys.Code {
	_, code := n.directory.Authenticate(keys.Presented{Text: text, ClientID: id}, time.Now())
	return code
}

// intact checks that nothing the store handed out failed its MAC: what is sealed and what is read
// back must be the same to the bit.
func (n *node) intact(t *testing.T) {
	t.Helper()
	if forged := n.directory.Stats(time.Now()).Forged; forged != 0 {
		t.Errorf("%d rows do not authenticate", forged)
	}
}

func TestSQLiteLifeOfAKey(t *testing.T) {
	in := newInstallation(t)
	n := in.start(t)
	me := keys.LocalActor("test")
	expiry := keys.Lifetime{Months: 1}
	key, err := n.registry.Generate(t.Context(), me, keys.NewCredential{
		Name: "ci", Description: "two\nlines", APIs: []keys.APIName{"orders"}, Scopes: []keys.Scope{"orders.read"}, Expiry: &expiry,
		AllowedIPs: []string{"10.0.0.0/8", "2001:db8::1"}, Metadata: map[string]string{"ü": "\"x\""}, ExternalID: "e",
		ApplicationType: "public", RedirectURIs: []string{"https://a.example/"},
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := n.registry.Generate(t.Context(), me, keys.NewCredential{Kind: keys.Client, Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	clientID := string(client.Credential.ID)
	if n.code(key.Secret.Reveal(), "") != keys.Admitted || n.code(client.Secret.Reveal(), clientID) != keys.Admitted {
		t.Error("they do not work when Generate returns")
	}
	token, err := n.registry.CreateToken(t.Context(), me, keys.NewToken{Name: "bot", Roles: []keys.RoleName{keys.RoleOperator}, Expiry: &expiry})
	if err != nil {
		t.Fatal(err)
	}
	bot, err := n.registry.TokenActor(t.Context(), token.Secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	stored, err := n.registry.Credential(t.Context(), bot, client.Credential.ID)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := in.vault.Open(stored.Tenant, stored.ID, stored.Secrets[0].ID, stored.Secrets[0].Sealed)
	if err != nil || opened.Reveal() != client.Secret.Reveal() {
		t.Errorf("the stored secret opens to %q, %v", opened.Reveal(), err)
	}
	if _, err := n.registry.Revoke(t.Context(), bot, key.Credential.ID, "done"); err != nil {
		t.Fatal(err)
	}
	if got := n.code(key.Secret.Reveal(), ""); got != keys.CredentialRevoked {
		t.Errorf("when Revoke returns: %q", got)
	}
	n.intact(t)

	again := in.start(t)
	if got := again.code(key.Secret.Reveal(), ""); got != keys.CredentialRevoked {
		t.Errorf("after a restart: %q", got)
	}
	if got := again.code(client.Secret.Reveal(), clientID); got != keys.Admitted {
		t.Errorf("after a restart: %q", got)
	}
	again.intact(t)

	entries, err := n.store.AuditEntries(t.Context(), "default", 0, 100)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d audit entries, %v; want 3", len(entries), err)
	}
	var last keys.AuditEntry
	for _, e := range entries {
		if !in.vault.AuditIntact(last, &e) {
			t.Errorf("entry %d is broken", e.Seq)
		}
		last = e
	}
}

func TestSQLiteDeclaresManyAndFollowsOtherNodes(t *testing.T) {
	const count = 1200 // more than the store reads at once
	in := newInstallation(t)
	a := in.start(t)
	b := in.start(t)
	var ds []keys.Declared
	for i := range count {
		ds = append(ds, keys.Declared{
			Name: fmt.Sprintf("k%04d", i), Hash: sha256.Sum256(fmt.Appendf(nil, "text %d", i)), APIs: []keys.APIName{"orders"},
			ExpiresAt: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), Where: fmt.Sprintf("gateway.yaml:%d", i),
		})
	}
	everywhere := func(when string, first, last keys.Code) {
		t.Helper()
		head, err := a.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := b.directory.WaitApplied(ctx, head); err != nil {
			t.Fatal(err)
		}
		for name, n := range map[string]*node{"declaring node": a, "other node": b, "restarted node": in.start(t)} {
			if got := n.code("text 0", ""); got != first {
				t.Errorf("%s, %s: the first key gets %q, want %q", when, name, got, first)
			}
			if got := n.code(fmt.Sprintf("text %d", count-1), ""); got != last {
				t.Errorf("%s, %s: the last key gets %q, want %q", when, name, got, last)
			}
			n.intact(t)
		}
	}
	declare := func(ds []keys.Declared) {
		t.Helper()
		if err := a.registry.Declare(t.Context(), ds); err != nil {
			t.Fatal(err)
		}
	}
	declare(ds)
	everywhere("declared", keys.Admitted, keys.Admitted)
	head, _ := a.store.Head(t.Context())
	declare(ds)
	if now, _ := a.store.Head(t.Context()); now != head {
		t.Errorf("the same list wrote changes %d to %d", head+1, now)
	}
	declare(ds[1:])
	everywhere("without the first", keys.InvalidCredentials, keys.Admitted)
	if _, err := a.registry.Revoke(t.Context(), keys.LocalActor("test"), keys.DeclaredID(keys.APIKey, "default", ds[count-1].Name), ""); err != nil {
		t.Fatal(err)
	}
	declare(ds)
	everywhere("with the first again, the last revoked", keys.Admitted, keys.CredentialRevoked)
	if err := b.registry.Declare(t.Context(), ds); err != nil {
		t.Errorf("declared by another node: %v", err)
	}
}

func TestSQLiteRevokedKeyDoesNotComeBack(t *testing.T) {
	in := newInstallation(t)
	me := keys.LocalActor("test")
	ci := keys.Declared{Name: "ci", Hash: sha256.Sum256([]byte("text")), Where: "gateway.yaml:4"}
	renamed := ci
	renamed.Name = "ci2"
	n := in.start(t)
	if err := n.registry.Declare(t.Context(), []keys.Declared{ci}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.registry.Revoke(t.Context(), me, keys.DeclaredID(keys.APIKey, "default", "ci"), "leaked"); err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]keys.Declared{{renamed}, {}, {renamed}} {
		again := in.start(t)
		err := again.registry.Declare(t.Context(), list)
		if len(list) == 0 && err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 && (!errors.Is(err, keys.ErrDuplicate) || !strings.Contains(err.Error(), `"ci"`) || !strings.Contains(err.Error(), "new secret")) {
			t.Errorf("declared under another name: got error %v", err)
		}
		if got := again.code("text", ""); got != keys.CredentialRevoked && got != keys.InvalidCredentials {
			t.Errorf("the revoked key gets %q", got)
		}
	}
	renamed.Hash = sha256.Sum256([]byte("new text"))
	again := in.start(t)
	if err := again.registry.Declare(t.Context(), []keys.Declared{renamed, ci}); err != nil {
		t.Fatal(err)
	}
	if got := again.code("new text", ""); got != keys.Admitted {
		t.Errorf("the new secret gets %q", got)
	}
	if got := again.code("text", ""); got != keys.CredentialRevoked {
		t.Errorf("the revoked key under its own name gets %q", got)
	}
	again.intact(t)
}

func TestSQLiteRefusesAnotherPepper(t *testing.T) {
	in := newInstallation(t)
	n := in.start(t)
	other := newInstallation(t)
	_, err := keys.OpenRegistry(t.Context(), keys.RegistryOptions{Store: n.store, Vault: other.vault, Format: in.format, Catalog: in.catalog})
	if !errors.Is(err, keys.ErrForeignPepper) {
		t.Errorf("got %v", err)
	}
}
