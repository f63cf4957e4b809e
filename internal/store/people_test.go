package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func person(n int) keys.User {
	return keys.User{
		ID: keys.UserID(fmt.Sprintf("usr_%012d", n)), Tenant: "acme", Email: fmt.Sprintf("p%d@example.com", n), Name: fmt.Sprintf("Renée %d", n),
		Roles: []keys.RoleName{"developer", "tenant_admin"}, Password: "$argon2id$v=19$…", Disabled: true, NoKeys: true,
		Held: []keys.CredentialID{"key_1", "key_2"}, CreatedAt: noon.Add(time.Duration(n) * time.Second), UpdatedAt: noon.Add(time.Hour),
		PasswordAt: noon.Add(time.Minute), Version: 1, MAC: keys.RowMAC(sum("user", n)),
	}
}

func putUser(u keys.User) func(context.Context, keys.Tx) error {
	return func(ctx context.Context, tx keys.Tx) error { return tx.PutUser(ctx, u) }
}

func testUser(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	before, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plain := keys.User{ID: "usr_plain", Email: "plain@example.com", CreatedAt: noon, Version: 1}
	for _, want := range []keys.User{person(1), person(2), plain} {
		if seq := update(t, s, putUser(want)); seq != before {
			t.Errorf("a person is no change for the directory: got number %d, want %d", seq, before)
		}
		got, err := s.User(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("by id (-want +got):\n%s", diff)
		}
		if got, err = s.UserByEmail(t.Context(), want.Email); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("by e-mail (-want +got):\n%s", diff)
		}
	}
	for _, id := range []keys.UserID{"none", "usr_plain\x00"} {
		if _, err := s.User(t.Context(), id); !isErr(err, keys.ErrNotFound) {
			t.Errorf("user %q: got error %v, want ErrNotFound", id, err)
		}
	}
	if _, err := s.UserByEmail(t.Context(), "P1@example.com"); !isErr(err, keys.ErrNotFound) {
		t.Errorf("an e-mail in another case: got error %v, want ErrNotFound", err)
	}

	same := person(3)
	same.Email = person(1).Email
	refused(t, s, keys.ErrDuplicate, putUser(same))
	refused(t, s, keys.ErrDuplicate, putUser(person(1)))
	stale := person(1)
	stale.Version = 3
	refused(t, s, keys.ErrConflict, putUser(stale))
	taken := person(2)
	taken.Email, taken.Version = person(1).Email, 2
	refused(t, s, keys.ErrDuplicate, putUser(taken))
	second := person(1)
	second.Version, second.Email, second.Roles, second.Held, second.Disabled = 2, "new@example.com", nil, nil, false
	update(t, s, putUser(second))
	got, err := s.User(t.Context(), second.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, got, compare); diff != "" {
		t.Errorf("second version (-want +got):\n%s", diff)
	}
	nul := person(9)
	nul.Name = "a\x00b"
	if _, err := s.Update(t.Context(), putUser(nul)); err == nil {
		t.Error("a name with a NUL: got no error")
	}

	// Whoever is deleted takes his sessions and codes along.
	session, link := sessionOf(person(2).ID, 1), linkOf(person(2).ID, 1)
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		if err := tx.PutSession(ctx, session); err != nil {
			return err
		}
		return tx.PutLink(ctx, link)
	})
	remove := func(version int64) func(context.Context, keys.Tx) error {
		return func(ctx context.Context, tx keys.Tx) error { return tx.DeleteUser(ctx, person(2).ID, version) }
	}
	refused(t, s, keys.ErrConflict, remove(2))
	update(t, s, remove(1))
	refused(t, s, keys.ErrConflict, remove(1))
	_, userErr := s.User(t.Context(), person(2).ID)
	_, sessionErr := s.SessionByDigest(t.Context(), session.Digest)
	_, linkErr := s.LinkByDigest(t.Context(), link.Digest)
	for what, err := range map[string]error{"user": userErr, "session": sessionErr, "code": linkErr} {
		if !isErr(err, keys.ErrNotFound) {
			t.Errorf("%s of a deleted person: got error %v, want ErrNotFound", what, err)
		}
	}
}

