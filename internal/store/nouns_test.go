package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keys"
)

func isErr(err, want error) bool { return errors.Is(err, want) }

func testTenant(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	off := false
	acme := keys.Tenant{
		ID: "acme", Name: "Acme", Plan: "business", Settings: keys.TenantSettings{KeysEnabled: &off},
		CreatedAt: noon, UpdatedAt: noon.Add(time.Second), Version: 1,
	}
	plain := keys.Tenant{ID: "plain", Version: 1}
	putTenant := func(tenant keys.Tenant) func(context.Context, keys.Tx) error {
		return func(ctx context.Context, tx keys.Tx) error { return tx.PutTenant(ctx, tenant) }
	}
	for _, want := range []keys.Tenant{acme, plain} {
		update(t, s, putTenant(want))
		got, err := s.Tenant(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("tenant %s (-want +got):\n%s", want.ID, diff)
		}
	}
	refused(t, s, keys.ErrDuplicate, putTenant(acme))
	skipped := acme
	skipped.Version = 3
	refused(t, s, keys.ErrConflict, putTenant(skipped))
	second := acme
	second.Version, second.Settings.KeysEnabled = 2, nil
	update(t, s, putTenant(second))
	got, err := s.Tenant(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, got, compare); diff != "" {
		t.Errorf("second version (-want +got):\n%s", diff)
	}
	if _, err := s.Tenant(t.Context(), "acme\x00"); !isErr(err, keys.ErrNotFound) {
		t.Errorf("an id with a NUL: got error %v, want ErrNotFound", err)
	}
	nul := keys.Tenant{ID: "nul", Name: "a\x00b", Version: 1}
	if _, err := s.Update(t.Context(), putTenant(nul)); err == nil {
		t.Error("a name with a NUL: got no error")
	}
	if _, err := s.Tenant(t.Context(), "none"); !isErr(err, keys.ErrNotFound) {
		t.Errorf("absent: got error %v, want ErrNotFound", err)
	}
}

