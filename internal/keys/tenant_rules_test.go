package keys_test

import (
	"testing"
	"time"

	"postern/internal/keys"
)

func set[T any](v T) keys.SettingChange[T] { return keys.SettingChange[T]{Set: true, Value: v} }

func back[T any]() keys.SettingChange[T] { return keys.SettingChange[T]{Set: true, Clear: true} }

func (w *town) settings(a keys.Actor, id keys.TenantID, in keys.SettingsChange) error {
	_, err := w.registry.ChangeSettings(w.t.Context(), a, id, in)
	return err
}

func TestTenants(t *testing.T) {
	w := newTown(t)
	made, err := w.registry.CreateTenant(t.Context(), root(), keys.NewTenant{Name: " Acme & Söhne GmbH ", Plan: "business"})
	if err != nil || made.ID != "acme-s-hne-gmbh" || made.Name != "Acme & Söhne GmbH" {
		t.Fatalf("got %+v, %v", made, err)
	}
	for field, in := range map[string]keys.NewTenant{
		"id":   {ID: made.ID, Name: "again"},
		"name": {ID: "x"},
		"plan": {Name: "x", Plan: "busines"},
	} {
		_, err := w.registry.CreateTenant(t.Context(), root(), in)
		if r := want(t, err, keys.ValidationFailed); r.Fields[0].Field != field {
			t.Errorf("%s: %v", field, r)
		}
	}
	for _, id := range []keys.TenantID{"provider", "Acme", "a b", "-a", "a/b", "a\x00", "ä"} {
		_, err := w.registry.CreateTenant(t.Context(), root(), keys.NewTenant{ID: id, Name: "x"})
		if r := want(t, err, keys.ValidationFailed); r.Fields[0].Field != "id" {
			t.Errorf("id %q: %v", id, r)
		}
	}
	a := w.actor(w.person("admin", string(made.ID), keys.RoleTenantAdmin))
	_, err = w.registry.CreateTenant(t.Context(), a, keys.NewTenant{Name: "mine"})
	want(t, err, keys.PermissionDenied)
	trial := "trial"
	_, err = w.registry.EditTenant(t.Context(), a, made.ID, keys.TenantEdit{Plan: &trial})
	want(t, err, keys.PermissionDenied)
	_, err = w.registry.TenantNamed(t.Context(), a, keys.DefaultTenant)
	want(t, err, keys.NotFoundHere)
	page, err := w.registry.TenantList(t.Context(), a, keys.TenantFilter{})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != made.ID {
		t.Errorf("his organisations: %+v, %v", page, err)
	}
}

// TestTenantPlanStopsKeys: what was bought decides at once, both ways, and what the refusals are.
func TestTenantPlanStopsKeys(t *testing.T) {
	w := newTown(t)
	w.tenant("acme")
	dev := w.actor(w.person("dev", "acme", keys.RoleDeveloper))
	g := w.generate(dev, "ci")
	for _, c := range []struct {
		plan    string
		code    keys.Code
		refusal keys.RefusalCode
	}{{"trial", keys.PlanNotEligible, keys.PlanNotEligibleHere}, {"business", keys.Admitted, ""}, {"", keys.Admitted, ""}} {
		if _, err := w.registry.EditTenant(t.Context(), root(), "acme", keys.TenantEdit{Plan: &c.plan}); err != nil {
			t.Fatal(err)
		}
		if got := w.code(g); got != c.code {
			t.Errorf("plan %q: the key gets %q, want %q", c.plan, got, c.code)
		}
		may, err := w.registry.May(t.Context(), dev)
		if err != nil || may[keys.KeysGenerate].Reason != c.refusal {
			t.Errorf("plan %q: may generate: %+v, %v", c.plan, may[keys.KeysGenerate], err)
		}
		made, err := w.registry.Generate(t.Context(), dev, keys.NewCredential{Name: "x"})
		if c.refusal != "" {
			want(t, err, c.refusal)
		} else if wantPlan := map[string]keys.PlanName{"business": "partner", "": "standard"}[c.plan]; err != nil || made.Credential.Plan != wantPlan {
			t.Errorf("plan %q: a key on %s, %v", c.plan, made.Credential.Plan, err)
		}
	}
}