func testUsers(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	for n, u := range []struct {
		tenant keys.TenantID
		name   string
		roles  []keys.RoleName
	}{{"acme", "Straße", []keys.RoleName{"viewer"}}, {"", "100%", []keys.RoleName{"operator"}}, {"acme", "bob", []keys.RoleName{"developer", "viewer"}}, {"other", "Bob_2", nil}} {
		p := person(n)
		p.Tenant, p.Name, p.Roles = u.tenant, u.name, u.roles
		update(t, s, putUser(p))
	}
	for _, c := range []struct {
		name string
		f    keys.UserFilter
		want string
	}{
		{"everywhere", keys.UserFilter{Everywhere: true}, "0 1 2 3"},
		{"a tenant", keys.UserFilter{Tenant: "acme"}, "0 2"},
		{"the provider", keys.UserFilter{}, "1"},
		{"a role", keys.UserFilter{Everywhere: true, Role: "viewer"}, "0 2"},
		{"part of a role", keys.UserFilter{Everywhere: true, Role: "view"}, ""},
		{"a wildcard for a role", keys.UserFilter{Everywhere: true, Role: "%"}, ""},
		{"name in another case", keys.UserFilter{Everywhere: true, Search: "BOB"}, "2 3"},
		{"name in another script's case", keys.UserFilter{Everywhere: true, Search: "STRASSE"}, ""},
		{"e-mail", keys.UserFilter{Everywhere: true, Search: "P2@"}, "2"},
		{"id", keys.UserFilter{Everywhere: true, Search: "USR_000000000003"}, "3"},
		{"a wildcard is a character", keys.UserFilter{Everywhere: true, Search: "100%"}, "1"},
		{"underscore too", keys.UserFilter{Everywhere: true, Search: "b_2"}, "3"},
		{"search within a tenant", keys.UserFilter{Tenant: "acme", Search: "bob"}, "2"},
		{"a NUL", keys.UserFilter{Tenant: "acme\x00"}, ""},
	} {
		for limit := 1; limit <= 5; limit++ {
			var got []string
			for f := c.f; ; {
				f.Limit = limit
				page, err := s.Users(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, u := range page.Items {
					got = append(got, strings.TrimLeft(string(u.ID[4:11]), "0")+string(u.ID[15:]))
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			if list := strings.Join(got, " "); list != c.want {
				t.Errorf("%s, pages of %d: got %q, want %q", c.name, limit, list, c.want)
			}
		}
	}
	if _, err := s.Users(t.Context(), keys.UserFilter{Cursor: "nonsense"}); !isErr(err, keys.ErrBadCursor) {
		t.Errorf("a made-up cursor: got error %v, want ErrBadCursor", err)
	}
}

func sessionOf(u keys.UserID, n int) keys.Session {
	return keys.Session{
		ID: keys.SessionID(fmt.Sprintf("ses_%012d", n)), Digest: keys.Digest(sum("session", n)), User: u, Address: "192.0.2.1",
		CreatedAt: noon.Add(time.Duration(n) * time.Second), SeenAt: noon.Add(time.Minute), ConfirmedAt: noon, MAC: keys.RowMAC(sum("session mac", n)),
	}
}

func testSession(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	putSession := func(x keys.Session) func(context.Context, keys.Tx) error {
		return func(ctx context.Context, tx keys.Tx) error { return tx.PutSession(ctx, x) }
	}
	for n := range 4 {
		update(t, s, putSession(sessionOf("usr_1", n)))
	}
	update(t, s, putSession(sessionOf("usr_2", 9)))
	seen := sessionOf("usr_1", 1)
	seen.SeenAt, seen.MAC = noon.Add(time.Hour), keys.RowMAC{1}
	update(t, s, putSession(seen))
	got, err := s.SessionByDigest(t.Context(), seen.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(seen, got, compare); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
	other := sessionOf("usr_1", 5)
	other.ID = seen.ID
	refused(t, s, keys.ErrDuplicate, putSession(other))
	if _, err := s.SessionByDigest(t.Context(), keys.Digest{}); !isErr(err, keys.ErrNotFound) {
		t.Errorf("absent: got error %v, want ErrNotFound", err)
	}
	list := func(u keys.UserID) string {
		t.Helper()
		all, err := s.Sessions(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, x := range all {
			ids = append(ids, string(x.ID[15:]))
		}
		return strings.Join(ids, " ")
	}
	if got := list("usr_1"); got != "3 2 1 0" {
		t.Errorf("newest first: got %q", got)
	}
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		return tx.DeleteSession(ctx, sessionOf("usr_1", 2).Digest)
	})
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		return tx.DeleteSession(ctx, sessionOf("usr_1", 2).Digest)
	}) // again is no error
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		// Session 0 was opened before noon + 1 s; of the others only 1 was seen after noon + 1 min.
		return tx.Forget(ctx, noon.Add(time.Second), noon.Add(time.Minute+time.Second), noon)
	})
	if got := list("usr_1"); got != "1" {
		t.Errorf("after forgetting: got %q, want 1", got)
	}
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		n, err := tx.DeleteSessions(ctx, "usr_1")
		if n != 1 {
			t.Errorf("deleted %d sessions, want 1", n)
		}
		return err
	})
	if got := list("usr_1") + list("nobody\x00"); got != "" {
		t.Errorf("after deleting: got %q", got)
	}
}

func linkOf(u keys.UserID, n int) keys.Link {
	return keys.Link{
		Digest: keys.Digest(sum("link", n)), User: u, CreatedBy: "local:local", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour), MAC: keys.RowMAC(sum("link mac", n)),
	}
}

