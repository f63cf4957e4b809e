package keys_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/keys"
)

func (w *town) signIn(email, password string, from keys.Caller) error {
	_, err := w.registry.OpenSession(w.t.Context(), keys.SignIn{Email: email, Password: keys.NewSecret(password), From: from})
	return err
}

func (w *town) alive(text keys.Secret) bool {
	w.t.Helper()
	_, _, err := w.registry.SessionActor(w.t.Context(), text, here)
	if err != nil {
		want(w.t, err, keys.SignInRequired)
	}
	return err == nil
}

func TestSessionOfAPerson(t *testing.T) {
	w := newTown(t)
	w.tenant("acme")
	ada := w.invited("ada", "acme", keys.RoleDeveloper, keys.RoleTenantAdmin)
	opened := w.open(keys.User{Email: "  ADA@example.com "})
	a, s, err := w.registry.SessionActor(t.Context(), opened.Text, here)
	if err != nil {
		t.Fatal(err)
	}
	if a.Type != keys.ActorUser || a.User != ada.ID || a.Tenant != "acme" || !a.Permissions.Has(keys.KeysGenerate) || !a.Permissions.Has(keys.UsersManage) ||
		a.Permissions.Has(keys.TenantsManage) || !a.Confirmed.Equal(w.clock()) || s.User != ada.ID || s.Address != "192.0.2.7" {
		t.Errorf("got %+v, %+v", a, s)
	}
	if err := w.registry.CloseSession(t.Context(), opened.Text, here); err != nil {
		t.Fatal(err)
	}
	if w.alive(opened.Text) {
		t.Error("a session lives on after signing out")
	}
	if err := w.registry.CloseSession(t.Context(), opened.Text, here); err != nil {
		t.Errorf("signing out twice: %v", err)
	}
	if got := w.actions("acme", string(ada.ID)); strings.Join(got, " ") != "user.created user.invited user.password_set session.opened session.closed" {
		t.Errorf("audit: %v", got)
	}
}

func TestSessionEnds(t *testing.T) {
	w := newTown(t)
	ada := w.person("ada", "default", keys.RoleDeveloper)
	idle := w.open(ada).Text
	w.advance(keys.SessionIdle - time.Microsecond)
	if !w.alive(idle) {
		t.Error("a session ended before its time")
	}
	w.advance(keys.SessionIdle - time.Microsecond)
	if !w.alive(idle) {
		t.Error("use did not keep the session alive")
	}
	w.advance(keys.SessionIdle)
	if w.alive(idle) {
		t.Error("an idle session lives on")
	}

	used := w.open(ada)
	for range 12 * 3 {
		w.advance(20 * time.Minute)
		w.alive(used.Text)
	}
	if w.alive(used.Text) {
		t.Error("a session lives longer than 12 hours")
	}
	used = w.open(ada)
	w.advance(20 * time.Minute)
	confirmed, err := w.registry.ConfirmSession(t.Context(), used.Text, keys.NewSecret(goodPassword), here)
	if err != nil {
		t.Fatal(err)
	}
	if !confirmed.Session.CreatedAt.Equal(used.Session.CreatedAt) || !confirmed.Actor.Confirmed.Equal(w.clock()) {
		t.Errorf("confirming made a session live longer, or did not confirm: %+v", confirmed.Session)
	}
}

// TestSessionFixation: who knows a text from before a sign-in or a confirmation knows nothing after it.
func TestSessionFixation(t *testing.T) {
	w := newTown(t)
	ada := w.person("ada", "default", keys.RoleDeveloper)
	first := w.open(ada)
	second, err := w.registry.OpenSession(t.Context(), keys.SignIn{Email: ada.Email, Password: keys.NewSecret(goodPassword), Before: first.Text, From: here})
	if err != nil {
		t.Fatal(err)
	}
	third, err := w.registry.ConfirmSession(t.Context(), second.Text, keys.NewSecret(goodPassword), here)
	if err != nil {
		t.Fatal(err)
	}
	if w.alive(first.Text) || w.alive(second.Text) || !w.alive(third.Text) {
		t.Error("a text from before lives on, or the new one does not")
	}
	chosen := keys.NewSecret(strings.Repeat("A", 43))
	if _, err := w.registry.OpenSession(t.Context(), keys.SignIn{Email: ada.Email, Password: keys.NewSecret(goodPassword), Before: chosen, From: here}); err != nil {
		t.Fatal(err)
	}
	if w.alive(chosen) {
		t.Error("a text that the browser chose became a session")
	}
	if _, err := w.registry.ConfirmSession(t.Context(), third.Text, keys.NewSecret("not the password"), here); err == nil || !w.alive(third.Text) {
		t.Error("a wrong password confirmed, or ended the session")
	}
}

