package keys

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// set is a field of an edit.
func edited[T any](v T) Edited[T] { return Edited[T]{Set: true, Value: v} }

// person is somebody who signed in and has just confirmed it.
func (h *house) person(tenant TenantID, id UserID, names ...RoleName) Actor {
	a := member(tenant, names...)
	a.ActorRef, a.User, a.Confirmed = ActorRef{Type: ActorUser, ID: string(id), Name: string(id)}, id, h.clock.Now()
	return a
}

// personal makes a key that belongs to a person.
func (h *house) personal(tenant TenantID, id UserID, in NewCredential) Generated {
	h.t.Helper()
	in.Tenant = tenant
	h.user(tenant, id)
	g := h.generate(in)
	h.change(g.Credential.ID, func(c *Credential) { c.Owner = Owner{OwnerUser, string(id), string(id)} })
	g.Credential = h.stored(g.Credential.ID)
	return g
}

// stored is what the store has.
func (h *house) stored(id CredentialID) Credential {
	h.t.Helper()
	c, err := h.store.Credential(context.Background(), id, true)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// last is the newest audit entry of a chain, which must be whole.
func (h *house) last(chain string) AuditEntry {
	h.t.Helper()
	entries, err := h.store.AuditEntries(context.Background(), chain, 0, 10_000)
	if err != nil || len(entries) == 0 {
		h.t.Fatalf("audit of %s: %d entries, %v", chain, len(entries), err)
	}
	var last AuditEntry
	for _, e := range entries {
		if !h.vault.AuditIntact(last, &e) {
			h.t.Errorf("audit entry %d is broken", e.Seq)
		}
		last = e
	}
	return last
}

func TestEditChangesWhatIsNamed(t *testing.T) {
	h := newHouse(t)
	red, gone := "red", (*string)(nil)
	g := h.generate(NewCredential{
		Kind: Client, Name: "app", Description: "old", APIs: []APIName{"orders"}, Metadata: map[string]string{"team": "a", "room": "1"},
		ApplicationType: "internal", AllowedIPs: []string{"10.0.0.0/8"},
	})
	h.clock.advance(time.Minute)
	c, err := h.registry.Edit(t.Context(), operator(), g.Credential.ID, CredentialEdit{
		Name: edited(" renamed "), APIs: edited([]APIName(nil)), Scopes: edited([]Scope{"bills.read", "bills.read"}), ApplicationType: edited("public"),
		RedirectURIs: edited([]string{"https://a.example/cb"}), Metadata: edited(map[string]*string{"team": &red, "room": gone, "none": gone}),
		Expiry: edited(Lifetime{Months: 1}), Plan: edited(PlanName("partner")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "renamed" || c.Description != "old" || c.APIs != nil || len(c.Scopes) != 1 || c.ApplicationType != "public" || c.Plan != "partner" ||
		len(c.AllowedIPs) != 1 || c.Version != 2 || !c.UpdatedAt.Equal(h.clock.Now()) || !c.ExpiresAt.Equal(h.clock.Now().AddDate(0, 1, 0)) {
		t.Errorf("got %+v", c)
	}
	if diff := cmp.Diff(map[string]string{"team": "red"}, c.Metadata); diff != "" {
		t.Error(diff)
	}
	who, code := h.dir.Authenticate(Presented{Text: g.Secret.Reveal(), ClientID: string(c.ID)}, h.clock.Now())
	if code != Admitted || who.Rights().Header != "bills.read" || who.PlanName() != "partner" {
		t.Errorf("when Edit returns: %q with %q on %s", code, who.Rights().Header, who.PlanName())
	}
	e := h.last("default")
	if e.Action != "key.edited" || e.Detail["name"] != "renamed" || e.Detail["name_before"] != "app" || e.Detail["apis_before"] != "orders" ||
		e.Detail["scopes"] != "bills.read" || e.Detail["plan_before"] != "standard" {
		t.Errorf("audit: %+v", e)
	}
	if _, told := e.Detail["kind"]; told {
		t.Errorf("audit tells what did not change: %v", e.Detail)
	}
	stored := h.stored(c.ID)
	if !h.vault.CredentialIntact(&stored) {
		t.Error("the row is not authentic")
	}
}

func TestEditClears(t *testing.T) {
	h := newHouse(t, func(c *Catalog) { c.Policy.NameRequired = false })
	g := h.generate(NewCredential{
		Name: "n", Description: "d", APIs: []APIName{"orders"}, Scopes: []Scope{"bills.pay"}, Expiry: &Lifetime{For: time.Hour}, Plan: "partner",
		AllowedIPs: []string{"10.0.0.0/8"}, Metadata: map[string]string{"a": "b"}, RedirectURIs: []string{"https://a.example/"}, ApplicationType: "internal",
	})
	c, err := h.registry.Edit(t.Context(), operator(), g.Credential.ID, CredentialEdit{
		Name: edited(""), Description: edited(""), APIs: edited([]APIName(nil)), Scopes: edited([]Scope(nil)), ApplicationType: edited(""),
		RedirectURIs: edited([]string(nil)), AllowedIPs: edited([]string(nil)), Metadata: edited(map[string]*string(nil)), Expiry: edited(Lifetime{}), Plan: edited(PlanName("")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != usualName(c.ID) || c.Description != "" || c.APIs != nil || c.Scopes != nil || c.ApplicationType != "" || c.RedirectURIs != nil ||
		c.AllowedIPs != nil || c.Metadata != nil || !c.ExpiresAt.IsZero() || c.Plan != "standard" {
		t.Errorf("got %+v", c)
	}
}

func TestEditOfNothingWritesNothing(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{Name: "n", Metadata: map[string]string{"a": "b"}, AllowedIPs: []string{"10.0.0.0/8"}, Expiry: &Lifetime{For: time.Hour}})
	b := "b"
	before, entry := h.store.newest(), h.last("default").Seq
	for name, in := range map[string]CredentialEdit{
		"nothing": {}, "the same": {Name: edited("n"), AllowedIPs: edited([]string{"10.0.0.0/8"}), Metadata: edited(map[string]*string{"a": &b}), Plan: edited(PlanName("standard"))},
		"the same end": {Expiry: edited(Lifetime{Until: g.Credential.ExpiresAt})},
	} {
		c, err := h.registry.Edit(t.Context(), operator(), g.Credential.ID, in)
		if err != nil || c.Version != 1 {
			t.Errorf("%s: version %d, %v", name, c.Version, err)
		}
	}
	if h.store.newest() != before || h.last("default").Seq != entry {
		t.Error("something was written")
	}
}

func TestEditNamesEveryWrongField(t *testing.T) {
	h := newHouse(t, func(c *Catalog) { c.Policy.MaxExpiry = Lifetime{For: 24 * time.Hour} })
	g := h.generate(NewCredential{})
	long := strings.Repeat("v", 501)
	_, err := h.registry.Edit(t.Context(), operator(), g.Credential.ID, CredentialEdit{
		Name: edited(""), Description: edited("\x00"), APIs: edited([]APIName{"nowhere"}), Scopes: edited([]Scope{"orders.rea"}), ApplicationType: edited("public"),
		AllowedIPs: edited([]string{"nonsense"}), Metadata: edited(map[string]*string{"m": &long}), Expiry: edited(Lifetime{Months: 1}), Plan: edited(PlanName("gold")),
		Wrong: []FieldError{{Field: "expires_in", Message: "x"}},
	})
	var got []string
	for _, f := range refused(t, err, ValidationFailed).Fields {
		got = append(got, f.Field)
	}
	want := []string{"expires_in", "name", "description", "apis[0]", "scopes[0]", "allowed_ips[0]", `metadata["m"]`, "redirect_uris", "expires_at", "plan"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c := h.stored(g.Credential.ID); c.Version != 1 {
		t.Error("something was written")
	}
}

func TestEditRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		actor Actor
		edit  func(*Credential)
		in    CredentialEdit
		want  RefusalCode
		field string
	}{
		{"another plan by a developer", member("acme", RoleDeveloper), nil, CredentialEdit{Plan: edited(PlanName("partner"))}, PermissionDenied, ""},
		{"the default plan by a developer", member("acme", RoleDeveloper), func(c *Credential) { c.Plan = "partner" }, CredentialEdit{Plan: edited(PlanName("standard"))}, PermissionDenied, ""},
		{"viewer", member("acme", RoleViewer), nil, CredentialEdit{Name: edited("x")}, PermissionDenied, ""},
		{"administrator", member("acme", RoleTenantAdmin), nil, CredentialEdit{Name: edited("x")}, PermissionDenied, ""},
		{"other tenant", member("default", RoleDeveloper), nil, CredentialEdit{Name: edited("x")}, NotFoundHere, ""},
		{"revoked", operator(), func(c *Credential) { c.Status = Revoked }, CredentialEdit{Name: edited("x")}, InvalidState, ""},
		{"denied", operator(), func(c *Credential) { c.Status = Denied }, CredentialEdit{Name: edited("x")}, InvalidState, ""},
		{"declared", operator(), func(c *Credential) { c.ManagedBy = "gateway.yaml:7" }, CredentialEdit{Name: edited("x")}, ManagedElsewhere, ""},
		{"end of an expired one", operator(), func(c *Credential) { c.ExpiresAt = c.CreatedAt }, CredentialEdit{Expiry: edited(Lifetime{For: time.Hour})}, InvalidState, ""},
		{"end in the past", operator(), nil, CredentialEdit{Expiry: edited(Lifetime{Until: time.Unix(1, 0)})}, ValidationFailed, "expires_at"},
		{"end of a public application's URIs", operator(), func(c *Credential) { c.ApplicationType, c.RedirectURIs = "public", []string{"https://a.example/"} },
			CredentialEdit{RedirectURIs: edited([]string(nil))}, ValidationFailed, "redirect_uris"},
		{"tombstone", operator(), func(c *Credential) { c.DeletedAt = c.CreatedAt }, CredentialEdit{Name: edited("x")}, NotFoundHere, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.tenant("acme", nil)
			g := h.generate(NewCredential{Tenant: "acme"})
			if c.edit != nil {
				h.change(g.Credential.ID, c.edit)
			}
			before := h.stored(g.Credential.ID).Version
			_, err := h.registry.Edit(t.Context(), c.actor, g.Credential.ID, c.in)
			r := refused(t, err, c.want)
			if c.field != "" && r.Fields[0].Field != c.field {
				t.Errorf("fields: %v", r.Fields)
			}
			if c.want == ManagedElsewhere && r.Where != "gateway.yaml:7" {
				t.Errorf("where: %q", r.Where)
			}
			if h.stored(g.Credential.ID).Version != before {
				t.Error("something was written")
			}
		})
	}
}

func TestEditOfAnExpiredKeysName(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{Expiry: &Lifetime{For: time.Hour}})
	h.clock.advance(time.Hour)
	c, err := h.registry.Edit(t.Context(), operator(), g.Credential.ID, CredentialEdit{Name: edited("old one")})
	if err != nil || c.Name != "old one" {
		t.Errorf("got %q, %v", c.Name, err)
	}
}

// The maximum counts from the creation: nobody lives longer by asking again and again.
func TestEditKeepsTheMaximumLifetime(t *testing.T) {
	h := newHouse(t, func(c *Catalog) { c.Policy.MaxExpiry = Lifetime{For: 10 * time.Hour} })
	g := h.generate(NewCredential{Expiry: &Lifetime{For: time.Hour}})
	edit := func(l Lifetime) error {
		_, err := h.registry.Edit(t.Context(), operator(), g.Credential.ID, CredentialEdit{Expiry: edited(l)})
		return err
	}
	h.clock.advance(30 * time.Minute)
	if r := refused(t, edit(Lifetime{For: 10 * time.Hour}), ValidationFailed); !strings.Contains(r.Fields[0].Message, "expiry_exceeds_maximum") {
		t.Errorf("got %v", r.Fields)
	}
	refused(t, edit(Lifetime{}), ValidationFailed)
	if err := edit(Lifetime{Until: g.Credential.CreatedAt.Add(10 * time.Hour)}); err != nil {
		t.Errorf("to the maximum: %v", err)
	}
	h.setCatalog(func(c *Catalog) { c.Policy.MaxExpiry = Lifetime{For: time.Hour} })
	if err := edit(Lifetime{For: 8 * time.Hour}); err != nil {
		t.Errorf("sooner than it was, though later than a new key could: %v", err)
	}
	refused(t, edit(Lifetime{For: 9 * time.Hour}), ValidationFailed)
}

func TestEditKeepsWhatLeftTheConfiguration(t *testing.T) {
	h := newHouse(t)
	g := h.generate(NewCredential{APIs: []APIName{"bills"}, Scopes: []Scope{"orders.read"}})
	h.setCatalog(func(c *Catalog) { delete(c.APIs, "bills"); delete(c.APIs["orders"].Scopes, "orders.read") })
	_, err := h.registry.Edit(t.Context(), operator(), g.Credential.ID, CredentialEdit{
		APIs: edited([]APIName{"bills", "orders"}), Scopes: edited([]Scope{"orders.read"})})
	if err != nil {
		t.Errorf("what it held already: %v", err)
	}
	_, err = h.registry.Edit(t.Context(), operator(), h.generate(NewCredential{}).Credential.ID, CredentialEdit{APIs: edited([]APIName{"bills"})})
	refused(t, err, ValidationFailed)
}

func TestOwnKeysAreEditedByTheirOwner(t *testing.T) {
	h := newHouse(t)
	h.tenant("acme", nil)
	g := h.personal("acme", "usr_ann", NewCredential{})
	edit := CredentialEdit{Name: edited("mine")}
	if _, err := h.registry.Edit(t.Context(), h.person("acme", "usr_ann", RoleDeveloper), g.Credential.ID, edit); err != nil {
		t.Errorf("its owner: %v", err)
	}
	_, err := h.registry.Edit(t.Context(), h.person("acme", "usr_bob", RoleDeveloper), g.Credential.ID, edit)
	refused(t, err, NotFoundHere)
	_, err = h.registry.Edit(t.Context(), member("acme", RoleDeveloper), g.Credential.ID, edit)
	refused(t, err, NotFoundHere)
}

// Each act looks at the version in its own transaction.
func TestActsHoldToTheVersion(t *testing.T) {
	h := newHouse(t)
	acts := map[string]func(CredentialID, ...int64) error{
		"edit": func(id CredentialID, v ...int64) error {
			_, err := h.registry.Edit(t.Context(), operator(), id, CredentialEdit{Name: edited("x")}, v...)
			return err
		},
		"suspend": func(id CredentialID, v ...int64) error {
			_, err := h.registry.Suspend(t.Context(), operator(), id, "", v...)
			return err
		},
		"rotate": func(id CredentialID, v ...int64) error {
			_, err := h.registry.Rotate(t.Context(), operator(), id, Rotation{}, v...)
			return err
		},
		"revoke": func(id CredentialID, v ...int64) error {
			_, err := h.registry.Revoke(t.Context(), operator(), id, "", v...)
			return err
		},
		"delete": func(id CredentialID, v ...int64) error { return h.registry.Delete(t.Context(), operator(), id, v...) },
	}
	for name, act := range acts {
		t.Run(name, func(t *testing.T) {
			id := h.generate(NewCredential{}).Credential.ID
			refused(t, act(id, 2), VersionConflict)
			refused(t, act(id, 0), VersionConflict)
			if err := act(id, 7, 1); err != nil {
				t.Errorf("with the right version among others: %v", err)
			}
		})
	}
}

func TestActsRefuseAlteredRows(t *testing.T) {
	h := newHouse(t)
	id := h.generate(NewCredential{}).Credential.ID
	h.store.forge(id, func(c *Credential) { c.Scopes = []Scope{"bills.pay"} })
	_, edit := h.registry.Edit(t.Context(), operator(), id, CredentialEdit{Name: edited("x")})
	_, suspend := h.registry.Suspend(t.Context(), operator(), id, "")
	_, rotate := h.registry.Rotate(t.Context(), operator(), id, Rotation{})
	for _, err := range []error{edit, suspend, rotate, h.registry.Delete(t.Context(), operator(), id)} {
		refused(t, err, InvalidState)
	}
	if c := h.stored(id); h.vault.CredentialIntact(&c) {
		t.Error("the forged row has a valid MAC now")
	}
}

func TestHoldIsUnderTheMAC(t *testing.T) {
	h := newHouse(t)
	id := h.generate(NewCredential{}).Credential.ID
	if _, err := h.registry.Suspend(t.Context(), operator(), id, ""); err != nil {
		t.Fatal(err)
	}
	h.store.forge(id, func(c *Credential) { c.Hold = NoHold })
	if c := h.stored(id); h.vault.CredentialIntact(&c) {
		t.Error("a hold can be taken away behind our back")
	}
}

func TestLifecycleStoreErrors(t *testing.T) {
	h := newHouse(t)
	id := h.generate(NewCredential{}).Credential.ID
	h.store.breakWith(ErrStoreUnavailable)
	defer h.store.breakWith(nil)
	for name, err := range map[string]error{
		"edit":   second(h.registry.Edit(t.Context(), operator(), id, CredentialEdit{})),
		"resume": second(h.registry.Resume(t.Context(), operator(), id, "")),
		"rotate": second(h.registry.Rotate(t.Context(), operator(), id, Rotation{Idempotency: Idempotency{Key: "k"}})),
		"many":   second(h.registry.RevokeMany(t.Context(), operator(), ManyRevocations{IDs: []CredentialID{id}})),
		"filter": second(h.registry.RevokeMany(t.Context(), operator(), ManyRevocations{Filter: &CredentialFilter{Tenant: "default"}})),
		"reveal": second(h.registry.Reveal(t.Context(), h.person("", "usr_1", RoleOperator), id, "")),
		"delete": h.registry.Delete(t.Context(), operator(), id),
	} {
		refused(t, err, StoreUnavailableHere)
		if !errors.Is(err, ErrStoreUnavailable) {
			t.Errorf("%s: got %v, want the cause in it", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