func testLink(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	putLink := func(l keys.Link) func(context.Context, keys.Tx) error {
		return func(ctx context.Context, tx keys.Tx) error { return tx.PutLink(ctx, l) }
	}
	first, second := linkOf("usr_1", 1), linkOf("usr_1", 2)
	update(t, s, putLink(first))
	got, err := s.LinkByDigest(t.Context(), first.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	update(t, s, putLink(second))
	if _, err := s.LinkByDigest(t.Context(), first.Digest); !isErr(err, keys.ErrNotFound) {
		t.Errorf("a person's code before: got error %v, want ErrNotFound", err)
	}
	refused(t, s, keys.ErrDuplicate, putLink(linkOf("usr_2", 2)))
	update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.Forget(ctx, noon, noon, noon.Add(time.Hour)) })
	if _, err := s.LinkByDigest(t.Context(), second.Digest); err != nil {
		t.Errorf("a code that has not expired: %v", err)
	}
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		return tx.Forget(ctx, noon, noon, noon.Add(time.Hour+time.Microsecond))
	})
	if _, err := s.LinkByDigest(t.Context(), second.Digest); !isErr(err, keys.ErrNotFound) {
		t.Errorf("an expired code: got error %v, want ErrNotFound", err)
	}
	update(t, s, putLink(first))
	update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.DeleteLinks(ctx, "usr_1") })
	if _, err := s.LinkByDigest(t.Context(), first.Digest); !isErr(err, keys.ErrNotFound) {
		t.Errorf("a deleted code: got error %v, want ErrNotFound", err)
	}
}

func testTenants(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	most, never := 5, keys.Lifetime{}
	want := keys.TenantSettings{
		MaxKeysPerTenant: &most, MaxExpiry: &keys.Lifetime{Months: 6}, DefaultExpiry: &never,
		SecretVisibility: map[keys.Kind]keys.Visibility{keys.APIKey: keys.Revealable}, OwnerOf: map[keys.Kind]keys.OwnerType{keys.Client: keys.OwnerUser},
	}
	for n, id := range []keys.TenantID{"zeta", "acme", "acme_2"} {
		update(t, s, func(ctx context.Context, tx keys.Tx) error {
			return tx.PutTenant(ctx, keys.Tenant{ID: id, Name: "Name " + string(id), Settings: want, CreatedAt: noon.Add(time.Duration(n) * time.Second), UpdatedAt: noon, Version: 1})
		})
	}
	for search, ids := range map[string]string{"": "zeta acme acme_2", "ACME": "acme acme_2", "e_2": "acme_2", "%": "", "name z": "zeta"} {
		for limit := 1; limit <= 4; limit++ {
			var got []string
			for f := (keys.TenantFilter{Search: search, Limit: limit}); ; {
				page, err := s.Tenants(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range page.Items {
					got = append(got, string(x.ID))
					if diff := cmp.Diff(want, x.Settings, compare); diff != "" {
						t.Errorf("settings (-want +got):\n%s", diff)
					}
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			if list := strings.Join(got, " "); list != ids {
				t.Errorf("search %q, pages of %d: got %q, want %q", search, limit, list, ids)
			}
		}
	}
}

// testOwn lists what counts as somebody's own: the tenant's and his.
func testOwn(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	for n, owner := range []keys.Owner{
		{Type: keys.OwnerTenant, ID: "default"}, {Type: keys.OwnerUser, ID: "usr_1"}, {Type: keys.OwnerUser, ID: "usr_2"}, {Type: keys.OwnerUser, ID: "default"},
	} {
		c := bare(n)
		c.Owner = owner
		put(t, s, c)
	}
	for _, c := range []struct {
		name string
		f    keys.CredentialFilter
		want string
	}{
		{"a person's", keys.CredentialFilter{Own: true, OwnUser: "usr_1"}, "0 1"},
		{"of what acts for nobody", keys.CredentialFilter{Own: true}, "0"},
		{"another's", keys.CredentialFilter{Own: true, OwnUser: "usr_1", OwnerID: "usr_2"}, ""},
		{"his among them", keys.CredentialFilter{Own: true, OwnUser: "usr_2", OwnerID: "usr_2"}, "2"},
		{"only the tenant's", keys.CredentialFilter{Own: true, OwnUser: "usr_2", OwnerType: keys.OwnerTenant}, "0"},
		{"a NUL", keys.CredentialFilter{Own: true, OwnUser: "usr_1\x00"}, ""},
	} {
		c.f.Tenant, c.f.Now = "default", noon
		page, err := s.Credentials(t.Context(), c.f)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range page.Items {
			got = append(got, string(x.ID[15:]))
		}
		if list := strings.Join(got, " "); list != c.want {
			t.Errorf("%s: got %q, want %q", c.name, list, c.want)
		}
	}
}