// TestPreconditions: each of the three of requirement S3.26 has its own refusal.
func TestPreconditions(t *testing.T) {
	w := newTown(t)
	w.tenant("acme")
	admin := w.person("admin", "acme", keys.RoleTenantAdmin)
	generate := func() error {
		_, err := w.registry.Generate(t.Context(), w.actor(admin), keys.NewCredential{Name: "x"})
		return err
	}
	want(t, generate(), keys.RoleRequired)
	if may, err := w.registry.May(t.Context(), w.actor(admin)); err != nil || may[keys.KeysGenerate].Reason != keys.RoleRequired || !may[keys.UsersManage].Allowed {
		t.Errorf("%+v, %v", may, err)
	}
	if err := w.assign(w.actor(admin), admin.ID, keys.RoleTenantAdmin, keys.RoleDeveloper); err != nil {
		t.Fatal(err)
	}
	if err := w.settings(w.actor(admin), "acme", keys.SettingsChange{KeysEnabled: set(false)}); err != nil {
		t.Fatal(err)
	}
	want(t, generate(), keys.KeysDisabledHere)
	if err := w.settings(w.actor(admin), "acme", keys.SettingsChange{KeysEnabled: back[bool]()}); err != nil {
		t.Fatal(err)
	}
	if err := generate(); err != nil {
		t.Error(err)
	}
	a := w.actor(admin)
	w.advance(keys.ReauthenticationAge)
	if may, err := w.registry.May(t.Context(), a); err != nil || may[keys.KeysReveal].Reason != keys.ReauthRequired {
		t.Errorf("reveal: %+v, %v", may[keys.KeysReveal], err)
	}
}

