package keys_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/keys"
)

func (w *town) assign(a keys.Actor, id keys.UserID, roles ...keys.RoleName) error {
	_, err := w.registry.AssignRoles(w.t.Context(), a, id, roles)
	return err
}

func (w *town) disable(a keys.Actor, id keys.UserID) error {
	yes := true
	_, err := w.registry.EditUser(w.t.Context(), a, id, keys.UserEdit{Disabled: &yes})
	return err
}

func TestNobodyGivesWhatHeLacks(t *testing.T) {
	w := newTown(t, func(c *keys.Catalog) {
		c.Roles = map[keys.RoleName]keys.Role{
			"assigner": {Name: "assigner", Permissions: keys.PermissionSet{keys.RolesManage: {}, keys.UsersManage: {}, keys.UsersRead: {}}},
			"editor":   {Name: "editor", Permissions: keys.PermissionSet{keys.KeysEditAny: {}}},
			"clerk":    {Name: "clerk", Provider: true, Permissions: keys.PermissionSet{keys.TenantsManage: {}, keys.UsersManage: {}, keys.RolesManage: {}}},
		}
	})
	w.tenant("acme")
	admin := w.person("admin", "acme", keys.RoleTenantAdmin)
	assigner := w.person("assigner", "acme", "assigner")
	bob := w.person("bob", "acme")
	a := w.actor(admin)

	// S3.7: the administrator assigns developer, also to himself, without having its permissions.
	if err := w.assign(a, bob.ID, keys.RoleDeveloper, keys.RoleViewer, keys.RoleAuditor, keys.RoleTenantAdmin); err != nil {
		t.Error(err)
	}
	if err := w.assign(a, admin.ID, keys.RoleTenantAdmin, keys.RoleDeveloper); err != nil {
		t.Error(err)
	}
	want(t, w.assign(a, bob.ID, "editor"), keys.PermissionDenied) // not built in, and he lacks it
	for _, role := range []keys.RoleName{keys.RoleOperator, keys.RoleSupport, "clerk", "gone"} {
		if r := want(t, w.assign(a, bob.ID, role), keys.ValidationFailed); r.Fields[0].Field != "roles[0]" {
			t.Errorf("%s: %v", role, r)
		}
	}
	// Who assigns roles and is no administrator gives what he has and no more, and touches nobody above.
	weak := w.actor(assigner)
	carl := w.person("carl", "acme")
	want(t, w.assign(weak, carl.ID, keys.RoleDeveloper), keys.PermissionDenied)
	want(t, w.assign(weak, assigner.ID, keys.RoleTenantAdmin), keys.PermissionDenied)
	if err := w.assign(weak, carl.ID, "assigner"); err != nil {
		t.Error(err)
	}
	want(t, w.assign(weak, admin.ID), keys.PermissionDenied)
	want(t, w.disable(weak, admin.ID), keys.PermissionDenied)
	want(t, w.registry.DeleteUser(t.Context(), weak, admin.ID), keys.PermissionDenied)
	_, err := w.registry.Invite(t.Context(), weak, keys.Invitation{NewUser: keys.NewUser{Email: admin.Email}})
	want(t, err, keys.PermissionDenied) // a code for him would be his account
	mail := "assigner2@example.com"
	_, err = w.registry.EditUser(t.Context(), weak, admin.ID, keys.UserEdit{Email: &mail})
	want(t, err, keys.PermissionDenied)
	_, err = w.registry.EndSessions(t.Context(), weak, admin.ID, "")
	want(t, err, keys.PermissionDenied)

	// The provider's clerk is no operator and makes none.
	clerk := w.actor(w.person("clerk", "provider", "clerk"))
	_, err = w.registry.CreateUser(t.Context(), clerk, keys.NewUser{Email: "o@example.com", Tenant: "provider", Roles: []keys.RoleName{keys.RoleOperator}})
	want(t, err, keys.PermissionDenied)
	_, err = w.registry.CreateUser(t.Context(), clerk, keys.NewUser{Email: "o@example.com", Tenant: "provider", Roles: []keys.RoleName{"clerk"}})
	if err != nil {
		t.Error(err)
	}
	// Roles count from the next request on, and gone ones give nothing.
	if !w.actor(bob).Permissions.Has(keys.KeysGenerate) {
		t.Error("a role that was assigned gives nothing")
	}
	without := *w.catalog
	without.Roles = nil
	w.registry.SetCatalog(&without)
	if got := w.actor(assigner).Permissions; len(got) != 0 {
		t.Errorf("a role that is gone gives %v", got)
	}
}