func TestForgedPeopleGetNothing(t *testing.T) {
	w := newTown(t)
	ada := w.person("ada", "default", keys.RoleDeveloper)
	bob := w.person("bob", "default", keys.RoleViewer)
	opened, his := w.open(ada), w.open(bob)

	stored := func() keys.User {
		u, err := w.store.User(t.Context(), bob.ID)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	good := stored()
	for name, change := range map[string]func(*keys.User){
		"more roles":       func(u *keys.User) { u.Roles = []keys.RoleName{keys.RoleOperator} },
		"another tenant":   func(u *keys.User) { u.Tenant = "" },
		"another e-mail":   func(u *keys.User) { u.Email = "root@example.com" },
		"another password": func(u *keys.User) { u.Password = ada.Password },
		"keys again":       func(u *keys.User) { u.NoKeys = true },
	} {
		w.write(func(ctx context.Context, tx keys.Tx) error {
			u := stored()
			u.Tenant, u.Email, u.Roles, u.Password, u.NoKeys = good.Tenant, good.Email, good.Roles, good.Password, good.NoKeys
			change(&u)
			u.Version++
			return tx.PutUser(ctx, u)
		})
		if w.alive(his.Text) {
			t.Errorf("%s: the session of an altered record counts", name)
		}
		if err := w.signIn(stored().Email, goodPassword, here); err == nil {
			t.Errorf("%s: an altered record signs in", name)
		}
		if _, err := w.registry.UserNamed(t.Context(), root(), bob.ID); err == nil {
			t.Errorf("%s: an altered record is shown as true", name)
		}
		_, err := w.registry.AssignRoles(t.Context(), root(), bob.ID, nil)
		want(t, err, keys.InvalidState)
		page, err := w.registry.Users(t.Context(), root(), "", keys.UserFilter{})
		if err != nil || slices.ContainsFunc(page.Items, func(u keys.User) bool { return u.ID == bob.ID }) {
			t.Errorf("%s: an altered record is listed (%v)", name, err)
		}
	}

	// Sessions: another person's digest, an older sign-in made young, a row made up.
	for name, change := range map[string]func(*keys.Session){
		"another person": func(s *keys.Session) { s.User = bob.ID },
		"younger":        func(s *keys.Session) { s.CreatedAt, s.SeenAt = w.clock(), w.clock() },
		"confirmed":      func(s *keys.Session) { s.ConfirmedAt = w.clock().Add(time.Hour) },
		"made up":        func(s *keys.Session) { s.MAC = keys.RowMAC{} },
	} {
		w.advance(time.Second)
		s := opened.Session
		change(&s)
		w.write(func(ctx context.Context, tx keys.Tx) error { return tx.PutSession(ctx, s) })
		if w.alive(opened.Text) {
			t.Errorf("a session altered to be %s counts", name)
		}
	}
}

func TestForgedCodes(t *testing.T) {
	w := newTown(t)
	ada, bob := w.person("ada", "provider", keys.RoleOperator), w.person("bob", "default", keys.RoleViewer)
	made, err := w.registry.Invite(t.Context(), root(), keys.Invitation{NewUser: keys.NewUser{Email: bob.Email}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := w.store.LinkByDigest(t.Context(), w.vault.Digest(made.Code.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*keys.Link){
		"for another":  func(l *keys.Link) { l.User = ada.ID },
		"longer lived": func(l *keys.Link) { l.ExpiresAt = l.ExpiresAt.Add(time.Hour) },
	} {
		forged := l
		change(&forged)
		w.write(func(ctx context.Context, tx keys.Tx) error {
			if err := tx.DeleteLinks(ctx, l.User); err != nil {
				return err
			}
			return tx.PutLink(ctx, forged)
		})
		if _, err := w.registry.AcceptCode(t.Context(), made.Code, keys.NewSecret(goodPassword), here); err == nil {
			t.Errorf("a code forged to be %s is accepted", name)
		}
		w.write(func(ctx context.Context, tx keys.Tx) error { return tx.DeleteLinks(ctx, forged.User) })
	}
}

func TestSignInIsRefusedAlike(t *testing.T) {
	w := newTown(t)
	ada := w.person("ada", "default", keys.RoleDeveloper)
	if _, err := w.registry.CreateUser(t.Context(), root(), keys.NewUser{Email: "new@example.com"}); err != nil {
		t.Fatal(err)
	}
	gone := w.person("gone", "default")
	yes := true
	if _, err := w.registry.EditUser(t.Context(), root(), gone.ID, keys.UserEdit{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, c := range []struct{ email, password string }{
		{ada.Email, "wrong password 1"}, {"nobody@example.com", goodPassword}, {"new@example.com", goodPassword}, {"new@example.com", ""},
		{gone.Email, goodPassword}, {"", goodPassword}, {"a\x00@example.com", goodPassword}, {strings.Repeat("a", 5000), goodPassword}, {ada.Email, ""},
	} {
		texts = append(texts, want(t, w.signIn(c.email, c.password, here), keys.SignInRequired).Error())
	}
	if texts = slices.Compact(texts); len(texts) != 1 {
		t.Errorf("refusals differ: %q", texts)
	}
}

func TestSignInIsThrottled(t *testing.T) {
	w := newTown(t)
	ada := w.person("ada", "default", keys.RoleDeveloper)
	elsewhere := keys.Caller{Address: netip.MustParseAddr("198.51.100.1")}
	for range 5 {
		want(t, w.signIn(ada.Email, "wrong password 1", here), keys.SignInRequired)
		w.advance(time.Minute)
	}
	r := want(t, w.signIn(ada.Email, goodPassword, here), keys.TooManyFailuresHere)
	if r.RetryAfter != 10*time.Minute {
		t.Errorf("got %s to wait, want the rest of the quarter", r.RetryAfter)
	}
	if err := w.signIn(ada.Email, goodPassword, elsewhere); err != nil {
		t.Errorf("a stranger's tries lock the person out elsewhere: %v", err)
	}
	if err := w.signIn("bob@example.com", goodPassword, here); err == nil || strings.Contains(err.Error(), "too_many") {
		t.Errorf("tries at one account count for another: %v", err)
	}
	w.advance(10 * time.Minute)
	if err := w.signIn(ada.Email, goodPassword, here); err != nil {
		t.Errorf("after the quarter: %v", err)
	}
	for range 20 { // right passwords are not counted
		if err := w.signIn(ada.Email, goodPassword, here); err != nil {
			t.Fatal(err)
		}
	}

	// From everywhere at once: the account answers later and later, up to three seconds, and never not.
	w.waited = nil
	for i := range 30 {
		from := keys.Caller{Address: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})}
		want(t, w.signIn(ada.Email, "wrong password 1", from), keys.SignInRequired)
	}
	if !slices.IsSorted(w.waited) || w.waited[0] != 0 || w.waited[29] != 3*time.Second {
		t.Errorf("delays: %v", w.waited)
	}
	if err := w.signIn(ada.Email, goodPassword, elsewhere); err != nil {
		t.Errorf("under attack from everywhere: %v", err)
	}
}

func TestFailedSignInsAreGathered(t *testing.T) {
	w := newTown(t)
	w.tenant("acme")
	ada := w.person("ada", "acme")
	for range 3 {
		want(t, w.signIn(ada.Email, "wrong password 1", here), keys.SignInRequired)
	}
	want(t, w.signIn("my secret password", "ada@example.com", here), keys.SignInRequired) // typed into the wrong fields
	before := func() time.Time { return w.clock().Truncate(time.Minute) }
	if err := w.registry.FlushFailedSignIns(t.Context(), before()); err != nil {
		t.Fatal(err)
	}
	if got := w.actions("acme", string(ada.ID)); slices.Contains(got, "session.refused") {
		t.Error("a minute was written before it was over")
	}
	w.advance(time.Minute)
	for range 2 {
		if err := w.registry.FlushFailedSignIns(t.Context(), before()); err != nil {
			t.Fatal(err)
		}
	}
	var entries []keys.AuditEntry
	for _, chain := range []string{"acme", keys.ProviderChain} {
		all, err := w.store.AuditEntries(t.Context(), chain, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Action == "session.refused" {
				entries = append(entries, e)
			}
		}
	}
	if len(entries) != 2 || entries[0].Detail["count"] != "3" || entries[0].Target != string(ada.ID) || entries[0].Address != "192.0.2.7" ||
		entries[1].Detail["count"] != "1" || entries[1].Target != "" {
		t.Errorf("got %+v", entries)
	}
	for _, e := range entries {
		for _, text := range e.Detail {
			if strings.Contains(text, "secret") || strings.Contains(text, "wrong password") {
				t.Errorf("the audit tells what was typed: %v", e.Detail)
			}
		}
	}
}

func TestOneTimeCodes(t *testing.T) {
	w := newTown(t)
	accept := func(code keys.Secret, password string) error {
		_, err := w.registry.AcceptCode(t.Context(), code, keys.NewSecret(password), here)
		return err
	}
	invite := func(email string) keys.Invited {
		made, err := w.registry.Invite(t.Context(), root(), keys.Invitation{NewUser: keys.NewUser{Email: email}})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	first := invite("ada@example.com")
	for _, bad := range []string{"short", strings.Repeat("a", 12), strings.Repeat("é", 201), "ADA@example.com", "\xff\xfe\xfd\xfc" + goodPassword} {
		if r := want(t, accept(first.Code, bad), keys.ValidationFailed); r.Fields[0].Field != "password" {
			t.Errorf("password %q: %v", bad, r)
		}
	}
	second := invite("ada@example.com")
	if first.User.ID != second.User.ID {
		t.Error("inviting again made another person")
	}
	want(t, accept(first.Code, goodPassword), keys.SignInRequired) // ended by the second
	if err := accept(second.Code, goodPassword); err != nil {
		t.Fatal(err)
	}
	want(t, accept(second.Code, goodPassword), keys.SignInRequired) // used
	for _, code := range []string{"", "x", strings.Repeat("0", 43), second.Code.Reveal() + "0"} {
		want(t, accept(keys.NewSecret(code), goodPassword), keys.SignInRequired)
	}
	third := invite("ada@example.com")
	w.advance(keys.InvitationLifetime)
	want(t, accept(third.Code, goodPassword), keys.SignInRequired) // expired
	opened := w.open(third.User)
	fourth := invite("ada@example.com")
	if err := accept(fourth.Code, "another password"); err != nil {
		t.Fatal(err)
	}
	if w.alive(opened.Text) || w.signIn("ada@example.com", goodPassword, here) == nil {
		t.Error("after a new password the old one or a session counts")
	}
	for _, expiry := range []keys.Lifetime{{}, {Months: 2}, {Until: w.clock().Add(-time.Hour)}} {
		_, err := w.registry.Invite(t.Context(), root(), keys.Invitation{NewUser: keys.NewUser{Email: "bob@example.com"}, Expiry: &expiry})
		if r := want(t, err, keys.ValidationFailed); r.Fields[0].Field != "expires_in" {
			t.Errorf("expiry %s: %v", expiry, r)
		}
	}
}

func TestOwnPassword(t *testing.T) {
	w := newTown(t)
	ada, bob := w.person("ada", "default", keys.RoleTenantAdmin), w.person("bob", "default")
	change := func(a keys.Actor, id keys.UserID, password string) error {
		secret := keys.NewSecret(password)
		_, err := w.registry.EditUser(t.Context(), a, id, keys.UserEdit{Password: &secret})
		return err
	}
	his, hers := w.open(bob), w.actor(ada)
	want(t, change(hers, bob.ID, "another password"), keys.SelfOnly)
	want(t, change(root(), bob.ID, "another password"), keys.SelfOnly)
	want(t, change(his.Actor, bob.ID, "short"), keys.ValidationFailed)
	w.advance(keys.ReauthenticationAge)
	want(t, change(his.Actor, bob.ID, "another password"), keys.ReauthRequired)
	confirmed, err := w.registry.ConfirmSession(t.Context(), his.Text, keys.NewSecret(goodPassword), here)
	if err != nil {
		t.Fatal(err)
	}
	if err := change(confirmed.Actor, bob.ID, "another password"); err != nil {
		t.Fatal(err)
	}
	if w.alive(confirmed.Text) {
		t.Error("a session outlives the password")
	}
	if err := w.signIn(bob.Email, "another password", here); err != nil {
		t.Error(err)
	}
}

// TestFailedSignInsOfTheLastMinute are written when the program ends.
func TestFailedSignInsOfTheLastMinute(t *testing.T) {
	w := newTown(t)
	ada := w.person("ada", "default")
	want(t, w.signIn(ada.Email, "wrong password 1", here), keys.SignInRequired)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.registry.RecordFailedSignIns(ctx); err != nil {
		t.Fatal(err)
	}
	if got := w.actions("default", string(ada.ID)); !slices.Contains(got, "session.refused") {
		t.Errorf("audit: %v", got)
	}
}

// TestSignInAtOnce lets many guess one account at the same time: together they have no more tries.
func TestSignInAtOnce(t *testing.T) {
	w := newTown(t)
	ada := w.person("ada", "default")
	var wg sync.WaitGroup
	var looked atomic.Int64
	elsewhere := keys.Caller{Address: netip.MustParseAddr("198.51.100.1")}
	for range 40 {
		wg.Go(func() {
			err := w.signIn(ada.Email, "wrong password 1", here)
			var refusal *keys.Refusal
			if errors.As(err, &refusal) && refusal.Code == keys.SignInRequired {
				looked.Add(1)
			}
		})
	}
	wg.Wait()
	if n := looked.Load(); n == 0 || n > 5 {
		t.Errorf("%d tries were looked at, want 1 to 5", n)
	}
	if err := w.signIn(ada.Email, goodPassword, elsewhere); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}
