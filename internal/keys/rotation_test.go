package keys_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
)

// secretFiles are the texts of an installation's pepper and keyset.
type secretFiles struct{ pepper, keyset []byte }

func (f secretFiles) vault(t *testing.T) *keys.Vault {
	t.Helper()
	v, err := keys.OpenVault(f.pepper, f.keyset)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// rotated adds a pepper and a keyset key.
func (f secretFiles) rotated(t *testing.T) secretFiles {
	t.Helper()
	pepper, err := keys.AddPepper(f.pepper, nil)
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := keys.AddKeysetKey(f.keyset)
	if err != nil {
		t.Fatal(err)
	}
	return secretFiles{pepper, keyset}
}

// finished drops the old peppers.
func (f secretFiles) finished(t *testing.T) secretFiles {
	t.Helper()
	pepper, _, err := keys.RetirePeppers(f.pepper)
	if err != nil {
		t.Fatal(err)
	}
	return secretFiles{pepper, f.keyset}
}

func newSecretFiles(t *testing.T) secretFiles {
	t.Helper()
	pepper, err := keys.NewPepper(nil)
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := keys.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return secretFiles{pepper, keyset}
}

// drain writes the moves that wait.
func (n *node) drain(t *testing.T) int {
	t.Helper()
	var list []keys.Move
	for {
		select {
		case m := <-n.directory.Moves():
			list = append(list, m)
			continue
		default:
		}
		break
	}
	if err := n.registry.MoveSecrets(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func (n *node) old() int { return n.directory.Stats(time.Now().Add(time.Hour)).OldPepper }

func TestRotationMovesEverything(t *testing.T) {
	files := newSecretFiles(t)
	in := newInstallation(t)
	in.vault = files.vault(t)
	operator := keys.LocalActor("test")
	make := func(n *node, kind keys.Kind, name string) keys.Generated {
		t.Helper()
		g, err := n.registry.Generate(t.Context(), operator, keys.NewCredential{Kind: kind, Name: name, APIs: []keys.APIName{"orders"}})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	declared := keys.Declared{Name: "ci", Hash: sha256.Sum256([]byte("declared text")), Kind: keys.APIKey, Where: "f:1"}
	gone := keys.Declared{Name: "gone", Hash: sha256.Sum256([]byte("gone text")), Kind: keys.APIKey, Where: "f:2"}

	n := in.start(t)
	key, client, forged, revoked := make(n, keys.APIKey, "key"), make(n, keys.Client, "client"), make(n, keys.APIKey, "forged"), make(n, keys.APIKey, "revoked")
	for _, ds := range [][]keys.Declared{{declared, gone}, {declared}} {
		if err := n.registry.Declare(t.Context(), ds); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.registry.Revoke(t.Context(), operator, revoked.Credential.ID, ""); err != nil {
		t.Fatal(err)
	}
	token, err := n.registry.CreateToken(t.Context(), operator, keys.NewToken{Name: "t", Roles: []keys.RoleName{keys.RoleOperator}})
	if err != nil {
		t.Fatal(err)
	}
	// Somebody with the database alone makes a key of another plan.
	in.forge(t, forged.Credential.ID)

	// A registry that keeps the pepper writes what those before the rotation understand.
	rotatedFiles := files.rotated(t)
	newer := rotatedFiles.vault(t)
	offline, err := keys.OpenRegistry(t.Context(), keys.RegistryOptions{Store: n.store, Vault: newer, Format: in.format, Catalog: in.catalog, KeepPepper: true})
	if err != nil {
		t.Fatal(err)
	}
	between, err := offline.Generate(t.Context(), operator, keys.NewCredential{Name: "between"})
	if err != nil || offline.PepperInForce() != 1 {
		t.Fatalf("offline: %v, pepper %d, want 1", err, offline.PepperInForce())
	}
	if got := waitCode(t, n, between.Secret.Reveal()); got != keys.Admitted {
		t.Errorf("a key made offline between rotation and restart: got %q", got)
	}

	// The next start.
	in.vault = newer
	n = in.start(t)
	if err := n.registry.Declare(t.Context(), []keys.Declared{declared}); err != nil {
		t.Fatal(err)
	}
	if got := n.code("declared text", ""); got != keys.Admitted {
		t.Errorf("the declared key: got %q", got)
	}
	if got := n.old(); got != 3 {
		t.Errorf("%d secrets are under the old pepper, want 3: key, client, between", got)
	}
	for range 3 { // again and again: one move
		if got := n.code(key.Secret.Reveal(), ""); got != keys.Admitted {
			t.Errorf("the key: got %q", got)
		}
	}
	if got := n.code(client.Secret.Reveal(), string(client.Credential.ID)); got != keys.Admitted {
		t.Errorf("the client: got %q", got)
	}
	if got := n.code(forged.Secret.Reveal(), ""); got != keys.InvalidCredentials {
		t.Errorf("the forged key: got %q", got)
	}
	if moved := n.drain(t); moved != 4 || n.old() != 1 {
		t.Errorf("%d moves left %d behind, want 4 and 1", moved, n.old())
	}
	if got := n.code(key.Secret.Reveal(), ""); got != keys.Admitted || n.drain(t) != 0 {
		t.Errorf("the key that moved: got %q, or it moves again", got)
	}
	u, err := n.registry.Unmoved(t.Context())
	if err != nil || len(u.Credentials) != 1 || u.Credentials[0] != between.Credential.ID || len(u.Tokens) != 1 {
		t.Errorf("unmoved: %+v, %v, want the key between and the token", u, err)
	}
	if _, err := n.registry.TokenActor(t.Context(), token.Secret.Reveal()); err != nil {
		t.Errorf("the token: %v", err)
	}
	n.code(between.Secret.Reveal(), "")
	n.drain(t)
	if u, err := n.registry.Unmoved(t.Context()); err != nil || len(u.Credentials)+len(u.Tokens) != 0 {
		t.Errorf("unmoved after all were used: %+v, %v", u, err)
	}
	rests := 0
	if err := n.registry.Reseal(t.Context(), func(time.Duration) { rests++ }); err != nil || rests == 0 {
		t.Fatalf("reseal: %v, %d rests", err, rests)
	}
	before, _ := n.store.Head(t.Context())
	if err := n.registry.Reseal(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if after, _ := n.store.Head(t.Context()); after != before {
		t.Error("resealing again writes again")
	}

	// Without the old pepper, and with the newest key of the keyset alone in mind.
	in.vault = rotatedFiles.finished(t).vault(t)
	n = in.start(t)
	for text, want := range map[string]keys.Code{
		key.Secret.Reveal(): keys.Admitted, between.Secret.Reveal(): keys.Admitted, "declared text": keys.Admitted,
		forged.Secret.Reveal(): keys.InvalidCredentials, revoked.Secret.Reveal(): keys.InvalidCredentials,
	} {
		if got := n.code(text, ""); got != want {
			t.Errorf("without the old pepper: got %q, want %q", got, want)
		}
	}
	if got := n.directory.Stats(time.Now()).Forged; got != 1 {
		t.Errorf("%d rows do not authenticate, want the forged one alone", got)
	}
	c, err := n.store.Credential(t.Context(), client.Credential.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := in.vault.Open(c.Tenant, c.ID, c.Secrets[0].ID, c.Secrets[0].Sealed); err != nil || text.Reveal() != client.Secret.Reveal() {
		t.Errorf("the client's sealed secret: %v", err)
	}
	// The tombstone was resealed too: the declaration may come back.
	if err := n.registry.Declare(t.Context(), []keys.Declared{declared, gone}); err != nil {
		t.Fatal(err)
	}
	if got := n.code("gone text", ""); got != keys.Admitted {
		t.Errorf("a declared key that comes back: got %q", got)
	}
	heads, err := n.store.AuditHeads(t.Context())
	if err != nil || len(heads) != 2 {
		t.Fatalf("%d audit chains, %v, want 2", len(heads), err)
	}
	for _, h := range heads {
		v, err := n.registry.VerifyAudit(t.Context(), operator, h.Chain, nil)
		if err != nil || v.Fault != nil || v.Head.Count < 2 {
			t.Errorf("chain %s: %+v, %v", h.Chain, v, err)
		}
	}
}

// waitCode is code, when the directory has applied what the store holds.
func waitCode(t *testing.T, n *node, text string) keys.Code {
	t.Helper()
	head, err := n.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := n.directory.WaitApplied(ctx, head); err != nil {
		t.Fatal(err)
	}
	return n.code(text, "")
}

// forge changes a credential's row as somebody does who has the database and no pepper.
func (in *installation) forge(t *testing.T, id keys.CredentialID) {
	t.Helper()
	db, err := sql.Open("sqlite", in.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	res, err := db.Exec("UPDATE credentials SET record = CAST(replace(record, 'standard', 'stolen!!') AS BLOB) WHERE id = ?", string(id))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("forged %d rows, %v", n, err)
	}
}

func TestPepperFiles(t *testing.T) {
	first, err := keys.NewPepper(strings.NewReader(strings.Repeat("a", 32)))
	if err != nil {
		t.Fatal(err)
	}
	commented := append([]byte("\ufeff# of the north\r\n\n"), first...)
	second, err := keys.AddPepper(commented, strings.NewReader(strings.Repeat("b", 32)))
	if err != nil {
		t.Fatal(err)
	}
	third, err := keys.AddPepper(second, strings.NewReader(strings.Repeat("c", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(third), string(commented)) || strings.Count(string(third), "\n") != 5 {
		t.Errorf("peppers were not just added: %q", third)
	}
	last, dropped, err := keys.RetirePeppers(third)
	if err != nil || len(dropped) != 2 || dropped[0] != 1 || dropped[1] != 2 {
		t.Fatalf("dropped %v, %v, want 1 and 2", dropped, err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(first)), "\n") {
		_, secret, _ := strings.Cut(line, ":")
		if strings.Contains(string(last), secret) {
			t.Error("the pepper that was dropped is still there")
		}
	}
	if again, dropped, err := keys.RetirePeppers(last); err != nil || len(dropped) != 0 || string(again) != string(last) {
		t.Errorf("dropping again: %v, %v", dropped, err)
	}
	v, err := keys.OpenVault(last, nil)
	if err != nil || v.PepperVersion() != 3 || v.Superseded() {
		t.Errorf("the last file: %v", err)
	}
	next, err := keys.AddPepper(last, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := keys.OpenVault(next, nil); err != nil || v.PepperVersion() != 4 || v.NewestPepper() != 4 || !v.Superseded() {
		t.Errorf("one more: %v", err)
	}
	for name, bad := range map[string]string{
		"nothing":             "",
		"only a dropped one":  "1:audit:" + strings.SplitN(strings.TrimSpace(string(first)), ":", 2)[1],
		"the newest dropped":  string(first) + "2:audit:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=",
		"one version twice":   string(first) + "1:audit:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=",
		"the highest version": "4294967295:" + strings.SplitN(strings.TrimSpace(string(first)), ":", 2)[1],
	} {
		if _, err := keys.AddPepper([]byte(bad), nil); err == nil || strings.Contains(err.Error(), "YWFh") {
			t.Errorf("%s: got %v, want an error without the secret", name, err)
		}
	}
}

// TestAnOldPepperRewritesNoHistory: whoever has the database and a pepper that was superseded cannot
// give a chain another past.
func TestAnOldPepperRewritesNoHistory(t *testing.T) {
	files := newSecretFiles(t)
	in := newInstallation(t)
	in.vault = files.vault(t)
	operator := keys.LocalActor("test")
	n := in.start(t)
	for _, name := range []string{"a", "b"} {
		if _, err := n.registry.Generate(t.Context(), operator, keys.NewCredential{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	next := files.rotated(t)
	for _, c := range []struct {
		what  string
		vault *keys.Vault
	}{{"superseded", next.vault(t)}, {"dropped", next.finished(t).vault(t)}} {
		in.vault = c.vault
		n = in.start(t)
		if got, err := n.registry.VerifyAudit(t.Context(), operator, "default", nil); err != nil || got.Fault != nil {
			t.Fatalf("%s: before anything was done: %+v, %v", c.what, got.Fault, err)
		}
		keep := in.saved(t)
		// The chain ends before the second key and before the rotation, as the old pepper says it.
		old := files.vault(t)
		first, err := n.store.AuditEntries(t.Context(), "default", 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		in.rewriteChain(t, old.SealAuditHead("default", 1, first[0].MAC))
		if got, err := n.registry.VerifyAudit(t.Context(), operator, "default", nil); err != nil || got.Fault == nil {
			t.Errorf("%s: a chain that was cut off under the old pepper holds: %v", c.what, err)
		}
		keep()
	}
}

// saved remembers the chain; the result puts it back.
func (in *installation) saved(t *testing.T) func() {
	t.Helper()
	do := func(statements ...string) {
		t.Helper()
		db, err := sql.Open("sqlite", in.path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	do("CREATE TABLE kept_audit AS SELECT * FROM audit", "CREATE TABLE kept_meta AS SELECT * FROM meta")
	return func() {
		do("DELETE FROM audit", "INSERT INTO audit SELECT * FROM kept_audit", "DROP TABLE kept_audit",
			"DELETE FROM meta", "INSERT INTO meta SELECT * FROM kept_meta", "DROP TABLE kept_meta")
	}
}

// rewriteChain cuts the default chain off after one entry and gives it a head.
func (in *installation) rewriteChain(t *testing.T, h keys.AuditHead) {
	t.Helper()
	db, err := sql.Open("sqlite", in.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	value := append(binary.BigEndian.AppendUint64(nil, uint64(h.Count)), h.Hash[:]...)
	if _, err := db.Exec("DELETE FROM audit WHERE chain = 'default' AND seq > 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE meta SET value = ? WHERE name = 'audit_head:default'", value); err != nil {
		t.Fatal(err)
	}
}
