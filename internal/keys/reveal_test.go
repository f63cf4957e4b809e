package keys

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestRevealShowsWhatIsKept(t *testing.T) {
	h := newHouse(t)
	g := h.personal("default", "usr_ann", NewCredential{Kind: Client})
	ann := h.person("default", "usr_ann", RoleDeveloper)
	id := g.Credential.ID
	r, err := h.registry.Reveal(t.Context(), ann, id, "")
	if err != nil || r.Secret.Reveal() != g.Secret.Reveal() || r.ID != g.Credential.Secrets[0].ID || r.Credential.ID != id {
		t.Fatalf("got %+v, %v", r, err)
	}
	if e := h.last("default"); e.Action != "key.revealed" || e.Target != string(id) || e.Actor != ann.ActorRef || e.Detail["secret"] != string(r.ID) {
		t.Errorf("audit: %+v", e)
	}
	made, err := h.registry.Rotate(t.Context(), ann, id, Rotation{Overlap: overlap(t, "1h")})
	if err != nil {
		t.Fatal(err)
	}
	for which, want := range map[SecretID]string{
		"": made.Secret.Reveal(), made.Credential.Secrets[0].ID: g.Secret.Reveal(), made.Credential.Secrets[1].ID: made.Secret.Reveal(),
	} {
		if r, err := h.registry.Reveal(t.Context(), ann, id, which); err != nil || r.Secret.Reveal() != want {
			t.Errorf("secret %q: got another text, %v", which, err)
		}
	}
	_, err = h.registry.Reveal(t.Context(), ann, id, "nothing")
	refused(t, err, NotFoundHere)
	ann.Confirmed = h.clock.Now().Add(time.Hour)
	h.clock.advance(time.Hour)
	_, err = h.registry.Reveal(t.Context(), ann, id, g.Credential.Secrets[0].ID)
	refused(t, err, NotFoundHere) // that one has ended
}

func TestRevealByActor(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	own := h.personal("acme", "usr_ann", NewCredential{Kind: Client})
	shared := h.generate(NewCredential{Kind: Client, Tenant: "acme"})
	ann := func(change func(*Actor)) Actor {
		a := h.person("acme", "usr_ann", RoleDeveloper)
		change(&a)
		return a
	}
	for _, c := range []struct {
		name   string
		actor  Actor
		own    RefusalCode // "": shown
		shared RefusalCode
	}{
		{"its owner", ann(func(*Actor) {}), "", PermissionDenied},
		{"its owner as administrator", h.person("acme", "usr_ann", RoleTenantAdmin, RoleDeveloper), "", ""},
		{"its owner as viewer", h.person("acme", "usr_ann", RoleViewer), PermissionDenied, PermissionDenied},
		{"its owner, not confirmed", ann(func(a *Actor) { a.Confirmed = time.Time{} }), ReauthRequired, PermissionDenied},
		{"its owner, confirmed long ago", ann(func(a *Actor) { a.Confirmed = a.Confirmed.Add(-5*time.Minute - time.Microsecond) }), ReauthRequired, PermissionDenied},
		{"its owner, confirmed just within", ann(func(a *Actor) { a.Confirmed = a.Confirmed.Add(-5 * time.Minute) }), "", PermissionDenied},
		{"its owner, confirmed in the future", ann(func(a *Actor) { a.Confirmed = a.Confirmed.Add(time.Second) }), ReauthRequired, PermissionDenied},
		{"a token that acts as its owner", ann(func(a *Actor) { a.Type = ActorToken }), PermissionDenied, PermissionDenied},
		{"another person", h.person("acme", "usr_bob", RoleDeveloper), NotFoundHere, PermissionDenied},
		{"an administrator", h.person("acme", "usr_bob", RoleTenantAdmin), SelfOnly, ""},
		{"an operator", h.person("", "usr_opal", RoleOperator), SelfOnly, ""},
		{"everybody's permissions", func() Actor { a := h.person("", "usr_opal"); a.Permissions = AllPermissions(); return a }(), SelfOnly, ""},
		{"administrator of another tenant", h.person("default", "usr_ann", RoleTenantAdmin, RoleDeveloper), NotFoundHere, NotFoundHere},
		{"operator's token", operator(), PermissionDenied, PermissionDenied},
		{"offline command", LocalActor("cli"), PermissionDenied, PermissionDenied},
		{"nobody", Actor{}, PermissionDenied, PermissionDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			for g, want := range map[*Generated]RefusalCode{&own: c.own, &shared: c.shared} {
				before := h.last("acme").Seq
				r, err := h.registry.Reveal(t.Context(), c.actor, g.Credential.ID, "")
				told := h.last("acme").Seq - before
				if want == "" {
					if err != nil || r.Secret.Reveal() != g.Secret.Reveal() || told != 1 {
						t.Errorf("owned by %s: %v, %d audit entries", g.Credential.Owner.Type, err, told)
					}
					continue
				}
				refused(t, err, want)
				if r.Secret.Reveal() != "" || told != 0 {
					t.Errorf("owned by %s: refused, and shown or told %d times", g.Credential.Owner.Type, told)
				}
			}
		})
	}
}

