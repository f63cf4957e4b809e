package admin

import (
	"context"

	"postern/internal/keys"
)

const (
	showSettingsDoc = "Shows an organisation's rules for keys as they are in force, where each comes from, and whether the caller may change it: " +
		"one's own organisation's, or any for the provider's people."
	changeSettingsDoc = "Changes what is given, all of it or nothing; null goes back to the installation's policy. The organisation's administrators may change " +
		"what policy.tenant_may_change names, the provider everything. keys_enabled: false stops all keys at once; maxima and lifetimes count for new keys only."
)

// Setting is a rule in force.
type Setting[T any] struct {
	Value     T      `json:"value" doc:"What is in force."`
	Source    string `json:"source" enum:"policy,tenant_plan,tenant" doc:"Where it comes from: the configuration, what the organisation has bought, or the organisation's own." example:"policy"`
	MayChange bool   `json:"may_change" doc:"The caller may change it."`
}

// PlanSetting is the default plan in force.
type PlanSetting struct {
	Value     *string `json:"value" doc:"What is in force; null when a plan must be named." example:"standard"`
	Source    string  `json:"source" enum:"policy,tenant_plan,tenant" doc:"Where it comes from: the configuration, what the organisation has bought, or the organisation's own." example:"policy"`
	MayChange bool    `json:"may_change" doc:"The caller may change it."`
}

// ByKind is a rule that differs by the kind of key.
type ByKind struct {
	APIKey string `json:"api_key" doc:"For API keys."`
	Client string `json:"client" doc:"For clients."`
}

// Settings are an organisation's rules for keys.
type Settings struct {
	KeysEnabled      Setting[bool]   `json:"keys_enabled" doc:"May its keys be used and generated."`
	DefaultPlan      PlanSetting     `json:"default_plan" doc:"Limits of a key that is generated without naming a plan; null when a plan must be named."`
	MaxKeysPerTenant Setting[Cap]    `json:"max_keys_per_tenant" doc:"How many keys the organisation may have."`
	MaxKeysPerUser   Setting[Cap]    `json:"max_keys_per_user" doc:"How many keys a person may own."`
	DefaultExpiry    Setting[string] `json:"default_expiry" doc:"Lifetime of a key that is generated without naming one."`
	MaxExpiry        Setting[string] `json:"max_expiry" doc:"The longest lifetime that may be named."`
	SecretVisibility Setting[ByKind] `json:"secret_visibility" doc:"once: a secret is shown when it is made; revealable: its owner may see it again."`
	Owner            Setting[ByKind] `json:"owner" doc:"Who owns what a person generates: user or tenant."`
	Name             Setting[string] `json:"name" doc:"Must a key have a name: required or optional."`
}

// SettingsEdit is what may be changed of an organisation's rules; null goes back to the policy.
type SettingsEdit struct {
	KeysEnabled      Maybe[bool]   `json:"keys_enabled,omitzero" doc:"May its keys be used and generated; null for as the policy says."`
	DefaultPlan      Maybe[string] `json:"default_plan,omitzero" doc:"Limits of a key that is generated without naming a plan." example:"standard"`
	MaxKeysPerTenant Maybe[Cap]    `json:"max_keys_per_tenant,omitzero" doc:"How many keys the organisation may have: 1 to 1000, or unlimited." example:"5"`
	MaxKeysPerUser   Maybe[Cap]    `json:"max_keys_per_user,omitzero" doc:"How many keys a person may own: 1 to 1000, or unlimited." example:"2"`
	DefaultExpiry    Maybe[string] `json:"default_expiry,omitzero" doc:"Lifetime of a key that is generated without naming one: 90d, 6mo, 2y, a date, or never." example:"90d"`
	MaxExpiry        Maybe[string] `json:"max_expiry,omitzero" doc:"The longest lifetime that may be named." example:"1y"`
	SecretVisibility *EditByKind   `json:"secret_visibility,omitempty" doc:"once or revealable."`
	Owner            *EditByKind   `json:"owner,omitempty" doc:"user or tenant."`
	Name             Maybe[string] `json:"name,omitzero" doc:"Must a key have a name: required or optional." example:"optional"`
}

// EditByKind changes a rule that differs by the kind of key.
type EditByKind struct {
	APIKey Maybe[string] `json:"api_key,omitzero" doc:"For API keys; null for as the policy says."`
	Client Maybe[string] `json:"client,omitzero" doc:"For clients; null for as the policy says."`
}

type settingsOutput struct {
	ETag string `header:"ETag" doc:"The organisation's version in quotes, for If-Match." example:"\"1\""`
	Body Settings
}

func (s *server) showSettings(ctx context.Context, a keys.Actor, in *tenantInput) (*settingsOutput, error) {
	e, err := s.Registry.Settings(ctx, a, keys.TenantID(in.ID))
	return makeSettings(e, err)
}

type changeSettingsInput struct {
	ID      string `path:"id" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" patternDescription:"the id of a tenant" doc:"The organisation's id." example:"acme"`
	IfMatch string `header:"If-Match" doc:"Change only while the organisation still has this ETag." example:"\"1\""`
	Body    SettingsEdit
}

