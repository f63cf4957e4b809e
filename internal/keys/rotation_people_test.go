package keys_test

import (
	"crypto/sha256"
	"database/sql"
	"testing"
	"time"

	"postern/internal/keys"
)

// TestRotationKeepsPeople holds that people can sign in when the pepper is gone that their records were
// written under, that sessions in use go on, and that nothing forged gets a valid MAC by it.
func TestRotationKeepsPeople(t *testing.T) {
	files := newSecretFiles(t)
	in := newInstallation(t)
	in.vault = files.vault(t)
	n := in.start(t)
	invite := func(n *node, email string) keys.Invited {
		t.Helper()
		made, err := n.registry.Invite(t.Context(), root(), keys.Invitation{NewUser: keys.NewUser{Email: email, Tenant: "default", Roles: []keys.RoleName{keys.RoleTenantAdmin}}})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	signIn := func(n *node, email string) (keys.OpenedSession, error) {
		return n.registry.OpenSession(t.Context(), keys.SignIn{Email: email, Password: keys.NewSecret(goodPassword), From: here})
	}
	alive := func(n *node, s keys.OpenedSession) bool {
		_, _, err := n.registry.SessionActor(t.Context(), s.Text, here)
		return err == nil
	}
	for _, email := range []string{"ada@example.com", "eve@example.com"} {
		if _, err := n.registry.AcceptCode(t.Context(), invite(n, email).Code, keys.NewSecret(goodPassword), here); err != nil {
			t.Fatal(err)
		}
	}
	accepted, late := invite(n, "bob@example.com"), invite(n, "cyd@example.com")
	used, err := signIn(n, "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	idle, err := signIn(n, "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	once := keys.Idempotency{Key: "a", Request: sha256.Sum256([]byte("request"))}
	generate := func(n *node) keys.Generated {
		t.Helper()
		g, err := n.registry.Generate(t.Context(), root(), keys.NewCredential{Name: "k", Idempotency: once})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	first := generate(n)
	// Somebody with the database alone enables himself as the provider's operator.
	db, err := sql.Open("sqlite", in.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE users SET tenant = '', roles = '["operator"]' WHERE email = 'eve@example.com'`); err != nil {
		t.Fatal(err)
	}

	rotated := files.rotated(t)
	in.vault = rotated.vault(t)
	n = in.start(t)
	u, err := n.registry.Unmoved(t.Context())
	if err != nil || len(u.Users) != 3 || u.Sessions != 2 || u.Codes != 2 || u.Requests != 1 {
		t.Errorf("unmoved: %+v, %v, want ada, bob and cyd, two sessions, two codes, one request", u, err)
	}
	if _, err := n.registry.AcceptCode(t.Context(), accepted.Code, keys.NewSecret(goodPassword), here); err != nil {
		t.Errorf("a code from before the rotation: %v", err)
	}
	if g := generate(n); !g.Replayed || g.Credential.ID != first.Credential.ID {
		t.Error("a request that is sent again after the rotation took effect twice")
	}
	for range 2 { // the first look may move it, the second finds what was moved
		if !alive(n, used) {
			t.Error("a session did not outlive the rotation")
		}
	}
	if err := n.registry.Reseal(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if u, err = n.registry.Unmoved(t.Context()); err != nil || len(u.Users) != 0 || u.Sessions != 1 || u.Codes != 1 {
		t.Errorf("unmoved when resealed: %+v, %v, want one session and one code", u, err)
	}
	if err := n.registry.EndUnmoved(t.Context()); err != nil {
		t.Fatal(err)
	}

	in.vault = rotated.finished(t).vault(t)
	n = in.start(t)
	for email, want := range map[string]bool{"ada@example.com": true, "bob@example.com": true, "eve@example.com": false} {
		if _, err := signIn(n, email); (err == nil) != want {
			t.Errorf("%s signs in without the old pepper: got %v, want %t", email, err, want)
		}
	}
	if !alive(n, used) || alive(n, idle) {
		t.Errorf("without the old pepper the session in use is alive: %t, and the idle one: %t", alive(n, used), alive(n, idle))
	}
	_, err = n.registry.AcceptCode(t.Context(), late.Code, keys.NewSecret(goodPassword), here)
	want(t, err, keys.SignInRequired)
	if got := n.directory.Stats(time.Now()).Forged; got != 1 {
		t.Errorf("%d rows do not authenticate, want eve's alone", got)
	}
}