func TestRevealByState(t *testing.T) {
	h := newHouse(t)
	ann := h.person("default", "usr_ann", RoleDeveloper, RoleTenantAdmin)
	for name, c := range map[string]struct {
		in   NewCredential
		edit func(*Credential)
		want RefusalCode
	}{
		"shown once": {NewCredential{}, func(*Credential) {}, InvalidState},
		"suspended":  {NewCredential{Kind: Client}, func(c *Credential) { c.Status = Suspended }, ""},
		"pending":    {NewCredential{Kind: Client}, func(c *Credential) { c.Status = Pending }, ""},
		"revoked":    {NewCredential{Kind: Client}, func(c *Credential) { c.Status = Revoked }, InvalidState},
		"expired":    {NewCredential{Kind: Client}, func(c *Credential) { c.ExpiresAt = h.clock.Now() }, InvalidState},
		"deleted":    {NewCredential{Kind: Client}, func(c *Credential) { c.DeletedAt = h.clock.Now() }, NotFoundHere},
	} {
		t.Run(name, func(t *testing.T) {
			id := h.generate(c.in).Credential.ID
			h.change(id, c.edit)
			_, err := h.registry.Reveal(t.Context(), ann, id, "")
			if c.want == "" && err != nil {
				t.Error(err)
			} else if c.want != "" {
				refused(t, err, c.want)
			}
		})
	}
	t.Run("forged", func(t *testing.T) {
		g, other := h.generate(NewCredential{Kind: Client}), h.generate(NewCredential{Kind: Client})
		h.store.forge(g.Credential.ID, func(c *Credential) { c.Secrets[0].Sealed = other.Credential.Secrets[0].Sealed })
		r, err := h.registry.Reveal(t.Context(), ann, g.Credential.ID, "")
		refused(t, err, InvalidState)
		if r.Secret.Reveal() != "" {
			t.Error("another credential's secret was shown")
		}
	})
}

// brokenCommit is a store whose disk fails when a transaction ends.
type brokenCommit struct{ *fakeStore }

func (s brokenCommit) Update(ctx context.Context, fn func(context.Context, Tx) error) (Seq, error) {
	_, err := s.fakeStore.Update(ctx, func(ctx context.Context, tx Tx) error {
		return errors.Join(fn(ctx, tx), ErrStorageFull)
	})
	return 0, err
}

// What is not written down first is not shown.
func TestRevealLeavesOnlyAfterItsAuditEntry(t *testing.T) {
	h := newHouse(t)
	g := h.personal("default", "usr_ann", NewCredential{Kind: Client})
	h.registry.store = brokenCommit{h.store}
	r, err := h.registry.Reveal(t.Context(), h.person("default", "usr_ann", RoleDeveloper), g.Credential.ID, "")
	refused(t, err, StorageFullHere)
	if r.Secret.Reveal() != "" {
		t.Error("the secret left without an audit entry")
	}
}
