package keys

import (
	"strings"
	"testing"
	"time"
)

func overlap(t *testing.T, s string) *Overlap {
	t.Helper()
	o, err := ParseOverlap(s)
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

func TestRotateKeepsEverythingButTheSecret(t *testing.T) {
	for _, kind := range []Kind{APIKey, Client} {
		t.Run(string(kind), func(t *testing.T) {
			h := newHouse(t)
			g := h.generate(NewCredential{Kind: kind, APIs: []APIName{"orders"}, Plan: "partner", Test: kind == APIKey})
			id, withID := g.Credential.ID, ""
			if kind == Client {
				withID = string(id)
			}
			made, err := h.registry.Rotate(t.Context(), operator(), id, Rotation{Overlap: overlap(t, "1h")})
			if err != nil {
				t.Fatal(err)
			}
			c, text := made.Credential, made.Secret.Reveal()
			if c.ID != id || c.Plan != "partner" || len(c.APIs) != 1 || len(c.Secrets) != 2 || c.Version != 2 {
				t.Errorf("got %+v", c)
			}
			parsed := h.format.Parse(text)
			if kind == APIKey && ("key_"+parsed.ID != string(id) || !parsed.Test) {
				t.Errorf("the new text is of %q, test %t", parsed.ID, parsed.Test)
			}
			if kind == Client && (parsed.Kind != ClientSecretText || parsed.ID != string(c.Secrets[1].ID)) {
				t.Errorf("the new text is %+v", parsed)
			}
			if text == g.Secret.Reveal() || !strings.HasPrefix(text, c.Secrets[1].Preview) {
				t.Error("the new text is not that of the new secret")
			}
			for what, text := range map[string]string{"old": g.Secret.Reveal(), "new": text} {
				if got := h.code(text, withID); got != Admitted {
					t.Errorf("the %s text gets %q during the overlap", what, got)
				}
			}
			h.clock.advance(time.Hour)
			if got := h.code(g.Secret.Reveal(), withID); got != CredentialExpired {
				t.Errorf("the old text gets %q at the end of the overlap", got)
			}
			if got := h.code(text, withID); got != Admitted {
				t.Errorf("the new text gets %q afterwards", got)
			}
			if e := h.last("default"); e.Action != "key.rotated" || e.Detail["old_secret"] != string(g.Credential.Secrets[0].ID) {
				t.Errorf("audit: %+v", e)
			}
			shown, err := h.registry.Credential(t.Context(), operator(), id)
			if err != nil || len(shown.Secrets) != 1 {
				t.Errorf("shown with %d secrets, %v; want the live one", len(shown.Secrets), err)
			}
			opened, err := h.vault.Open(c.Tenant, c.ID, c.Secrets[1].ID, c.Secrets[1].Sealed)
			if kind == Client && (err != nil || opened.Reveal() != text) {
				t.Errorf("the new secret of a revealable kind opens to %q, %v", opened.Reveal(), err)
			}
		})
	}
}

func TestRotateHasRoomForTwo(t *testing.T) {
	h := newHouse(t)
	first := h.generate(NewCredential{})
	id := first.Credential.ID
	rotate := func(r Rotation) (Generated, error) { return h.registry.Rotate(t.Context(), operator(), id, r) }
	second, err := rotate(Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	if got := second.Credential.Secrets[0].ExpiresAt; !got.Equal(h.clock.Now().Add(24 * time.Hour)) {
		t.Errorf("without an overlap the old one ends at %v", got)
	}
	_, err = rotate(Rotation{})
	if r := refused(t, err, InvalidState); !strings.Contains(r.Detail, "2026-11-03T10:30:00Z") || !strings.Contains(r.Hint, "drop") {
		t.Errorf("got %v, hint %q", r, r.Hint)
	}
	third, err := rotate(Rotation{Drop: true, Overlap: overlap(t, "1h")})
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]struct {
		text Secret
		code Code
	}{"first": {first.Secret, InvalidCredentials}, "second": {second.Secret, Admitted}, "third": {third.Secret, Admitted}} {
		if got := h.code(want.text.Reveal(), ""); got != want.code {
			t.Errorf("the %s text gets %q, want %q", what, got, want.code)
		}
	}
	h.clock.advance(time.Hour)
	fourth, err := rotate(Rotation{Overlap: overlap(t, "0s")})
	if err != nil {
		t.Fatalf("with one that ended: %v", err)
	}
	if got := h.code(third.Secret.Reveal(), ""); got != CredentialExpired {
		t.Errorf("without an overlap the old text gets %q when Rotate returns", got)
	}
	if got := h.code(fourth.Secret.Reveal(), ""); got != Admitted {
		t.Errorf("the new text gets %q", got)
	}
	if c := h.stored(id); len(c.Secrets) != 2 {
		t.Errorf("%d secrets are stored", len(c.Secrets))
	}
	if _, err := h.registry.Edit(t.Context(), operator(), id, CredentialEdit{Name: edited("x")}); err != nil {
		t.Fatal(err)
	}
	if c := h.stored(id); len(c.Secrets) != 1 || c.Secrets[0].Digest != h.vault.Digest(fourth.Secret.Reveal()) {
		t.Errorf("the next write left %d secrets", len(c.Secrets))
	}
}

func TestRotateRefusals(t *testing.T) {
	past := func(c *Credential) { c.ExpiresAt = c.CreatedAt }
	for _, c := range []struct {
		name  string
		actor Actor
		edit  func(*Credential)
		in    Rotation
		want  RefusalCode
	}{
		{"expired", operator(), past, Rotation{}, InvalidState},
		{"revoked", operator(), func(c *Credential) { c.Status = Revoked }, Rotation{}, InvalidState},
		{"pending", operator(), func(c *Credential) { c.Status = Pending }, Rotation{}, InvalidState},
		{"viewer", member("acme", RoleViewer), nil, Rotation{}, PermissionDenied},
		{"administrator", member("acme", RoleTenantAdmin), nil, Rotation{}, PermissionDenied},
		{"other tenant", member("default", RoleDeveloper), nil, Rotation{}, NotFoundHere},
		{"a person's, by an operator", operator(), func(c *Credential) { c.Owner = Owner{OwnerUser, "usr_1", "Ann"} }, Rotation{}, SelfOnly},
		{"the old one's end in the past", operator(), nil, Rotation{Overlap: overlap(t, "2020-01-01")}, ValidationFailed},
		{"what reading found", operator(), nil, Rotation{Wrong: []FieldError{{"overlap", "x"}}}, ValidationFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.tenant("acme", nil)
			g := h.generate(NewCredential{Tenant: "acme"})
			if c.edit != nil {
				h.change(g.Credential.ID, c.edit)
			}
			before := h.stored(g.Credential.ID).Version
			made, err := h.registry.Rotate(t.Context(), c.actor, g.Credential.ID, c.in)
			refused(t, err, c.want)
			if made.Secret.Reveal() != "" || h.stored(g.Credential.ID).Version != before {
				t.Error("a secret was made")
			}
		})
	}
}

