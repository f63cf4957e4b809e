package keys

import (
	"crypto/sha256"
	"strings"
	"testing"
)

func TestSuspendAndResume(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{})
	id := g.Credential.ID
	c, err := h.registry.Suspend(t.Context(), operator(), id, "looks odd")
	if err != nil || c.Status != Suspended || c.Version != 2 {
		t.Fatalf("got %+v, %v", c, err)
	}
	if got := h.code(g.Secret.Reveal(), ""); got != CredentialSuspended {
		t.Errorf("when Suspend returns the key gets %q", got)
	}
	if e := h.last("default"); e.Action != "key.suspended" || e.Detail["reason"] != "looks odd" {
		t.Errorf("audit: %+v", e)
	}
	if c, err = h.registry.Resume(t.Context(), operator(), id, ""); err != nil || c.Status != Active || c.Hold != NoHold {
		t.Fatalf("got %+v, %v", c, err)
	}
	if got := h.code(g.Secret.Reveal(), ""); got != Admitted {
		t.Errorf("when Resume returns the key gets %q", got)
	}
	if e := h.last("default"); e.Action != "key.resumed" {
		t.Errorf("audit: %+v", e)
	}
}

func TestSuspendAndResumeByState(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		state   string
		edit    func(*Credential)
		suspend bool
		resume  bool
	}{
		{"active", func(*Credential) {}, true, false},
		{"suspended", func(c *Credential) { c.Status = Suspended }, false, true},
		{"expired", func(c *Credential) { c.Status, c.ExpiresAt = Suspended, h.clock.Now() }, false, false},
		{"pending", func(c *Credential) { c.Status = Pending }, false, false},
		{"revoked", func(c *Credential) { c.Status = Revoked }, false, false},
		{"denied", func(c *Credential) { c.Status = Denied }, false, false},
	} {
		t.Run(c.state, func(t *testing.T) {
			for verb, may := range map[string]bool{"suspend": c.suspend, "resume": c.resume} {
				id := h.generate(NewCredential{}).Credential.ID
				h.change(id, c.edit)
				act := h.registry.Suspend
				if verb == "resume" {
					act = h.registry.Resume
				}
				_, err := act(t.Context(), operator(), id, "")
				if may && err != nil {
					t.Errorf("%s: %v", verb, err)
				} else if !may {
					if r := refused(t, err, InvalidState); !strings.Contains(r.Detail, " is "+c.state) {
						t.Errorf("%s: detail %q", verb, r.Detail)
					}
				}
			}
		})
	}
}

// Nobody undoes the suspension of somebody who has more to say.
func TestResumeNeedsTheWeightOfTheSuspension(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	developer, both := member("acme", RoleDeveloper), member("acme", RoleDeveloper, RoleTenantAdmin)
	admin := member("acme", RoleTenantAdmin)
	for _, c := range []struct {
		name      string
		by, later Actor
		may       bool
	}{
		{"developer by developer", developer, developer, true},
		{"developer by administrator", developer, admin, true},
		{"administrator by developer", admin, developer, false},
		{"administrator by administrator", admin, both, true},
		{"administrator by operator", admin, operator(), true},
		{"operator by administrator", operator(), admin, false},
		{"operator by developer", operator(), developer, false},
		{"operator by local", operator(), LocalActor("cli"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := h.generate(NewCredential{Tenant: "acme"}).Credential.ID
			if _, err := h.registry.Suspend(t.Context(), c.by, id, ""); err != nil {
				t.Fatal(err)
			}
			_, err := h.registry.Resume(t.Context(), c.later, id, "")
			if c.may && err != nil {
				t.Error(err)
			} else if !c.may {
				refused(t, err, PermissionDenied)
			}
		})
	}
}