// TestNobodyLendsTheTenantsSecrets: to see them is given by who may see them, and by nobody else, also not
// by way of a token, which never sees one itself.
func TestNobodyLendsTheTenantsSecrets(t *testing.T) {
	almost := keys.PermissionSet{keys.TokensManage: {}}
	for _, r := range keys.BuiltinRoles() {
		if r.Name == keys.RoleTenantAdmin {
			for p := range r.Permissions {
				almost[p] = struct{}{}
			}
		}
	}
	delete(almost, keys.KeysRevealTenant)
	w := newTown(t, func(c *keys.Catalog) {
		c.Roles = map[keys.RoleName]keys.Role{
			"almost":   {Name: "almost", Permissions: almost},
			"revealer": {Name: "revealer", Permissions: keys.PermissionSet{keys.KeysReadAny: {}, keys.KeysRevealTenant: {}}},
		}
	})
	token := func(a keys.Actor, roles ...keys.RoleName) (keys.Actor, error) {
		made, err := w.registry.CreateToken(t.Context(), a, keys.NewToken{Name: "t", Roles: roles, Tenant: "default"})
		if err != nil {
			return keys.Actor{}, err
		}
		return w.registry.TokenActor(t.Context(), made.Secret.Reveal())
	}
	bob := w.person("bob", "default")
	admin, weak := w.person("admin", "default", keys.RoleTenantAdmin), w.person("weak", "default", "almost")
	weakToken, err := token(w.actor(weak), "almost")
	if err != nil {
		t.Fatal(err)
	}
	for who, a := range map[string]keys.Actor{"a person": w.actor(weak), "his token": weakToken} {
		for _, role := range []keys.RoleName{"revealer", keys.RoleTenantAdmin} {
			if err := w.assign(a, bob.ID, role); err == nil {
				t.Errorf("%s gave the role %s", who, role)
			}
			if _, err := token(a, role); err == nil {
				t.Errorf("%s made a token with the role %s", who, role)
			}
		}
		if err := w.disable(a, admin.ID); err == nil {
			t.Errorf("%s disabled one who may do more", who)
		}
	}
	adminToken, err := token(w.actor(admin), keys.RoleTenantAdmin)
	if err != nil || adminToken.Permissions.Has(keys.KeysRevealTenant) {
		t.Fatalf("%v, %v", adminToken.Permissions, err)
	}
	for _, a := range []keys.Actor{w.actor(admin), adminToken} {
		if err := w.assign(a, bob.ID, "revealer", keys.RoleTenantAdmin, keys.RoleDeveloper); err != nil {
			t.Error(err)
		}
		if err := w.assign(a, bob.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestPeopleOfOtherTenants(t *testing.T) {
	w := newTown(t)
	w.tenant("acme")
	w.tenant("other")
	a := w.actor(w.person("admin", "acme", keys.RoleTenantAdmin))
	bob, op := w.person("bob", "other", keys.RoleViewer), w.person("op", "provider", keys.RoleOperator)
	for _, u := range []keys.User{bob, op, {ID: "usr_nobody"}} {
		_, showErr := w.registry.UserNamed(t.Context(), a, u.ID)
		_, _, accessErr := w.registry.SetKeyAccess(t.Context(), a, u.ID, false)
		_, listErr := w.registry.Sessions(t.Context(), a, u.ID)
		for what, err := range map[string]error{
			"show": showErr, "assign": w.assign(a, u.ID), "disable": w.disable(a, u.ID), "access": accessErr, "sessions": listErr,
			"delete": w.registry.DeleteUser(t.Context(), a, u.ID),
		} {
			if r := want(t, err, keys.NotFoundHere); !strings.Contains(r.Detail, string(u.ID)) {
				t.Errorf("%s: %v", what, r)
			}
		}
	}
	_, err := w.registry.Invite(t.Context(), a, keys.Invitation{NewUser: keys.NewUser{Email: bob.Email}})
	if r := want(t, err, keys.ValidationFailed); r.Fields[0].Field != "email" || strings.Contains(r.Error(), string(bob.ID)) {
		t.Errorf("inviting another tenant's person: %v", r)
	}
	for _, tenant := range []string{"other", "provider", "nowhere"} {
		_, err := w.registry.CreateUser(t.Context(), a, keys.NewUser{Email: "x@example.com", Tenant: tenant})
		want(t, err, keys.PermissionDenied)
		page, err := w.registry.Users(t.Context(), a, tenant, keys.UserFilter{})
		if err != nil || len(page.Items) != 0 {
			t.Errorf("people of %s: got %d, %v", tenant, len(page.Items), err)
		}
	}
	page, err := w.registry.Users(t.Context(), a, "", keys.UserFilter{})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("his tenant's people: got %d, %v, want himself", len(page.Items), err)
	}
}

// TestLastAdministrator removes one of two administrators in every way, and then tries the other.
func TestLastAdministrator(t *testing.T) {
	for _, place := range []struct {
		tenant string
		role   keys.RoleName
	}{{"acme", keys.RoleTenantAdmin}, {"provider", keys.RoleOperator}} {
		for way, remove := range map[string]func(*town, keys.UserID) error{
			"disabled": func(w *town, id keys.UserID) error { return w.disable(root(), id) },
			"demoted":  func(w *town, id keys.UserID) error { return w.assign(root(), id, keys.RoleViewer) },
			"deleted":  func(w *town, id keys.UserID) error { return w.registry.DeleteUser(w.t.Context(), root(), id) },
		} {
			t.Run(place.tenant+" "+way, func(t *testing.T) {
				w := newTown(t)
				w.tenant("acme")
				w.tenant("other")
				one, two := w.person("one", place.tenant, place.role), w.person("two", place.tenant, place.role)
				w.person("elsewhere", "other", keys.RoleTenantAdmin)
				if _, err := w.registry.Invite(t.Context(), root(), keys.Invitation{NewUser: keys.NewUser{Email: "invited@example.com", Tenant: place.tenant, Roles: []keys.RoleName{place.role}}}); err != nil {
					t.Fatal(err)
				}
				if err := remove(w, one.ID); err != nil {
					t.Fatal(err)
				}
				want(t, remove(w, two.ID), keys.InvalidState) // who was only invited cannot sign in
				if err := w.signIn(two.Email, goodPassword, here); err != nil {
					t.Errorf("the last administrator: %v", err)
				}
			})
		}
	}
}

// TestLastAdministratorAtOnce lets each of several administrators remove another one at the same time.
func TestLastAdministratorAtOnce(t *testing.T) {
	w := newTown(t)
	w.tenant("acme")
	const n = 6
	var all []keys.User
	for i := range n {
		all = append(all, w.person(string(rune('a'+i)), "acme", keys.RoleTenantAdmin))
	}
	var wg sync.WaitGroup
	for i, u := range all {
		wg.Go(func() {
			var err error
			switch i % 3 {
			case 0:
				err = w.disable(root(), u.ID)
			case 1:
				err = w.assign(root(), u.ID)
			default:
				err = w.registry.DeleteUser(t.Context(), root(), u.ID)
			}
			var refusal *keys.Refusal
			if err != nil && (!errors.As(err, &refusal) || refusal.Code != keys.InvalidState) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	left := 0
	for _, u := range all {
		if err := w.signIn(u.Email, goodPassword, here); err == nil && w.actor(u).Permissions.Has(keys.RolesManage) {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d administrators are left, want 1", left)
	}
}

func TestUserFields(t *testing.T) {
	w := newTown(t)
	for _, bad := range []string{"", "ada", "@example.com", "ada@", "a b@example.com", "ada@exa mple.com", "ada@example..com", ".ada@example.com", "аda@example.com", "ada@ex@ample.com", "Ada <ada@example.com>", "ada@example.com\n", strings.Repeat("a", 250) + "@example.com"} {
		_, err := w.registry.CreateUser(t.Context(), root(), keys.NewUser{Email: bad, Name: strings.Repeat("x", 101), Tenant: "nowhere", Roles: []keys.RoleName{"emperor"}})
		if bad == "ada@example.com\n" { // spaces around are not meant
			continue
		}
		fields := map[string]bool{}
		for _, f := range want(t, err, keys.ValidationFailed).Fields {
			fields[f.Field] = true
		}
		for _, f := range []string{"email", "name", "tenant", "roles[0]"} {
			if !fields[f] {
				t.Errorf("e-mail %q: %s is not among %v", bad, f, fields)
			}
		}
	}
	ada, bob := w.person("ada", "default"), w.person("bob", "default")
	_, err := w.registry.CreateUser(t.Context(), root(), keys.NewUser{Email: "ADA@Example.com"})
	if r := want(t, err, keys.ValidationFailed); r.Fields[0].Field != "email" {
		t.Error(r)
	}
	_, err = w.registry.EditUser(t.Context(), root(), bob.ID, keys.UserEdit{Email: &ada.Email})
	want(t, err, keys.ValidationFailed)
	name := "Ada"
	edited, err := w.registry.EditUser(t.Context(), w.actor(ada), ada.ID, keys.UserEdit{Name: &name, IfVersion: []int64{ada.Version}})
	if err != nil || edited.Name != "Ada" {
		t.Errorf("one's own name: %+v, %v", edited, err)
	}
	_, err = w.registry.EditUser(t.Context(), root(), ada.ID, keys.UserEdit{Name: &name, IfVersion: []int64{ada.Version}})
	want(t, err, keys.VersionConflict)
	_, err = w.registry.EditUser(t.Context(), w.actor(ada), ada.ID, keys.UserEdit{Email: &bob.Email})
	want(t, err, keys.PermissionDenied)
	_, err = w.registry.UserNamed(t.Context(), w.actor(ada), bob.ID)
	want(t, err, keys.PermissionDenied)
	if err := w.disable(root(), ada.ID); err != nil {
		t.Fatal(err)
	}
	want(t, w.signIn(ada.Email, goodPassword, here), keys.SignInRequired)
}

func TestDeletedUserLosesHisKeys(t *testing.T) {
	w := newTown(t)
	ada, bob := w.person("ada", "default", keys.RoleDeveloper), w.person("bob", "default", keys.RoleDeveloper)
	opened := w.open(ada)
	hers, expired := w.generate(opened.Actor, "hers"), w.generate(opened.Actor, "expires")
	his := w.generate(w.actor(bob), "his")
	tenants, err := w.registry.Generate(t.Context(), opened.Actor, keys.NewCredential{Name: "app", Kind: keys.Client})
	if err != nil {
		t.Fatal(err)
	}
	if w.code(hers) != keys.Admitted || tenants.Credential.Owner.Type != keys.OwnerTenant {
		t.Fatalf("before: %s, owner %v", w.code(hers), tenants.Credential.Owner)
	}
	w.write(func(ctx context.Context, tx keys.Tx) error {
		c := expired.Credential
		c.ExpiresAt, c.Version = w.clock().Add(-time.Second), 2
		w.vault.SealCredential(&c)
		return tx.PutCredential(ctx, c)
	})
	if err := w.registry.DeleteUser(t.Context(), root(), ada.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.code(hers); got != keys.CredentialRevoked {
		t.Errorf("her key gets %q", got)
	}
	c, err := w.store.Credential(t.Context(), expired.Credential.ID, false)
	if err != nil || c.Status != keys.Active || c.StatusAt(w.clock()) != keys.Expired {
		t.Errorf("her expired key: %s, %v; an expired one cannot be revoked", c.Status, err)
	}
	app, err := w.store.Credential(t.Context(), tenants.Credential.ID, false)
	if w.code(his) != keys.Admitted || err != nil || app.Status != keys.Active {
		t.Error("somebody else's key was touched")
	}
	if w.alive(opened.Text) {
		t.Error("her session lives on")
	}
	_, err = w.registry.Generate(t.Context(), opened.Actor, keys.NewCredential{Name: "late"})
	want(t, err, keys.InvalidState) // an actor from before the deletion
	if got := w.actions("default", string(hers.Credential.ID)); strings.Join(got, " ") != "key.generated key.revoked" {
		t.Errorf("audit of her key: %v", got)
	}
	again := w.person("ada", "default")
	if again.ID == ada.ID {
		t.Error("the id is given out again")
	}
}

func TestKeyAccess(t *testing.T) {
	w := newTown(t)
	ada := w.person("ada", "default", keys.RoleDeveloper)
	admin := w.actor(w.person("admin", "default", keys.RoleTenantAdmin))
	a := w.actor(ada)
	tenants, err := w.registry.Generate(t.Context(), a, keys.NewCredential{Name: "tenant's", Kind: keys.Client})
	if err != nil || tenants.Credential.Owner.Type != keys.OwnerTenant {
		t.Fatalf("generate: %+v, %v", tenants.Credential.Owner, err)
	}
	stays, revoked, before, short := w.generate(a, "stays"), w.generate(a, "revoked"), w.generate(a, "before"), w.generate(a, "short")
	w.write(func(ctx context.Context, tx keys.Tx) error {
		s, e := before.Credential, short.Credential
		s.Status, s.Version = keys.Suspended, 2
		e.ExpiresAt, e.Version = w.clock().Add(time.Hour), 2
		w.vault.SealCredential(&s)
		w.vault.SealCredential(&e)
		return errors.Join(tx.PutCredential(ctx, s), tx.PutCredential(ctx, e))
	})
	set := func(allowed bool) int {
		t.Helper()
		u, n, err := w.registry.SetKeyAccess(t.Context(), admin, ada.ID, allowed)
		if err != nil || u.NoKeys == allowed {
			t.Fatalf("set %t: %+v, %v", allowed, u, err)
		}
		return n
	}
	if n := set(false); n != 3 {
		t.Errorf("%d keys were suspended, want 3", n)
	}
	if n := set(false); n != 0 {
		t.Errorf("removing again suspended %d", n)
	}
	for _, g := range []keys.Generated{stays, revoked, short} {
		if got := w.code(g); got != keys.CredentialSuspended {
			t.Errorf("%s gets %q", g.Credential.Name, got)
		}
	}
	_, err = w.registry.Generate(t.Context(), w.actor(ada), keys.NewCredential{Name: "new"})
	want(t, err, keys.PermissionDenied)
	// Nor does he get the secret of one that is his tenant's.
	_, err = w.registry.Generate(t.Context(), w.actor(ada), keys.NewCredential{Name: "new", Kind: keys.Client})
	want(t, err, keys.PermissionDenied)
	_, err = w.registry.Rotate(t.Context(), w.actor(ada), tenants.Credential.ID, keys.Rotation{})
	want(t, err, keys.PermissionDenied)
	if may, err := w.registry.May(t.Context(), w.actor(ada)); err != nil || may[keys.KeysGenerate] != (keys.Allowance{Reason: keys.PermissionDenied}) {
		t.Errorf("may generate: %+v, %v", may[keys.KeysGenerate], err)
	}
	if _, err := w.registry.Revoke(t.Context(), admin, revoked.Credential.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.advance(time.Hour)
	if n := set(true); n != 1 {
		t.Errorf("%d keys came back, want 1", n)
	}
	for g, code := range map[*keys.Generated]keys.Code{
		&stays: keys.Admitted, &revoked: keys.CredentialRevoked, &before: keys.CredentialSuspended,
	} {
		if got := w.code(*g); got != code {
			t.Errorf("%s gets %q, want %q", g.Credential.Name, got, code)
		}
	}
	if got := w.code(short); got != keys.CredentialSuspended && got != keys.CredentialExpired {
		t.Errorf("the expired one gets %q", got)
	}
	w.generate(w.actor(ada), "new")
	_, _, err = w.registry.SetKeyAccess(t.Context(), w.actor(ada), ada.ID, true)
	want(t, err, keys.PermissionDenied)
}

// TestInvitingDestroysSealedTexts: an administrator gets a person's account by a code, but not the
// secrets of that person.
func TestInvitingDestroysSealedTexts(t *testing.T) {
	w := newTown(t, func(c *keys.Catalog) { c.Policy.SecretVisibility[keys.APIKey] = keys.Revealable })
	ada := w.person("ada", "default", keys.RoleDeveloper)
	admin := w.actor(w.person("admin", "default", keys.RoleTenantAdmin))
	g := w.generate(w.actor(ada), "hers")
	if len(g.Credential.Secrets[0].Sealed) == 0 {
		t.Fatal("the secret is not kept")
	}
	made, err := w.registry.Invite(t.Context(), admin, keys.Invitation{NewUser: keys.NewUser{Email: ada.Email}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.registry.AcceptCode(t.Context(), made.Code, keys.NewSecret("another password"), here); err != nil {
		t.Fatal(err)
	}
	c, err := w.store.Credential(t.Context(), g.Credential.ID, false)
	if err != nil || len(c.Secrets[0].Sealed) != 0 {
		t.Errorf("the sealed text is still there (%v)", err)
	}
	if got := w.code(g); got != keys.Admitted {
		t.Errorf("her key gets %q", got)
	}
}