func TestRotateWhatIsSuspendedOrOff(t *testing.T) {
	h := newHouse(t)
	g := h.personal("default", "usr_ann", NewCredential{})
	ann := h.person("default", "usr_ann", RoleDeveloper)
	if _, err := h.registry.Suspend(t.Context(), ann, g.Credential.ID, "leaked"); err != nil {
		t.Fatal(err)
	}
	made, err := h.registry.Rotate(t.Context(), ann, g.Credential.ID, Rotation{Overlap: overlap(t, "0s")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.registry.Resume(t.Context(), ann, g.Credential.ID, ""); err != nil {
		t.Fatal(err)
	}
	if old, new := h.code(g.Secret.Reveal(), ""), h.code(made.Secret.Reveal(), ""); old == Admitted || new != Admitted {
		t.Errorf("after resuming the old text gets %q, the new one %q", old, new)
	}
	h.setCatalog(func(c *Catalog) { c.Policy.KeysEnabled = false })
	_, err = h.registry.Rotate(t.Context(), ann, g.Credential.ID, Rotation{Drop: true})
	refused(t, err, KeysDisabledHere)
}

func TestRotateDoesNotWriteForgedSecretsAgain(t *testing.T) {
	h := newHouse(t)
	id := h.generate(NewCredential{}).Credential.ID
	h.store.forge(id, func(c *Credential) { c.Secrets[0].Digest = h.vault.Digest("mine") })
	_, err := h.registry.Rotate(t.Context(), operator(), id, Rotation{})
	refused(t, err, InvalidState)
	if got := h.code("mine", ""); got == Admitted {
		t.Error("the forged secret is admitted")
	}
}

func TestParseOverlap(t *testing.T) {
	now := time.Date(2026, 11, 2, 10, 30, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"0s": now, "0ms": now, "00h": now, "90m": now.Add(90 * time.Minute), "24h": now.Add(24 * time.Hour), "7d": now.AddDate(0, 0, 7),
		"1mo": now.AddDate(0, 1, 0), "2027-01-31": time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC), "2027-01-31T18:00:00+01:00": time.Date(2027, 1, 31, 17, 0, 0, 0, time.UTC),
	} {
		o, err := ParseOverlap(text)
		if err != nil || !o.end(now).Equal(want) {
			t.Errorf("%s: ends at %v, %v; want %v", text, o.end(now), err, want)
		}
	}
	for _, text := range []string{"", "0", "0x", "never", "soon", "-1h", "24", "1.5h", "99999999999999999999d", "0s0s"} {
		if o, err := ParseOverlap(text); err == nil {
			t.Errorf("%q is read as one that ends at %v", text, o.end(now))
		}
	}
}
