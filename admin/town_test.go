package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
	"postern/internal/store"
)

// town is the admin API over the real domain and SQLite, with people in it.
type town struct {
	t        *testing.T
	registry *keys.Registry
	store    *store.Store
	vault    *keys.Vault
	handler  http.Handler
	url      string
	hash     string // of goodPassword: to make one for each person would take minutes
	made     atomic.Int64
}

const goodPassword = "correct horse battery"

func newTown(t *testing.T, change ...func(*Options)) *town {
	t.Helper()
	pepper, pepperErr := keys.NewPepper(nil)
	keyset, keysetErr := keys.NewKeyset()
	format, formatErr := keys.NewFormat("pst")
	vault, vaultErr := keys.OpenVault(pepper, keyset)
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "postern.db"), store.Options{})
	if err := errors.Join(pepperErr, keysetErr, formatErr, vaultErr, err); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &town{t: t, store: db, vault: vault}
	if w.registry, err = keys.OpenRegistry(t.Context(), keys.RegistryOptions{Store: db, Vault: vault, Format: format, Catalog: &keys.Catalog{
		Plans: map[keys.PlanName]*keys.Plan{"standard": {Name: "standard"}},
		Policy: keys.Policy{
			KeysEnabled: true, DefaultPlan: "standard", MaxKeysPerTenant: keys.Unlimited, MaxKeysPerUser: keys.Unlimited,
			OwnerOf:         map[keys.Kind]keys.OwnerType{keys.APIKey: keys.OwnerUser},
			TenantMayChange: []string{"keys_enabled"},
		},
	}}); err != nil {
		t.Fatal(err)
	}
	o := Options{Registry: w.registry, Health: &fakeHealth{}, Metrics: prometheus.NewRegistry(), Version: "1.2.3", AdminURL: "https://keys.example.com",
		Configuration: &fakeConfiguration{}, DataPath: &fakeDataPath{}, Fleet: &fakeFleet{}}
	for _, c := range change {
		c(&o)
	}
	if w.handler, err = New(o); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	w.url = server.URL
	for _, id := range []keys.TenantID{"acme", "other"} {
		if _, err := w.registry.CreateTenant(t.Context(), keys.LocalActor("test"), keys.NewTenant{ID: id, Name: string(id)}); err != nil {
			t.Fatal(err)
		}
	}
	// Of each place one administrator stays, so that others can go.
	w.hash = w.invited("anchor@example.com", keys.ProviderName, keys.RoleOperator).Password
	w.person("acme", keys.RoleTenantAdmin)
	w.person("other", keys.RoleTenantAdmin)
	return w
}

// invited makes somebody in the way people are made.
func (w *town) invited(email, tenant string, roles ...keys.RoleName) keys.User {
	w.t.Helper()
	made, err := w.registry.Invite(w.t.Context(), keys.LocalActor("test"), keys.Invitation{NewUser: keys.NewUser{Email: email, Tenant: tenant, Roles: roles}})
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := w.registry.AcceptCode(w.t.Context(), made.Code, keys.NewSecret(goodPassword), keys.Caller{})
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// fresh returns an id that nothing has.
func (w *town) fresh(prefix string) string { return fmt.Sprintf("%s_%012d", prefix, w.made.Add(1)) }

// person writes somebody with a password straight into the store.
func (w *town) person(tenant keys.TenantID, roles ...keys.RoleName) keys.User {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	id := w.fresh("usr")
	u := keys.User{ID: keys.UserID(id), Tenant: tenant, Email: id + "@example.com", Roles: roles, Password: w.hash, CreatedAt: now, UpdatedAt: now, Version: 1}
	w.vault.SealUser(&u)
	w.write(func(ctx context.Context, tx keys.Tx) error { return tx.PutUser(ctx, u) })
	return u
}

// session writes a session of a person straight into the store and returns the cookie's value.
func (w *town) session(u keys.User) (string, keys.Session) {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	text := (rand.Text() + rand.Text())[:43]
	s := keys.Session{ID: keys.SessionID(w.fresh("ses")), Digest: w.vault.Digest(text), User: u.ID, CreatedAt: now, SeenAt: now, ConfirmedAt: now}
	w.vault.SealSession(&s)
	w.write(func(ctx context.Context, tx keys.Tx) error { return tx.PutSession(ctx, s) })
	return text, s
}

func (w *town) write(fn func(ctx context.Context, tx keys.Tx) error) {
	w.t.Helper()
	if _, err := w.store.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// key generates one that the person owns, or the tenant for the provider's people.
func (w *town) key(u keys.User) string {
	w.t.Helper()
	a := keys.Actor{ActorRef: keys.ActorRef{Type: keys.ActorUser, ID: string(u.ID)}, Tenant: u.Tenant, User: u.ID, Permissions: keys.AllPermissions()}
	g, err := w.registry.Generate(w.t.Context(), a, keys.NewCredential{Name: "x"})
	if err != nil {
		w.t.Fatal(err)
	}
	return string(g.Credential.ID)
}

// do sends a request; headers come in pairs.
func (w *town) do(method, path, body string, headers ...string) reply {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, w.url+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return read(w.t, response)
}

// as is do with a session's cookie.
func (w *town) as(text, method, path, body string, headers ...string) reply {
	w.t.Helper()
	return w.do(method, path, body, append([]string{"Cookie", sessionCookie + "=" + text}, headers...)...)
}
