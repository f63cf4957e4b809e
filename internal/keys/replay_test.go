package keys_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
	"postern/internal/store"
)

// exported is a chain as audit export writes it.
func exported(t *testing.T, n *node, chain string) []byte {
	t.Helper()
	x, err := n.registry.ExportAudit(t.Context(), keys.LocalActor("test"), chain, "jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if err := x.Each(t.Context(), func(a *keys.AuditEntry) error { return e.Encode(keys.MakeAuditLine(a)) }); err != nil {
		t.Fatal(err)
	}
	if err := e.Encode(map[string]any{"head": keys.MakeAuditLineHead(x.Head)}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestReplay copies a database, has keys denied, and brings the copy to where they are denied.
func TestReplay(t *testing.T) {
	in := newInstallation(t)
	n := in.start(t)
	operator := keys.LocalActor("test")
	made := map[string]keys.Generated{}
	for _, name := range []string{"revoked", "kept"} {
		g, err := n.registry.Generate(t.Context(), operator, keys.NewCredential{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		made[name] = g
	}
	token, err := n.registry.CreateToken(t.Context(), operator, keys.NewToken{Name: "t", Roles: []keys.RoleName{keys.RoleOperator}})
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(copied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	snapshot, err := store.Backup(t.Context(), "sqlite:"+in.path, copied)
	if err != nil {
		t.Fatal(err)
	}
	var ends []keys.AuditEnd
	for _, h := range snapshot.Heads {
		ends = append(ends, keys.AuditEnd{Chain: h.Chain, Seq: h.Seq, MAC: h.MAC})
	}
	early := exported(t, n, "default")
	if _, err := n.registry.Revoke(t.Context(), operator, made["revoked"].Credential.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.registry.RevokeToken(t.Context(), operator, token.Token.ID); err != nil {
		t.Fatal(err)
	}
	lost, err := n.registry.Generate(t.Context(), operator, keys.NewCredential{Name: "lost"})
	if err != nil {
		t.Fatal(err)
	}

	var later []keys.AuditEntry
	for _, chain := range []string{"default", keys.ProviderChain} {
		text := exported(t, n, chain)
		got, entries, err := keys.LaterInExport(in.vault, bytes.NewReader(text), ends)
		if err != nil || got != chain {
			t.Fatalf("export of %s: %s, %v", chain, got, err)
		}
		fromStore, err := keys.LaterInStore(t.Context(), in.vault, n.store, chain, ends)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(entries, fromStore[:len(entries)]); diff != "" {
			t.Errorf("%s: the export and the store differ:\n%s", chain, diff)
		}
		later = append(later, entries...)
		refusesChanges(t, in.vault, text, ends)
	}
	if _, entries, err := keys.LaterInExport(in.vault, bytes.NewReader(early), ends); err != nil || len(entries) != 1 {
		t.Errorf("an export from right after the backup: %d entries, %v, want the export's own", len(entries), err)
	}
	other := slices.Clone(ends)
	other[0].MAC[0] ^= 1
	if _, _, err := keys.LaterInExport(in.vault, bytes.NewReader(early), other); err == nil || !strings.Contains(err.Error(), "another installation") {
		t.Errorf("an export of another history: got %v", err)
	}

	in.path = copied
	r := in.start(t)
	if got := r.code(made["revoked"].Secret.Reveal(), ""); got != keys.Admitted {
		t.Fatalf("in the copy the key is %q, want admitted", got)
	}
	for range 2 { // the second time everything is there already
		got, err := r.registry.Replay(t.Context(), operator, later)
		if err != nil {
			t.Fatal(err)
		}
		want := keys.Replayed{
			Revoked: []keys.CredentialID{made["revoked"].Credential.ID}, Tokens: []keys.TokenID{token.Token.ID},
			Lost: []keys.CredentialID{lost.Credential.ID}, Others: map[string]int{},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("replayed (-want +got):\n%s", diff)
		}
	}
	if got := r.code(made["revoked"].Secret.Reveal(), ""); got != keys.CredentialRevoked {
		t.Errorf("the revoked key: got %q", got)
	}
	if got := r.code(made["kept"].Secret.Reveal(), ""); got != keys.Admitted {
		t.Errorf("the kept key: got %q", got)
	}
	if _, err := r.registry.TokenActor(t.Context(), token.Secret.Reveal()); err == nil {
		t.Error("the revoked token works")
	}
	head, err := r.store.AuditHead(t.Context(), "default")
	if err != nil || head.Action != "key.revoked" || head.Detail["restored"] != "true" || head.Detail["reason"] != "leaked" {
		t.Errorf("the copy's trail ends with %+v, %v", head, err)
	}
	r.intact(t)
}

// refusesChanges holds that no line of an export can be changed, left out or cut off.
func refusesChanges(t *testing.T, v *keys.Vault, text []byte, ends []keys.AuditEnd) {
	t.Helper()
	lines := bytes.SplitAfter(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for i := range lines {
		changed := map[string][]byte{
			"left out": bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil),
			"cut off":  bytes.Join(lines[:i], nil),
			"altered":  bytes.Replace(text, lines[i], bytes.Replace(lines[i], []byte(`key.revoked`), []byte(`key.resumed`), 1), 1),
		}
		for how, text := range changed {
			if how == "altered" && !bytes.Contains(lines[i], []byte("key.revoked")) {
				continue
			}
			if _, later, err := keys.LaterInExport(v, bytes.NewReader(text), ends); err == nil {
				t.Errorf("line %d %s: got no error and %d entries", i+1, how, len(later))
			}
		}
	}
}

// TestReplayKeepsTheStrongestDenial tries orders in which keys can be denied.
func TestReplayKeepsTheStrongestDenial(t *testing.T) {
	for _, c := range []struct {
		stored  keys.Status
		actions string
		want    keys.Code
		status  keys.Status // "": deleted
	}{
		{keys.Active, "", keys.Admitted, keys.Active},
		{keys.Active, "key.suspended", keys.CredentialSuspended, keys.Suspended},
		{keys.Active, "key.suspended key.resumed", keys.Admitted, keys.Active},
		{keys.Active, "key.suspended key.resumed key.suspended", keys.CredentialSuspended, keys.Suspended},
		{keys.Active, "key.suspended key.revoked", keys.CredentialRevoked, keys.Revoked},
		{keys.Active, "key.revoked key.suspended", keys.CredentialRevoked, keys.Revoked},
		{keys.Active, "key.deleted", keys.InvalidCredentials, ""},
		{keys.Active, "key.revoked key.deleted", keys.InvalidCredentials, ""},
		{keys.Active, "key.rotated key.edited", keys.Admitted, keys.Active},
		{keys.Suspended, "key.resumed", keys.CredentialSuspended, keys.Suspended},
		{keys.Suspended, "key.suspended", keys.CredentialSuspended, keys.Suspended},
		{keys.Revoked, "key.suspended", keys.CredentialRevoked, keys.Revoked},
	} {
		t.Run(fmt.Sprintf("%s then %s", c.stored, c.actions), func(t *testing.T) {
			in := newInstallation(t)
			n := in.start(t)
			g, err := n.registry.Generate(t.Context(), keys.LocalActor("test"), keys.NewCredential{Name: "k"})
			if err != nil {
				t.Fatal(err)
			}
			var entries []keys.AuditEntry
			add := func(action string) {
				entries = append(entries, keys.AuditEntry{Chain: "default", Action: action, Target: string(g.Credential.ID), Time: time.Now()})
			}
			switch c.stored {
			case keys.Suspended:
				add("key.suspended")
			case keys.Revoked:
				add("key.revoked")
			}
			if _, err := n.registry.Replay(t.Context(), keys.LocalActor("test"), entries); err != nil {
				t.Fatal(err)
			}
			entries = nil
			for _, action := range strings.Fields(c.actions) {
				add(action)
			}
			if _, err := n.registry.Replay(t.Context(), keys.LocalActor("test"), entries); err != nil {
				t.Fatal(err)
			}
			if got := n.code(g.Secret.Reveal(), ""); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			stored, err := n.store.Credential(t.Context(), g.Credential.ID, false)
			if c.status == "" && err == nil || c.status != "" && (err != nil || stored.Status != c.status) {
				t.Errorf("stored as %s, %v, want %q", stored.Status, err, c.status)
			}
		})
	}
}

// TestReplayKeepsWhoseWordItWas: a suspension that comes back is still lifted by nobody who could not
// lift it before, however the key stood in the backup.
func TestReplayKeepsWhoseWordItWas(t *testing.T) {
	for _, inBackup := range []string{"active", "suspended by its owner"} {
		for _, by := range []string{"provider", "key access"} {
			t.Run(inBackup+", then suspended by "+by, func(t *testing.T) {
				w := newTown(t)
				owner := w.person("owner", "default", keys.RoleDeveloper)
				his := w.actor(owner)
				id := w.generate(his, "k").Credential.ID
				act := func(what string, err error) {
					t.Helper()
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
				}
				suspend := func() {
					if by == "key access" {
						_, _, err := w.registry.SetKeyAccess(t.Context(), root(), owner.ID, false)
						act("remove key access", err)
						return
					}
					_, err := w.registry.Suspend(t.Context(), root(), id, "abuse")
					act("suspend", err)
				}
				suspend()
				entries, err := w.store.AuditEntries(t.Context(), "default", 0, 1000)
				act("read the audit", err)

				// As the backup has it.
				_, _, err = w.registry.SetKeyAccess(t.Context(), root(), owner.ID, true)
				act("grant key access", err)
				if by == "provider" {
					_, err = w.registry.Resume(t.Context(), root(), id, "")
					act("resume", err)
				}
				if inBackup != "active" {
					_, err = w.registry.Suspend(t.Context(), his, id, "holidays")
					act("suspend one's own", err)
				}
				later := slices.DeleteFunc(entries, func(e keys.AuditEntry) bool { return e.Action != "key.suspended" })
				_, err = w.registry.Replay(t.Context(), root(), later)
				act("replay", err)
				_, err = w.registry.Resume(t.Context(), his, id, "")
				want(t, err, keys.PermissionDenied)
			})
		}
	}
}

// TestReplayedDeletionKeepsNoText: a key that was revoked and deleted leaves no sealed text behind, as
// after Delete.
func TestReplayedDeletionKeepsNoText(t *testing.T) {
	in := newInstallation(t)
	n := in.start(t)
	g := n.generate(t, keys.NewCredential{Kind: keys.Client, Name: "app"})
	id := g.Credential.ID
	if c, err := n.store.Credential(t.Context(), id, false); err != nil || len(c.Secrets[0].Sealed) == 0 {
		t.Fatalf("the client's secret is not sealed: %v", err)
	}
	var later []keys.AuditEntry
	for _, action := range []string{"key.revoked", "key.deleted"} {
		later = append(later, keys.AuditEntry{Chain: "default", Action: action, Target: string(id), Time: time.Now()})
	}
	if _, err := n.registry.Replay(t.Context(), operator(), later); err != nil {
		t.Fatal(err)
	}
	c, err := n.store.Credential(t.Context(), id, true)
	if err != nil || len(c.Secrets) != 1 || c.Secrets[0].Sealed != nil {
		t.Errorf("the tombstone keeps %d secrets, %v; want the digest alone", len(c.Secrets), err)
	}
	n.intact(t)
}