// A declared key is suspended, resumed and revoked at run time, and nothing else; the file undoes none
// of it.
func TestDeclaredKeysAtRunTime(t *testing.T) {
	h := newHouse(t)
	ds := []Declared{{Name: "ci", Hash: sha256.Sum256([]byte("x")), Where: "gateway.yaml:12"}}
	declare := func() {
		t.Helper()
		if err := h.registry.Declare(t.Context(), ds); err != nil {
			t.Fatal(err)
		}
	}
	declare()
	id := DeclaredID(APIKey, DefaultTenant, "ci")
	_, edit := h.registry.Edit(t.Context(), operator(), id, CredentialEdit{Name: edited("x")})
	_, rotate := h.registry.Rotate(t.Context(), operator(), id, Rotation{})
	_, reveal := h.registry.Reveal(t.Context(), h.person("", "usr_1", RoleOperator), id, "")
	for _, err := range []error{edit, rotate, reveal, h.registry.Delete(t.Context(), operator(), id)} {
		if r := refused(t, err, ManagedElsewhere); r.Where != "gateway.yaml:12" || !strings.Contains(r.Detail, "gateway.yaml:12") {
			t.Errorf("got %+v", r)
		}
	}
	if _, err := h.registry.Suspend(t.Context(), operator(), id, ""); err != nil {
		t.Fatal(err)
	}
	ds[0].Where = "gateway.yaml:13"
	declare()
	if c := h.stored(id); c.Status != Suspended || c.Hold != HoldProvider || !h.vault.CredentialIntact(&c) {
		t.Errorf("declared again: %s under %q", c.Status, c.Hold)
	}
	_, err := h.registry.Resume(t.Context(), member("default", RoleTenantAdmin), id, "")
	refused(t, err, PermissionDenied)
	if c, err := h.registry.Resume(t.Context(), operator(), id, ""); err != nil || c.Status != Active {
		t.Fatalf("resume: %s, %v", c.Status, err)
	}
	declare()
	if c := h.stored(id); c.Status != Active {
		t.Errorf("declared after it was resumed: %s", c.Status)
	}
	if _, err := h.registry.Revoke(t.Context(), operator(), id, ""); err != nil {
		t.Error(err)
	}
}

func TestDeleteByState(t *testing.T) {
	h := newHouse(t)
	for state, edit := range map[Status]func(*Credential){
		Active: func(*Credential) {}, Suspended: func(c *Credential) { c.Status = Suspended }, Pending: func(c *Credential) { c.Status = Pending },
		Revoked: func(c *Credential) { c.Status = Revoked }, Denied: func(c *Credential) { c.Status = Denied },
		Expired: func(c *Credential) { c.ExpiresAt = h.clock.Now() },
	} {
		t.Run(string(state), func(t *testing.T) {
			g := h.generate(NewCredential{Kind: Client})
			id := g.Credential.ID
			h.change(id, edit)
			if err := h.registry.Delete(t.Context(), operator(), id); err != nil {
				t.Fatal(err)
			}
			if got := h.code(g.Secret.Reveal(), string(id)); got != InvalidCredentials {
				t.Errorf("when Delete returns the key gets %q", got)
			}
			if e := h.last("default"); e.Action != "key.deleted" || e.Target != string(id) || e.Detail["status"] != string(state) {
				t.Errorf("audit: %+v", e)
			}
			_, err := h.registry.Credential(t.Context(), operator(), id)
			refused(t, err, NotFoundHere)
			refused(t, h.registry.Delete(t.Context(), operator(), id), NotFoundHere)
			c := h.stored(id)
			if !h.vault.CredentialIntact(&c) {
				t.Error("the tombstone is not authentic")
			}
			for _, s := range c.Secrets {
				if s.Sealed != nil || !h.vault.SecretIntact(id, &s) {
					t.Errorf("the tombstone keeps the secret %+v", s)
				}
			}
			if denied := underDenial(c.Status); denied != (len(c.Secrets) == 1) {
				t.Errorf("the tombstone of a %s key keeps %d digests", state, len(c.Secrets))
			}
		})
	}
}

func TestDeleteByActor(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	for _, c := range []struct {
		name     string
		actor    Actor
		personal bool
		want     RefusalCode
	}{
		{"developer", member("acme", RoleDeveloper), false, ""},
		{"its owner", h.person("acme", "usr_ann", RoleDeveloper), true, ""},
		{"another person", h.person("acme", "usr_bob", RoleDeveloper), true, NotFoundHere},
		{"administrator", member("acme", RoleTenantAdmin), false, PermissionDenied}, // S3.20
		{"viewer", member("acme", RoleViewer), false, PermissionDenied},
		{"operator", operator(), true, ""},
		{"other tenant", member("default", RoleDeveloper), false, NotFoundHere},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := h.generate(NewCredential{Tenant: "acme"})
			if c.personal {
				g = h.personal("acme", "usr_ann", NewCredential{})
			}
			err := h.registry.Delete(t.Context(), c.actor, g.Credential.ID)
			if c.want != "" {
				refused(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReasonsAreChecked(t *testing.T) {
	h := newHouse(t)
	id := h.generate(NewCredential{}).Credential.ID
	long := strings.Repeat("r", 1001)
	_, suspend := h.registry.Suspend(t.Context(), operator(), id, long)
	_, resume := h.registry.Resume(t.Context(), operator(), id, long)
	_, many := h.registry.RevokeMany(t.Context(), operator(), ManyRevocations{IDs: []CredentialID{id}, Reason: long})
	for _, err := range []error{suspend, resume, many} {
		if r := refused(t, err, ValidationFailed); r.Fields[0].Field != "reason" {
			t.Errorf("got %v", r.Fields)
		}
	}
}
