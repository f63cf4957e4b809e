package keys

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// SettingName is a rule for keys that a tenant may have its own of, as section policy of gateway.yaml
// calls it.
type SettingName string

// The settings.
const (
	SettingKeysEnabled      SettingName = "keys_enabled"
	SettingDefaultPlan      SettingName = "default_plan"
	SettingMaxKeysPerTenant SettingName = "max_keys_per_tenant"
	SettingMaxKeysPerUser   SettingName = "max_keys_per_user"
	SettingDefaultExpiry    SettingName = "default_expiry"
	SettingMaxExpiry        SettingName = "max_expiry"
	SettingSecretVisibility SettingName = "secret_visibility"
	SettingOwner            SettingName = "owner"
	SettingNameRule         SettingName = "name"
)

// SettingSource tells where the value in force comes from.
type SettingSource string

// The sources.
const (
	FromPolicy     SettingSource = "policy"      // gateway.yaml
	FromTenantPlan SettingSource = "tenant_plan" // what the tenant has bought
	FromTenant     SettingSource = "tenant"      // the tenant's own
)

// SettingState is where a setting comes from, and whether the actor may change it.
type SettingState struct {
	Source    SettingSource
	MayChange bool
}

// EffectiveSettings are a tenant's rules for keys as they are in force.
type EffectiveSettings struct {
	Tenant Tenant
	Policy Policy
	State  map[SettingName]SettingState
}

// SettingChange is a new value, or the installation's again. The zero value changes nothing.
type SettingChange[T any] struct {
	Set   bool // false: leave it as it is
	Clear bool // back to the installation's policy
	Value T
}

// SettingsChange is the input of ChangeSettings.
type SettingsChange struct {
	KeysEnabled      SettingChange[bool]
	DefaultPlan      SettingChange[PlanName]
	MaxKeysPerTenant SettingChange[int]
	MaxKeysPerUser   SettingChange[int]
	DefaultExpiry    SettingChange[Lifetime]
	MaxExpiry        SettingChange[Lifetime]
	SecretVisibility map[Kind]SettingChange[Visibility]
	OwnerOf          map[Kind]SettingChange[OwnerType]
	NameRequired     SettingChange[bool]
	IfVersion        []int64 // the tenant's version must be one of these; none: any
	Wrong            []FieldError
}

// mostKeys is the largest cap that can be set (requirement S3.24).
const mostKeys = 1000

// Settings shows a tenant's rules for keys: to its own people, who meet them, and to the provider's.
func (r *Registry) Settings(ctx context.Context, a Actor, id TenantID) (EffectiveSettings, error) {
	t, err := r.TenantNamed(ctx, a, id)
	if err != nil {
		return EffectiveSettings{}, err
	}
	return r.effective(a, t), nil
}

func (r *Registry) effective(a Actor, t Tenant) EffectiveSettings {
	cat := r.catalog.Load()
	e := EffectiveSettings{Tenant: t, Policy: cat.PolicyFor(t), State: map[SettingName]SettingState{}}
	own := t.Settings.own()
	for _, name := range settingNames() {
		state := SettingState{Source: FromPolicy, MayChange: r.maySet(a, t.ID, name)}
		switch {
		case slices.Contains(own, name):
			state.Source = FromTenant
		case name == SettingDefaultPlan && t.Plan != "" && cat.TenantPlans[t.Plan].DefaultPlan != "":
			state.Source = FromTenantPlan
		}
		e.State[name] = state
	}
	return e
}

func settingNames() []SettingName {
	return []SettingName{
		SettingKeysEnabled, SettingDefaultPlan, SettingMaxKeysPerTenant, SettingMaxKeysPerUser, SettingDefaultExpiry,
		SettingMaxExpiry, SettingSecretVisibility, SettingOwner, SettingNameRule,
	}
}

// own lists the settings that the tenant has its own of.
func (s *TenantSettings) own() []SettingName {
	var list []SettingName
	for name, is := range map[SettingName]bool{
		SettingKeysEnabled: s.KeysEnabled != nil, SettingDefaultPlan: s.DefaultPlan != nil,
		SettingMaxKeysPerTenant: s.MaxKeysPerTenant != nil, SettingMaxKeysPerUser: s.MaxKeysPerUser != nil,
		SettingDefaultExpiry: s.DefaultExpiry != nil, SettingMaxExpiry: s.MaxExpiry != nil,
		SettingSecretVisibility: len(s.SecretVisibility) > 0, SettingOwner: len(s.OwnerOf) > 0, SettingNameRule: s.NameRequired != nil,
	} {
		if is {
			list = append(list, name)
		}
	}
	return list
}

// maySet tells whether an actor may change a setting of a tenant: the provider's people every one, the
// tenant's own administrators what policy.tenant_may_change names.
func (r *Registry) maySet(a Actor, t TenantID, name SettingName) bool {
	if a.provider() && a.Permissions.Has(TenantsManage) {
		return true
	}
	return a.actsIn(t) && a.Permissions.Has(SettingsManage) && slices.Contains(r.catalog.Load().Policy.TenantMayChange, string(name))
}