func testToken(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	token := func(n int) keys.Token {
		return keys.Token{
			ID: keys.TokenID(fmt.Sprintf("tok_%d", n)), Name: "ci ☂", Tenant: "acme", Roles: []keys.RoleName{"auditor", "viewer"}, ActsAs: "usr_1",
			Digest: keys.Digest(sum("token", n)), Pepper: 7, Preview: "pst_adm", CreatedBy: "local", CreatedAt: noon,
			ExpiresAt: time.Unix(0, 0).UTC(), RevokedAt: noon.Add(time.Hour), Version: 1, MAC: keys.RowMAC(sum("mac", n)),
		}
	}
	putToken := func(token keys.Token) func(context.Context, keys.Tx) error {
		return func(ctx context.Context, tx keys.Tx) error { return tx.PutToken(ctx, token) }
	}
	bareToken := keys.Token{ID: "tok_bare", Digest: keys.Digest(sum("bare", 0)), CreatedAt: noon.Add(time.Second), Version: 1}
	before, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []keys.Token{token(1), token(2), token(3), bareToken} {
		seq := update(t, s, putToken(want))
		if seq != before {
			t.Errorf("a token is no change for the directory: got number %d, want %d", seq, before)
		}
		got, err := s.Token(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("by id (-want +got):\n%s", diff)
		}
		if got, err = s.TokenByDigest(t.Context(), want.Digest); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("by digest (-want +got):\n%s", diff)
		}
	}
	if _, err := s.Token(t.Context(), "tok_none"); !isErr(err, keys.ErrNotFound) {
		t.Errorf("absent id: got error %v, want ErrNotFound", err)
	}
	if _, err := s.TokenByDigest(t.Context(), keys.Digest{}); !isErr(err, keys.ErrNotFound) {
		t.Errorf("absent digest: got error %v, want ErrNotFound", err)
	}
	sameDigest := token(9)
	sameDigest.Digest = token(1).Digest
	refused(t, s, keys.ErrDuplicate, putToken(sameDigest))
	refused(t, s, keys.ErrDuplicate, putToken(token(1)))
	stale := token(1)
	stale.Version = 3
	refused(t, s, keys.ErrConflict, putToken(stale))

	nul := token(10)
	nul.Name = "a\x00b"
	if _, err := s.Update(t.Context(), putToken(nul)); err == nil {
		t.Error("a name with a NUL: got no error")
	}
	if _, err := s.Token(t.Context(), "tok_1\x00"); !isErr(err, keys.ErrNotFound) {
		t.Errorf("an id with a NUL: got error %v, want ErrNotFound", err)
	}

	// Newest first, ties by id, in pages of every size.
	const want = "tok_bare tok_3 tok_2 tok_1"
	for limit := 1; limit <= 5; limit++ {
		var got []string
		f := keys.TokenFilter{Limit: limit}
		for {
			page, err := s.Tokens(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range page.Items {
				got = append(got, string(token.ID))
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
		if list := strings.Join(got, " "); list != want {
			t.Errorf("pages of %d: got %q, want %q", limit, list, want)
		}
	}
	page, err := s.Tokens(t.Context(), keys.TokenFilter{Tenant: "acme"})
	if err != nil || len(page.Items) != 3 {
		t.Errorf("one tenant's: got %d, %v, want 3", len(page.Items), err)
	}
}

func testAudit(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	entry := func(chain string, n int64) keys.AuditEntry {
		return keys.AuditEntry{
			Chain: chain, Seq: n, Time: noon.Add(time.Duration(n) * time.Microsecond),
			Actor:  keys.ActorRef{Type: keys.ActorToken, ID: "tok_1", Name: "ci"},
			Action: "key.generated", Target: "key_1", Detail: map[string]string{"name": "<a> & \"b\"", "empty": ""},
			Address: "192.0.2.1", Request: "req-1", Prev: keys.RowMAC(sum("audit", int(n-1))), MAC: keys.RowMAC(sum("audit", int(n))),
		}
	}
	head, err := s.AuditHead(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keys.AuditEntry{}, head, compare); diff != "" {
		t.Errorf("head of an empty chain (-want +got):\n%s", diff)
	}
	var want []keys.AuditEntry
	update(t, s, func(ctx context.Context, tx keys.Tx) error {
		for n := int64(1); n <= 5; n++ {
			e := entry("acme", n)
			if n == 3 {
				e = keys.AuditEntry{Chain: "acme", Seq: 3, Time: noon}
			}
			want = append(want, e)
			if err := tx.AppendAudit(ctx, e); err != nil {
				return err
			}
			head, err := tx.AuditHead(ctx, "acme")
			if err != nil || head.Seq != n {
				t.Errorf("head within the update: got %d, %v, want %d", head.Seq, err, n)
			}
		}
		return tx.AppendAudit(ctx, entry(keys.ProviderChain, 1))
	})
	got, err := s.AuditEntries(t.Context(), "acme", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	part, err := s.AuditEntries(t.Context(), "acme", 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[2:4], part, compare); diff != "" {
		t.Errorf("two after the second (-want +got):\n%s", diff)
	}
	if head, err = s.AuditHead(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[4], head, compare); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	refused(t, s, keys.ErrDuplicate, func(ctx context.Context, tx keys.Tx) error { return tx.AppendAudit(ctx, entry("acme", 5)) })
	heads, err := s.AuditHeads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]keys.AuditEntry{want[4], entry(keys.ProviderChain, 1)}, heads, compare); diff != "" {
		t.Errorf("heads of all chains (-want +got):\n%s", diff)
	}
}

func testMeta(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	if _, err := s.Meta(t.Context(), "canary"); !isErr(err, keys.ErrNotFound) {
		t.Errorf("absent: got error %v, want ErrNotFound", err)
	}
	for _, value := range []string{"first", "second \x00\xff", ""} {
		update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.PutMeta(ctx, "canary", []byte(value)) })
		got, err := s.Meta(t.Context(), "canary")
		if err != nil || string(got) != value {
			t.Errorf("got %q, %v, want %q", got, err, value)
		}
	}
	update(t, s, func(ctx context.Context, tx keys.Tx) error { return tx.PutMeta(ctx, "nil", nil) })
	if got, err := s.Meta(t.Context(), "nil"); err != nil || len(got) != 0 {
		t.Errorf("nil value: got %q, %v, want an empty one", got, err)
	}
}