func (s *server) changeSettings(ctx context.Context, a keys.Actor, in *changeSettingsInput) (*settingsOutput, error) {
	b := in.Body
	var wrong []keys.FieldError
	change := keys.SettingsChange{
		KeysEnabled:      keys.SettingChange[bool]{Set: b.KeysEnabled.Set, Clear: b.KeysEnabled.Null, Value: b.KeysEnabled.Value},
		DefaultPlan:      keys.SettingChange[keys.PlanName]{Set: b.DefaultPlan.Set, Clear: b.DefaultPlan.Null, Value: keys.PlanName(b.DefaultPlan.Value)},
		MaxKeysPerTenant: keys.SettingChange[int]{Set: b.MaxKeysPerTenant.Set, Clear: b.MaxKeysPerTenant.Null, Value: int(b.MaxKeysPerTenant.Value)},
		MaxKeysPerUser:   keys.SettingChange[int]{Set: b.MaxKeysPerUser.Set, Clear: b.MaxKeysPerUser.Null, Value: int(b.MaxKeysPerUser.Value)},
		DefaultExpiry:    lifetimeChange(b.DefaultExpiry, "default_expiry", &wrong),
		MaxExpiry:        lifetimeChange(b.MaxExpiry, "max_expiry", &wrong),
		SecretVisibility: kindChanges[keys.Visibility](b.SecretVisibility),
		OwnerOf:          kindChanges[keys.OwnerType](b.Owner),
		NameRequired:     keys.SettingChange[bool]{Set: b.Name.Set, Clear: b.Name.Null, Value: b.Name.Value == "required"},
		IfVersion:        versionsOf(in.IfMatch),
	}
	if n := b.Name; n.Set && !n.Null && n.Value != "required" && n.Value != "optional" {
		wrong = append(wrong, keys.FieldError{Field: "name", Message: "must be required or optional"})
	}
	change.Wrong = wrong
	e, err := s.Registry.ChangeSettings(ctx, a, keys.TenantID(in.ID), change)
	return makeSettings(e, err)
}

func lifetimeChange(m Maybe[string], field string, wrong *[]keys.FieldError) keys.SettingChange[keys.Lifetime] {
	out := keys.SettingChange[keys.Lifetime]{Set: m.Set, Clear: m.Null}
	if !m.Set || m.Null {
		return out
	}
	var err error
	if out.Value, err = keys.ParseLifetime(m.Value); err != nil {
		*wrong = append(*wrong, keys.FieldError{Field: field, Message: err.Error()})
	}
	return out
}

func kindChanges[T ~string](e *EditByKind) map[keys.Kind]keys.SettingChange[T] {
	out := map[keys.Kind]keys.SettingChange[T]{}
	if e == nil {
		return out
	}
	for kind, m := range map[keys.Kind]Maybe[string]{keys.APIKey: e.APIKey, keys.Client: e.Client} {
		if m.Set {
			out[kind] = keys.SettingChange[T]{Set: true, Clear: m.Null, Value: T(m.Value)}
		}
	}
	return out
}

func makeSettings(e keys.EffectiveSettings, err error) (*settingsOutput, error) {
	if err != nil {
		return nil, err
	}
	p := e.Policy
	out := Settings{
		KeysEnabled:      setting(e, keys.SettingKeysEnabled, p.KeysEnabled),
		DefaultPlan:      PlanSetting(setting[*string](e, keys.SettingDefaultPlan, nil)),
		MaxKeysPerTenant: setting(e, keys.SettingMaxKeysPerTenant, Cap(p.MaxKeysPerTenant)),
		MaxKeysPerUser:   setting(e, keys.SettingMaxKeysPerUser, Cap(p.MaxKeysPerUser)),
		DefaultExpiry:    setting(e, keys.SettingDefaultExpiry, p.DefaultExpiry.String()),
		MaxExpiry:        setting(e, keys.SettingMaxExpiry, p.MaxExpiry.String()),
		SecretVisibility: setting(e, keys.SettingSecretVisibility, ByKind{APIKey: string(p.SecretVisibility[keys.APIKey]), Client: string(p.SecretVisibility[keys.Client])}),
		Owner:            setting(e, keys.SettingOwner, ByKind{APIKey: string(p.OwnerOf[keys.APIKey]), Client: string(p.OwnerOf[keys.Client])}),
		Name:             setting(e, keys.SettingNameRule, "optional"),
	}
	if p.DefaultPlan != "" {
		plan := string(p.DefaultPlan)
		out.DefaultPlan.Value = &plan
	}
	if p.NameRequired {
		out.Name.Value = "required"
	}
	return &settingsOutput{ETag: etag(e.Tenant.Version), Body: out}, nil
}

func setting[T any](e keys.EffectiveSettings, name keys.SettingName, value T) Setting[T] {
	state := e.State[name]
	return Setting[T]{Value: value, Source: string(state.Source), MayChange: state.MayChange}
}