// ChangeSettings changes a tenant's rules for keys, all of what is asked or nothing. To switch keys off
// stops the tenant's keys at once; caps and lifetimes count for new keys only. Refusals: not_found,
// permission_denied naming what only the provider may change, validation_failed, version_conflict, and
// the store's. With a Directory, it is in effect when it returns.
func (r *Registry) ChangeSettings(ctx context.Context, a Actor, id TenantID, in SettingsChange) (EffectiveSettings, error) {
	var out EffectiveSettings
	err := r.change(ctx, "change settings", func(ctx context.Context, tx Tx) error {
		t, err := r.knownTenant(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if !a.Permissions.HasAny(SettingsManage, TenantsManage) {
			return r.denied(SettingsManage)
		}
		if err := matching("tenant "+string(t.ID), in.IfVersion, t.Version); err != nil {
			return err
		}
		next, touched, wrong := r.applySettings(t.Settings, in)
		for _, name := range touched {
			if !r.maySet(a, id, name) {
				return &Refusal{
					Code:   PermissionDenied,
					Detail: fmt.Sprintf("The setting %s can be changed by the provider only.", name),
					Hint:   r.help("Ask the provider, or leave it out."),
				}
			}
		}
		if err := wrong.refusal(); err != nil {
			return err
		}
		out = r.effective(a, t)
		before := out.texts()
		t.Settings = next
		after := r.effective(a, t)
		changed := differences(before, after.texts())
		if len(changed) == 0 && slices.Equal(sortedSet(out.Tenant.Settings.own()), sortedSet(next.own())) {
			return nil
		}
		if err := r.replaceTenant(ctx, tx, &t); err != nil {
			return err
		}
		out = r.effective(a, t)
		return r.record(ctx, tx, a, string(id), "settings.changed", string(id), changed)
	})
	return out, err
}

// applySettings returns the settings after a change, which of them were named, and what is wrong.
func (r *Registry) applySettings(s TenantSettings, in SettingsChange) (TenantSettings, []SettingName, fieldErrors) {
	var touched []SettingName
	wrong := append(fieldErrors(nil), in.Wrong...)
	overwrite(&s.KeysEnabled, in.KeysEnabled, SettingKeysEnabled, &touched)
	overwrite(&s.DefaultPlan, in.DefaultPlan, SettingDefaultPlan, &touched)
	overwrite(&s.MaxKeysPerTenant, in.MaxKeysPerTenant, SettingMaxKeysPerTenant, &touched)
	overwrite(&s.MaxKeysPerUser, in.MaxKeysPerUser, SettingMaxKeysPerUser, &touched)
	overwrite(&s.DefaultExpiry, in.DefaultExpiry, SettingDefaultExpiry, &touched)
	overwrite(&s.MaxExpiry, in.MaxExpiry, SettingMaxExpiry, &touched)
	overwrite(&s.NameRequired, in.NameRequired, SettingNameRule, &touched)
	s.SecretVisibility = setKinds(s.SecretVisibility, in.SecretVisibility, SettingSecretVisibility, &touched)
	s.OwnerOf = setKinds(s.OwnerOf, in.OwnerOf, SettingOwner, &touched)
	cat := r.catalog.Load()
	if c := in.DefaultPlan; c.Set && !c.Clear && cat.Plans[c.Value] == nil {
		wrong.add("default_plan", "%s", unknown("plan", c.Value, sortedKeys(cat.Plans)))
	}
	for _, most := range []struct {
		field string
		SettingChange[int]
	}{{"max_keys_per_tenant", in.MaxKeysPerTenant}, {"max_keys_per_user", in.MaxKeysPerUser}} {
		if most.Set && !most.Clear && most.Value != Unlimited && (most.Value < 1 || most.Value > mostKeys) {
			wrong.add(most.field, "is %d; it must be 1 to %d, or unlimited", most.Value, mostKeys)
		}
	}
	for kind, c := range in.SecretVisibility {
		if !c.Clear && c.Value != Once && c.Value != Revealable {
			wrong.add("secret_visibility."+string(kind), "is %s; it must be once or revealable", quote(string(c.Value)))
		}
	}
	for kind, c := range in.OwnerOf {
		if !c.Clear && c.Value != OwnerUser && c.Value != OwnerTenant {
			wrong.add("owner."+string(kind), "is %s; it must be user or tenant", quote(string(c.Value)))
		}
	}
	return s, touched, wrong
}

func overwrite[T any](to **T, c SettingChange[T], name SettingName, touched *[]SettingName) {
	if !c.Set {
		return
	}
	*touched = append(*touched, name)
	if *to = nil; !c.Clear {
		*to = &c.Value
	}
}

// setKinds is overwrite for a setting that has a value for each kind. The map it is given stays as it is.
func setKinds[T any](m map[Kind]T, c map[Kind]SettingChange[T], name SettingName, touched *[]SettingName) map[Kind]T {
	out := map[Kind]T{}
	for k, v := range m {
		out[k] = v
	}
	for k, change := range c {
		if change.Clear {
			delete(out, k)
		} else {
			out[k] = change.Value
		}
	}
	if len(c) > 0 {
		*touched = append(*touched, name)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// texts writes the settings in force for the audit, with where each comes from.
func (e *EffectiveSettings) texts() map[string]string {
	p := e.Policy
	out := map[string]string{
		"keys_enabled": strconv.FormatBool(p.KeysEnabled), "default_plan": string(p.DefaultPlan),
		"max_keys_per_tenant": capText(p.MaxKeysPerTenant), "max_keys_per_user": capText(p.MaxKeysPerUser),
		"default_expiry": p.DefaultExpiry.String(), "max_expiry": p.MaxExpiry.String(),
		"name_required": strconv.FormatBool(p.NameRequired),
	}
	for _, kind := range []Kind{APIKey, Client} {
		out["secret_visibility."+string(kind)] = string(p.SecretVisibility[kind])
		out["owner."+string(kind)] = string(p.OwnerOf[kind])
	}
	return out
}

func capText(n int) string {
	if n == Unlimited {
		return "unlimited"
	}
	return strconv.Itoa(n)
}

// differences tells from what to what texts changed.
func differences(before, after map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range after {
		if was := before[name]; was != text {
			out[name] = was + " → " + text
		}
	}
	return out
}