func TestSettings(t *testing.T) {
	w := newTown(t, func(c *keys.Catalog) {
		c.Policy.MaxKeysPerUser = 3
		c.Policy.NameRequired = true
		c.Policy.DefaultExpiry = keys.Lifetime{Months: 12}
	})
	w.tenant("acme")
	admin := w.actor(w.person("admin", "acme", keys.RoleTenantAdmin))
	dev := w.actor(w.person("dev", "acme", keys.RoleDeveloper))
	old := w.generate(dev, "old")

	// What tenant_may_change names, and nothing else of it either.
	err := w.settings(admin, "acme", keys.SettingsChange{MaxKeysPerUser: set(2), MaxKeysPerTenant: set(1)})
	want(t, err, keys.PermissionDenied)
	if e, err := w.registry.Settings(t.Context(), admin, "acme"); err != nil || e.Policy.MaxKeysPerUser != 3 {
		t.Errorf("half of a refused change was made: %+v, %v", e.Policy, err)
	}
	want(t, w.settings(dev, "acme", keys.SettingsChange{KeysEnabled: set(false)}), keys.PermissionDenied)
	want(t, w.settings(admin, "default", keys.SettingsChange{KeysEnabled: set(false)}), keys.NotFoundHere)
	for _, most := range []int{0, 1001, -2} {
		r := want(t, w.settings(admin, "acme", keys.SettingsChange{MaxKeysPerUser: set(most), DefaultPlan: keys.SettingChange[keys.PlanName]{}}), keys.ValidationFailed)
		if r.Fields[0].Field != "max_keys_per_user" {
			t.Errorf("%d: %v", most, r)
		}
	}
	r := want(t, w.settings(root(), "acme", keys.SettingsChange{
		DefaultPlan: set[keys.PlanName]("gold"), SecretVisibility: map[keys.Kind]keys.SettingChange[keys.Visibility]{keys.Client: set[keys.Visibility]("always")},
		OwnerOf: map[keys.Kind]keys.SettingChange[keys.OwnerType]{keys.APIKey: set[keys.OwnerType]("team")},
	}), keys.ValidationFailed)
	if len(r.Fields) != 3 {
		t.Errorf("all that is wrong: %v", r)
	}

	// New maxima count for new keys only (S3.21, S3.22), and the switch at once (S3.4).
	if err := w.settings(admin, "acme", keys.SettingsChange{MaxKeysPerUser: set(1), MaxExpiry: set(keys.Lifetime{For: time.Hour})}); err != nil {
		t.Fatal(err)
	}
	if got := w.code(old); got != keys.Admitted {
		t.Errorf("the old key gets %q", got)
	}
	_, err = w.registry.Generate(t.Context(), dev, keys.NewCredential{Name: "second"})
	if r := want(t, err, keys.MaxKeysReached); r.Scope != "user" || r.Limit != 1 {
		t.Errorf("%+v", r)
	}
	if err := w.settings(admin, "acme", keys.SettingsChange{MaxKeysPerUser: set(keys.Unlimited)}); err != nil {
		t.Fatal(err)
	}
	if g := w.generate(dev, "short"); !g.Credential.ExpiresAt.Equal(w.clock().Add(time.Hour)) {
		t.Errorf("a new key ends at %v", g.Credential.ExpiresAt)
	}
	if err := w.settings(admin, "acme", keys.SettingsChange{KeysEnabled: set(false)}); err != nil {
		t.Fatal(err)
	}
	if got := w.code(old); got != keys.KeysDisabled {
		t.Errorf("switched off, the key gets %q", got)
	}

	// What only the provider may change is in force too, and null goes back.
	if err := w.settings(root(), "acme", keys.SettingsChange{
		KeysEnabled: back[bool](), NameRequired: set(false), DefaultPlan: set[keys.PlanName]("partner"), MaxKeysPerTenant: set(3),
		SecretVisibility: map[keys.Kind]keys.SettingChange[keys.Visibility]{keys.APIKey: set(keys.Revealable)},
		OwnerOf:          map[keys.Kind]keys.SettingChange[keys.OwnerType]{keys.APIKey: set(keys.OwnerTenant)},
	}); err != nil {
		t.Fatal(err)
	}
	g, err := w.registry.Generate(t.Context(), dev, keys.NewCredential{})
	if c := g.Credential; err != nil || c.Plan != "partner" || c.Owner.Type != keys.OwnerTenant || len(c.Secrets[0].Sealed) == 0 || c.Name == "" {
		t.Errorf("got %+v, %v", c, err)
	}
	_, err = w.registry.Generate(t.Context(), dev, keys.NewCredential{})
	if r := want(t, err, keys.MaxKeysReached); r.Scope != "tenant" || r.Limit != 3 {
		t.Errorf("%+v", r)
	}
	e, err := w.registry.Settings(t.Context(), admin, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for name, state := range map[keys.SettingName]keys.SettingState{
		keys.SettingKeysEnabled: {Source: keys.FromPolicy, MayChange: true}, keys.SettingMaxKeysPerUser: {Source: keys.FromTenant, MayChange: true},
		keys.SettingMaxKeysPerTenant: {Source: keys.FromTenant}, keys.SettingDefaultExpiry: {Source: keys.FromPolicy, MayChange: true},
		keys.SettingSecretVisibility: {Source: keys.FromTenant}, keys.SettingNameRule: {Source: keys.FromTenant},
	} {
		if e.State[name] != state {
			t.Errorf("%s: got %+v, want %+v", name, e.State[name], state)
		}
	}
	if w.catalog.Policy.SecretVisibility[keys.APIKey] != "" {
		t.Error("a tenant's settings changed the installation's policy")
	}
	err = w.settings(root(), "acme", keys.SettingsChange{KeysEnabled: set(true), IfVersion: []int64{1}})
	want(t, err, keys.VersionConflict)
}

func TestOwnerOfNewKeys(t *testing.T) {
	w := newTown(t)
	ada, bob := w.person("ada", "default", keys.RoleDeveloper), w.person("bob", "default", keys.RoleDeveloper, keys.RoleTenantAdmin)
	op := w.actor(w.person("op", "provider", keys.RoleOperator))
	a, b := w.actor(ada), w.actor(bob)
	robot := keys.Actor{ActorRef: keys.ActorRef{Type: keys.ActorToken, ID: "tok_1"}, Tenant: "default", Permissions: keys.PermissionSet{keys.KeysGenerate: {}}}
	for _, c := range []struct {
		name  string
		actor keys.Actor
		kind  keys.Kind
		owner *keys.OwnerInput
		want  string // owner's id, or the code of a refusal
	}{
		{"a person's key", a, keys.APIKey, nil, string(ada.ID)},
		{"a person's client", a, keys.Client, nil, "default"},
		{"for himself", a, keys.APIKey, &keys.OwnerInput{Type: keys.OwnerUser, ID: string(ada.ID)}, string(ada.ID)},
		{"for himself, without id", a, keys.Client, &keys.OwnerInput{Type: keys.OwnerUser}, string(ada.ID)},
		{"for another", a, keys.APIKey, &keys.OwnerInput{Type: keys.OwnerUser, ID: string(bob.ID)}, "self_only"},
		{"for another, by an administrator", b, keys.APIKey, &keys.OwnerInput{Type: keys.OwnerUser, ID: string(ada.ID)}, "self_only"},
		{"for another, by an operator", op, keys.APIKey, &keys.OwnerInput{Type: keys.OwnerUser, ID: string(ada.ID)}, "self_only"},
		{"for nobody", a, keys.APIKey, &keys.OwnerInput{Type: keys.OwnerUser, ID: "usr_nobody"}, "self_only"},
		{"for the tenant, against policy.owner", a, keys.APIKey, &keys.OwnerInput{Type: keys.OwnerTenant}, "permission_denied"},
		{"for the tenant, as policy.owner says", a, keys.Client, &keys.OwnerInput{Type: keys.OwnerTenant}, "default"},
		{"for the tenant, by an operator", op, keys.APIKey, &keys.OwnerInput{Type: keys.OwnerTenant}, "default"},
		{"an operator's", op, keys.APIKey, nil, "default"},
		{"a token's", robot, keys.APIKey, nil, "default"},
		{"a token's for a person", robot, keys.APIKey, &keys.OwnerInput{Type: keys.OwnerUser, ID: string(ada.ID)}, "self_only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := w.registry.Generate(t.Context(), c.actor, keys.NewCredential{Name: "x", Kind: c.kind, Owner: c.owner})
			if err != nil {
				want(t, err, keys.RefusalCode(c.want))
			} else if g.Credential.Owner.ID != c.want {
				t.Errorf("got owner %+v, want %s", g.Credential.Owner, c.want)
			}
		})
	}
	list := func(a keys.Actor, f keys.CredentialFilter) (n int) {
		page, err := w.registry.Credentials(t.Context(), a, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Items {
			if c.Owner.Type == keys.OwnerUser && c.Owner.ID != string(a.User) && !a.Permissions.Has(keys.KeysReadAny) {
				t.Errorf("%s sees a key of %s", a.Name, c.Owner.Name)
			}
			n++
		}
		return n
	}
	w.generate(b, "bob's")
	all := list(op, keys.CredentialFilter{})
	if n := list(a, keys.CredentialFilter{}); n != all-1 {
		t.Errorf("ada sees %d of %d, want all but bob's", n, all)
	}
	for f := (keys.CredentialFilter{Limit: 1}); ; { // others' keys do not fill his pages
		page, err := w.registry.Credentials(t.Context(), a, f)
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("a page of one has %d, %v", len(page.Items), err)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if n := list(a, keys.CredentialFilter{OwnerType: keys.OwnerUser, OwnerID: string(bob.ID)}); n != 0 {
		t.Errorf("ada sees %d of bob's", n)
	}
	if n := list(b, keys.CredentialFilter{}); n != all {
		t.Errorf("who reads everything sees %d of %d", n, all)
	}
}

func TestTokenActsAsAPerson(t *testing.T) {
	w := newTown(t)
	w.tenant("acme")
	ada := w.person("ada", "acme", keys.RoleDeveloper)
	boss := w.person("boss", "acme", keys.RoleTenantAdmin, keys.RoleDeveloper)
	create := func(a keys.Actor, in keys.NewToken) (keys.GeneratedToken, error) {
		in.Name = "bot"
		return w.registry.CreateToken(t.Context(), a, in)
	}
	actor := func(g keys.GeneratedToken) (keys.Actor, error) {
		return w.registry.TokenActor(t.Context(), g.Secret.Reveal())
	}

	g, err := create(root(), keys.NewToken{ActsAs: ada.ID, Roles: []keys.RoleName{keys.RoleDeveloper, keys.RoleAuditor}})
	if err != nil || g.Token.Tenant != "acme" {
		t.Fatalf("%+v, %v", g.Token, err)
	}
	a, err := actor(g)
	if err != nil || a.User != ada.ID || a.Tenant != "acme" || !a.Permissions.Has(keys.KeysGenerate) || a.Permissions.Has(keys.AuditRead) || a.Permissions.Has(keys.KeysReveal) {
		t.Errorf("got %+v, %v; want at most what she may, and no reveal", a, err)
	}
	// Who made the token sees what it makes, so that is not hers, and hers gets no new secret by it.
	hers := w.generate(w.actor(ada), "hers")
	if o := w.generate(a, "bot's").Credential.Owner; o.Type != keys.OwnerTenant {
		t.Errorf("owner %+v", o)
	}
	_, err = w.registry.Generate(t.Context(), a, keys.NewCredential{Name: "x", Owner: &keys.OwnerInput{Type: keys.OwnerUser}})
	want(t, err, keys.SelfOnly)
	_, err = w.registry.Rotate(t.Context(), a, hers.Credential.ID, keys.Rotation{})
	want(t, err, keys.SelfOnly)
	own, err := create(w.actor(boss), keys.NewToken{ActsAs: boss.ID, Roles: []keys.RoleName{keys.RoleDeveloper}})
	if err != nil {
		t.Fatalf("as oneself: %v", err)
	}
	his, err := actor(own)
	if err != nil {
		t.Fatal(err)
	}
	made := w.generate(his, "his own bot's")
	if o := made.Credential.Owner; o.ID != string(boss.ID) || o.Name != "boss@example.com" {
		t.Errorf("owner %+v", o)
	}
	if _, err := w.registry.Rotate(t.Context(), his, made.Credential.ID, keys.Rotation{}); err != nil {
		t.Errorf("rotate one's own by a token of one's own: %v", err)
	}
	_, err = create(w.actor(boss), keys.NewToken{ActsAs: ada.ID, Roles: []keys.RoleName{keys.RoleDeveloper}})
	want(t, err, keys.SelfOnly) // else he would generate keys in her name
	_, err = create(root(), keys.NewToken{ActsAs: ada.ID, Tenant: "default", Roles: []keys.RoleName{keys.RoleDeveloper}})
	want(t, err, keys.ValidationFailed)
	_, err = create(root(), keys.NewToken{ActsAs: "usr_nobody", Roles: []keys.RoleName{keys.RoleDeveloper}})
	want(t, err, keys.ValidationFailed)

	_, err = create(w.actor(w.person("plain", "acme", keys.RoleTenantAdmin)), keys.NewToken{Roles: []keys.RoleName{keys.RoleDeveloper}})
	want(t, err, keys.PermissionDenied) // a token is a right of its own, and no assignment

	if err := w.assign(root(), ada.ID, keys.RoleViewer); err != nil {
		t.Fatal(err)
	}
	if a, err := actor(g); err != nil || a.Permissions.Has(keys.KeysGenerate) || !a.Permissions.Has(keys.KeysRead) {
		t.Errorf("after a demotion: %+v, %v", a, err)
	}
	if err := w.disable(root(), ada.ID); err != nil {
		t.Fatal(err)
	}
	_, err = actor(g)
	want(t, err, keys.SignInRequired)
}
