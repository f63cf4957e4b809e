package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"postern/internal/keys"
)

func TestOddSQLite(t *testing.T) { testOdd(t, openSQLite) }

// testOdd asks for what no text in any database is like: nothing is found, and nothing fails.
func testOdd(t *testing.T, open func(*testing.T) keys.Store) {
	s := open(t)
	put(t, s, sample(1))
	for _, odd := range []string{"a\xff", "\xc3\x28", "\x00", "usr_1\x00"} {
		_, credential := s.Credential(t.Context(), keys.CredentialID(odd), true)
		_, tenant := s.Tenant(t.Context(), keys.TenantID(odd))
		_, token := s.Token(t.Context(), keys.TokenID(odd))
		_, user := s.User(t.Context(), keys.UserID(odd))
		_, email := s.UserByEmail(t.Context(), odd)
		for what, err := range map[string]error{"credential": credential, "tenant": tenant, "token": token, "user": user, "e-mail": email} {
			if !errors.Is(err, keys.ErrNotFound) {
				t.Errorf("%q: %s: got error %v, want ErrNotFound", odd, what, err)
			}
		}
		found := 0
		count := func(n int, err error) {
			t.Helper()
			if found += n; err != nil {
				t.Errorf("%q: %v", odd, err)
			}
		}
		for _, f := range []keys.CredentialFilter{
			{Tenant: keys.TenantID(odd)}, {OwnerID: odd}, {Kind: keys.Kind(odd)}, {Status: keys.Status(odd)}, {API: keys.APIName(odd)},
			{Search: odd}, {Own: true, OwnUser: keys.UserID(odd)},
		} {
			f.Now = noon
			page, err := s.Credentials(t.Context(), f)
			count(len(page.Items), err)
		}
		tokens, err := s.Tokens(t.Context(), keys.TokenFilter{Tenant: keys.TenantID(odd)})
		count(len(tokens.Items), err)
		entries, err := s.AuditEntries(t.Context(), odd, 0, 10)
		count(len(entries), err)
		last, err := s.AuditHead(t.Context(), odd)
		count(int(last.Seq), err)
		audit, err := s.ListAudit(t.Context(), keys.AuditFilter{Target: odd})
		count(len(audit.Items), err)
		users, err := s.Users(t.Context(), keys.UserFilter{Everywhere: true, Search: odd})
		count(len(users.Items), err)
		tenants, err := s.Tenants(t.Context(), keys.TenantFilter{Search: odd})
		count(len(tenants.Items), err)
		sessions, err := s.Sessions(t.Context(), keys.UserID(odd))
		count(len(sessions), err)
		n, err := s.CountCredentials(t.Context(), keys.CountFilter{Tenant: keys.TenantID(odd), Now: noon})
		count(n, err)
		uses, err := s.LastUses(t.Context(), []keys.CredentialID{keys.CredentialID(odd)})
		count(len(uses), err)
		if found != 0 {
			t.Errorf("%q: found %d", odd, found)
		}
		_, err = s.Update(t.Context(), func(ctx context.Context, tx keys.Tx) error {
			return tx.PutTenant(ctx, keys.Tenant{ID: "odd", Name: odd, CreatedAt: time.Unix(0, 0), Version: 1})
		})
		if err == nil {
			t.Errorf("%q was written", odd)
		}
	}
}
