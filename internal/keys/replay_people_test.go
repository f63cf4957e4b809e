package keys_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
	"postern/internal/store"
)

// TestReplayOfPeople restores a backup from before people lost what they could do.
func TestReplayOfPeople(t *testing.T) {
	in := newInstallation(t)
	n := in.start(t)
	person := func(name string) keys.User {
		t.Helper()
		made, err := n.registry.Invite(t.Context(), root(), keys.Invitation{NewUser: keys.NewUser{
			Email: name + "@example.com", Tenant: "default", Roles: []keys.RoleName{keys.RoleTenantAdmin, keys.RoleViewer},
		}})
		if err != nil {
			t.Fatal(err)
		}
		u, err := n.registry.AcceptCode(t.Context(), made.Code, keys.NewSecret(goodPassword), here)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	signIn := func(r *keys.Registry, u keys.User) (keys.OpenedSession, error) {
		return r.OpenSession(t.Context(), keys.SignIn{Email: u.Email, Password: keys.NewSecret(goodPassword), From: here})
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	gone, disabled, lowered, barred, kept, back := person("gone"), person("disabled"), person("lowered"), person("barred"), person("kept"), person("back")
	session, err := signIn(n.registry, kept)
	check(err)
	code, err := n.registry.Invite(t.Context(), root(), keys.Invitation{NewUser: keys.NewUser{Email: kept.Email}, Known: true})
	check(err)
	generate := func(name string) keys.Generated {
		t.Helper()
		g, err := n.registry.Generate(t.Context(), root(), keys.NewCredential{Kind: keys.Client, Name: name})
		check(err)
		return g
	}
	held, dead := generate("held"), generate("dead")
	copied := filepath.Join(t.TempDir(), "copy.db")
	check(os.WriteFile(copied, nil, 0o600))
	snapshot, err := store.Backup(t.Context(), "sqlite:"+in.path, copied)
	check(err)
	var ends []keys.AuditEnd
	for _, h := range snapshot.Heads {
		ends = append(ends, keys.AuditEnd{Chain: h.Chain, Seq: h.Seq, MAC: h.MAC})
	}

	yes, no := true, false
	check(n.registry.DeleteUser(t.Context(), root(), gone.ID))
	for _, u := range []keys.User{disabled, back} {
		_, err = n.registry.EditUser(t.Context(), root(), u.ID, keys.UserEdit{Disabled: &yes})
		check(err)
	}
	_, err = n.registry.EditUser(t.Context(), root(), back.ID, keys.UserEdit{Disabled: &no})
	check(err)
	_, err = n.registry.AssignRoles(t.Context(), root(), lowered.ID, []keys.RoleName{keys.RoleViewer, keys.RoleDeveloper})
	check(err)
	_, _, err = n.registry.SetKeyAccess(t.Context(), root(), barred.ID, false)
	check(err)
	_, err = n.registry.Suspend(t.Context(), root(), held.Credential.ID, "")
	check(err)
	_, err = n.registry.Revoke(t.Context(), root(), dead.Credential.ID, "")
	check(err)
	check(n.registry.Delete(t.Context(), root(), dead.Credential.ID))
	later, err := keys.LaterInStore(t.Context(), in.vault, n.store, "default", ends)
	check(err)

	in.path = copied
	r := in.start(t)
	for range 2 { // the second time everything is there already
		got, err := r.registry.Replay(t.Context(), root(), later)
		check(err)
		people := keys.ReplayedPeople{
			Disabled: []keys.UserID{disabled.ID}, NoKeys: []keys.UserID{barred.ID}, Lowered: []keys.UserID{lowered.ID}, Edited: []keys.UserID{back.ID},
		}
		if _, err := r.store.User(t.Context(), gone.ID); err == nil {
			t.Error("the deleted person is there again")
		}
		if len(got.People.Deleted) > 0 { // the first time
			people.Deleted = []keys.UserID{gone.ID}
		}
		if diff := cmp.Diff(people, got.People); diff != "" {
			t.Errorf("people (-want +got):\n%s", diff)
		}
	}
	check(r.registry.RecordRestore(t.Context(), root(), time.Now(), nil))

	for u, may := range map[string]struct {
		user keys.User
		may  bool
	}{"gone": {gone, false}, "disabled": {disabled, false}, "kept": {kept, true}, "back": {back, true}} {
		if _, err := signIn(r.registry, may.user); (err == nil) != may.may {
			t.Errorf("%s signs in: got %v, want %t", u, err, may.may)
		}
	}
	if u, err := r.store.User(t.Context(), lowered.ID); err != nil || !slices.Equal(u.Roles, []keys.RoleName{keys.RoleViewer}) {
		t.Errorf("who lost a role has %v, %v, want what the backup and the end have in common", u.Roles, err)
	}
	if u, err := r.store.User(t.Context(), barred.ID); err != nil || !u.NoKeys {
		t.Errorf("who lost access to keys has it again: %v", err)
	}
	if _, _, err := r.registry.SessionActor(t.Context(), session.Text, here); err == nil {
		t.Error("a session of the backup came back to life")
	}
	_, err = r.registry.AcceptCode(t.Context(), code.Code, keys.NewSecret(goodPassword), here)
	want(t, err, keys.SignInRequired)
	if c, err := r.store.Credential(t.Context(), held.Credential.ID, false); err != nil || c.Status != keys.Suspended || c.Hold != keys.HoldProvider {
		t.Errorf("what the provider suspended is %s, held by %q, %v", c.Status, c.Hold, err)
	}
	if c, err := r.store.Credential(t.Context(), dead.Credential.ID, true); err != nil || len(c.Secrets) != 1 || c.Secrets[0].Sealed != nil {
		t.Errorf("the tombstone of what was revoked keeps %d secrets, %v, want its digest and no text", len(c.Secrets), err)
	}
	r.intact(t)
}
