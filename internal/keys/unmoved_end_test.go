package keys_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"postern/internal/keys"
)

// TestEndUnmovedSecrets holds that what lost its only secret with a pepper is shown as revoked and not
// counted any more, that a key whose other secret has moved works with that one, and that what is
// declared is left to the configuration.
func TestEndUnmovedSecrets(t *testing.T) {
	files := newSecretFiles(t)
	in := newInstallation(t)
	in.vault = files.vault(t)
	operator := keys.LocalActor("test")
	n := in.start(t)
	made := map[string]keys.Generated{}
	for _, name := range []string{"used", "idle", "suspended", "old moved", "new moved"} {
		g, err := n.registry.Generate(t.Context(), operator, keys.NewCredential{Name: name, APIs: []keys.APIName{"orders"}})
		if err != nil {
			t.Fatal(err)
		}
		made[name] = g
	}
	second := map[string]string{}
	for _, name := range []string{"old moved", "new moved"} {
		g, err := n.registry.Rotate(t.Context(), operator, made[name].Credential.ID, keys.Rotation{})
		if err != nil {
			t.Fatal(err)
		}
		second[name] = g.Secret.Reveal()
	}
	if _, err := n.registry.Suspend(t.Context(), operator, made["suspended"].Credential.ID, ""); err != nil {
		t.Fatal(err)
	}
	declared := keys.Declared{Name: "ci", Hash: sha256.Sum256([]byte("declared text")), Kind: keys.APIKey, Where: "f:1"}
	if err := n.registry.Declare(t.Context(), []keys.Declared{declared}); err != nil {
		t.Fatal(err)
	}
	token, err := n.registry.CreateToken(t.Context(), operator, keys.NewToken{Name: "t", Roles: []keys.RoleName{keys.RoleOperator}})
	if err != nil {
		t.Fatal(err)
	}

	rotated := files.rotated(t)
	in.vault = rotated.vault(t)
	n = in.start(t)
	for _, text := range []string{made["used"].Secret.Reveal(), made["old moved"].Secret.Reveal(), second["new moved"]} {
		if got := n.code(text, ""); got != keys.Admitted {
			t.Fatalf("before the old pepper goes: got %q", got)
		}
	}
	u, err := n.registry.Unmoved(t.Context())
	if err != nil || len(u.Credentials) != 6 || len(u.Tokens) != 1 {
		t.Fatalf("unmoved: %+v, %v, want all keys and the token", u, err)
	}
	n.drain(t) // after they were found: what moves meanwhile is spared
	if err := n.registry.Reseal(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := n.registry.EndUnmovedSecrets(t.Context(), keys.Actor{Permissions: operator.Permissions, Tenant: "default"}, u); err == nil {
		t.Error("somebody of an organisation ends the secrets of all")
	}
	ended, err := n.registry.EndUnmovedSecrets(t.Context(), operator, u)
	if err != nil || len(ended.Revoked) != 2 || len(ended.Kept) != 2 || len(ended.Declared) != 1 || len(ended.Tokens) != 1 || ended.Tokens[0] != token.Token.ID {
		t.Fatalf("ended %+v, %v, want idle and suspended revoked, two kept, the declared one, and the token", ended, err)
	}
	const reason = "its secret was under a pepper that was dropped"
	for name, want := range map[string]struct {
		status  keys.Status
		secrets int
		action  string
	}{
		"used": {keys.Active, 1, ""}, "idle": {keys.Revoked, 1, "key.revoked"}, "suspended": {keys.Revoked, 1, "key.revoked"},
		"old moved": {keys.Active, 1, "key.secret_dropped"}, "new moved": {keys.Active, 1, "key.secret_dropped"},
	} {
		id := made[name].Credential.ID
		c, err := n.registry.Credential(t.Context(), operator, id)
		if err != nil || c.Status != want.status || len(c.Secrets) != want.secrets {
			t.Errorf("%s: %s with %d secrets, %v, want %s with %d", name, c.Status, len(c.Secrets), err, want.status, want.secrets)
		}
		wantEntry(t, n, string(id), want.action, reason)
	}
	wantEntry(t, n, string(token.Token.ID), "token.revoked", reason)
	if again, err := n.registry.EndUnmovedSecrets(t.Context(), operator, u); err != nil || len(again.Revoked)+len(again.Kept)+len(again.Tokens) != 0 {
		t.Errorf("ending the same again: %+v, %v", again, err)
	}

	in.vault = rotated.finished(t).vault(t)
	n = in.start(t)
	if err := n.registry.Declare(t.Context(), []keys.Declared{declared}); err != nil {
		t.Fatal(err)
	}
	if u, err := n.registry.Unmoved(t.Context()); err != nil || len(u.Credentials)+len(u.Tokens)+u.Requests != 0 {
		t.Errorf("unmoved without the old pepper: %+v, %v", u, err)
	}
	for text, want := range map[string]keys.Code{
		made["used"].Secret.Reveal(): keys.Admitted, made["idle"].Secret.Reveal(): keys.InvalidCredentials,
		made["old moved"].Secret.Reveal(): keys.Admitted, second["old moved"]: keys.InvalidCredentials,
		made["new moved"].Secret.Reveal(): keys.InvalidCredentials, second["new moved"]: keys.Admitted,
		"declared text": keys.Admitted,
	} {
		if got := n.code(text, ""); got != want {
			t.Errorf("without the old pepper: got %q, want %q", got, want)
		}
	}
	if got := n.directory.Stats(time.Now()).Forged; got != 0 {
		t.Errorf("%d rows do not authenticate", got)
	}
}

// wantEntry compares the last audit entry about something that has the reason; "" for none.
func wantEntry(t *testing.T, n *node, target, action, reason string) {
	t.Helper()
	page, err := n.store.ListAudit(t.Context(), keys.AuditFilter{Target: target, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, e := range page.Items {
		if e.Detail["reason"] == reason {
			got = e.Action
			break
		}
	}
	if got != action {
		t.Errorf("%s: the audit says %q, want %q", target, got, action)
	}
}
