package keys_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"postern/internal/keys"
	"postern/internal/store"
)

// town is a whole domain over SQLite with people in it, and a clock that the test moves.
type town struct {
	t        *testing.T
	registry *keys.Registry
	dir      *keys.Directory
	store    *store.Store
	vault    *keys.Vault
	catalog  *keys.Catalog
	mu       sync.Mutex
	now      time.Time
	waited   []time.Duration // how long sign-ins were held up
}

const goodPassword = "correct horse battery"

// cheapHash is a hash of goodPassword at a cost that a test can pay many times over: a PHC string carries
// its own.
const cheapHash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdCBmb3IgYSB0ZXN0Lg$G3wyzwIqJVLFkiuWtV7iBOyY0oi4F4QwDry/uDfP+Os"

var here = keys.Caller{Address: netip.MustParseAddr("192.0.2.7"), RequestID: "req-1"}

func newTown(t *testing.T, change ...func(*keys.Catalog)) *town {
	t.Helper()
	in := newInstallation(t)
	in.catalog.TenantPlans = map[string]keys.TenantPlan{"trial": {}, "business": {Keys: true, DefaultPlan: "partner"}}
	in.catalog.Plans["partner"] = &keys.Plan{Name: "partner"}
	in.catalog.Policy.OwnerOf = map[keys.Kind]keys.OwnerType{keys.APIKey: keys.OwnerUser, keys.Client: keys.OwnerTenant}
	in.catalog.Policy.TenantMayChange = []string{"keys_enabled", "max_keys_per_user", "default_expiry", "max_expiry"}
	for _, c := range change {
		c(in.catalog)
	}
	w := &town{t: t, vault: in.vault, catalog: in.catalog, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
	var err error
	if w.store, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "postern.db"), store.Options{}); err != nil {
		t.Fatal(err)
	}
	w.dir = keys.NewDirectory(keys.DirectoryOptions{Store: w.store, Vault: in.vault, Format: in.format, Catalog: in.catalog, Now: w.clock})
	if w.registry, err = keys.OpenRegistry(t.Context(), keys.RegistryOptions{
		Store: w.store, Vault: in.vault, Format: in.format, Catalog: in.catalog, Directory: w.dir, Now: w.clock,
		Wait: func(_ context.Context, d time.Duration) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.waited = append(w.waited, d)
			return nil
		},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.dir.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.dir.Follow(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, w.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *town) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *town) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func root() keys.Actor { return keys.LocalActor("test") }

// tenant makes an organisation.
func (w *town) tenant(id keys.TenantID) {
	w.t.Helper()
	if _, err := w.registry.CreateTenant(w.t.Context(), root(), keys.NewTenant{ID: id, Name: string(id)}); err != nil {
		w.t.Fatal(err)
	}
}

// person makes somebody who can sign in, called by the part of his e-mail before the @, at no cost of a
// password; see invited.
func (w *town) person(name, tenant string, roles ...keys.RoleName) keys.User {
	w.t.Helper()
	u, err := w.registry.CreateUser(w.t.Context(), root(), keys.NewUser{Email: name + "@example.com", Tenant: tenant, Roles: roles})
	if err != nil {
		w.t.Fatal(err)
	}
	u.Password, u.PasswordAt, u.Version = cheapHash, w.clock(), u.Version+1
	w.vault.SealUser(&u)
	w.write(func(ctx context.Context, tx keys.Tx) error { return tx.PutUser(ctx, u) })
	return u
}

// invited makes somebody in the way people are made, at what a password costs.
func (w *town) invited(name, tenant string, roles ...keys.RoleName) keys.User {
	w.t.Helper()
	made, err := w.registry.Invite(w.t.Context(), root(), keys.Invitation{NewUser: keys.NewUser{Email: name + "@example.com", Tenant: tenant, Roles: roles}})
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := w.registry.AcceptCode(w.t.Context(), made.Code, keys.NewSecret(goodPassword), here)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// open signs a person in.
func (w *town) open(u keys.User) keys.OpenedSession {
	w.t.Helper()
	opened, err := w.registry.OpenSession(w.t.Context(), keys.SignIn{Email: u.Email, Password: keys.NewSecret(goodPassword), From: here})
	if err != nil {
		w.t.Fatal(err)
	}
	return opened
}

// actor is a person who has just signed in.
func (w *town) actor(u keys.User) keys.Actor { return w.open(u).Actor }

// generate makes a key of a person's own.
func (w *town) generate(a keys.Actor, name string) keys.Generated {
	w.t.Helper()
	g, err := w.registry.Generate(w.t.Context(), a, keys.NewCredential{Name: name, APIs: []keys.APIName{"orders"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

// code is what the data path says of a key's text.
func (w *town) code(g keys.Generated) keys.Code {
	_, code := w.dir.Authenticate(keys.Presented{Text: g.Secret.Reveal()}, w.clock())
	return code
}

// want checks that an error is a refusal with a code, and returns it.
func want(t *testing.T, err error, code keys.RefusalCode) *keys.Refusal {
	t.Helper()
	var r *keys.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Fatalf("got %v, want a refusal %s", err, code)
	}
	return r
}

// write writes a row past every rule, as somebody with access to the database would.
func (w *town) write(fn func(ctx context.Context, tx keys.Tx) error) {
	w.t.Helper()
	if _, err := w.store.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// actions lists the actions of an audit chain about a target.
func (w *town) actions(chain, target string) (list []string) {
	w.t.Helper()
	entries, err := w.store.AuditEntries(w.t.Context(), chain, 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var last keys.AuditEntry
	for _, e := range entries {
		if !w.vault.AuditIntact(last, &e) {
			w.t.Fatalf("audit entry %d of %s does not verify", e.Seq, chain)
		}
		last = e
		if e.Target == target {
			list = append(list, e.Action)
		}
	}
	return list
}
