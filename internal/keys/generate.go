package keys

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// NewCredential is the input of Generate. Empty means default.
type NewCredential struct {
	Kind            Kind // default api_key
	Name            string
	Description     string
	Tenant          TenantID // default: the actor's, DefaultTenant for the provider's
	Owner           *OwnerInput
	Plan            PlanName
	APIs            []APIName
	Scopes          []Scope
	Expiry          *Lifetime // nil: policy's default
	Test            bool
	ApplicationType string
	RedirectURIs    []string
	AllowedIPs      []string
	Metadata        map[string]string
	ExternalID      string
	Reason          string
	Idempotency     Idempotency
	// Wrong is what reading the input found already: it is refused with everything else, so that
	// a person sees all of it at once.
	Wrong []FieldError
}

// OwnerInput names an owner: type tenant, or user with id.
type OwnerInput struct {
	Type OwnerType
	ID   string
}

// Generated is a credential and, this once, its new secret.
type Generated struct {
	Credential Credential
	Secret     Secret
	Replayed   bool // an earlier request with the same Idempotency made it: there is no secret to see any more
}

// mostTries bounds how often an id that exists already is drawn again. One in 10^21 does.
const mostTries = 5

// Generate makes a credential. Refusals: permission_denied, role_required, self_only, keys_disabled,
// plan_not_eligible, validation_failed (all fields at once), max_keys_reached, idempotency_mismatch,
// and the store's. With a Directory, the key works when it returns.
func (r *Registry) Generate(ctx context.Context, a Actor, in NewCredential) (Generated, error) {
	if !a.Permissions.HasAny(KeysGenerate, KeysGenerateAny) {
		return Generated{}, r.deniedKeys(a)
	}
	id := in.Tenant
	if id == "" {
		if id = a.Tenant; a.provider() {
			id = DefaultTenant
		}
	}
	if !a.actsIn(id) {
		return Generated{}, &Refusal{
			Code:   PermissionDenied,
			Detail: fmt.Sprintf("You may generate keys in the tenant %s only.", a.Tenant),
			Hint:   r.help("Leave tenant out, or ask the provider."),
		}
	}
	if made, err := r.earlier(ctx, r.store, a, in.Idempotency); err != nil || made != "" {
		return r.madeEarlier(ctx, a, made, err)
	}
	now := r.instant()
	tenant, err := r.readyTenant(ctx, r.store, id)
	if err != nil {
		return Generated{}, err
	}
	draft, err := r.draft(a, in, tenant, now)
	if err != nil {
		return Generated{}, err
	}
	for try := 1; ; try++ {
		g, err := r.withSecret(draft, r.catalog.Load().PolicyFor(tenant))
		if err != nil {
			return Generated{}, err
		}
		err = r.change(ctx, "generate key", func(ctx context.Context, tx Tx) error {
			if err := r.claim(ctx, tx, a, in.Idempotency, string(g.Credential.ID)); err != nil {
				return err
			}
			return r.insert(ctx, tx, a, g.Credential)
		})
		if err == nil {
			return g, nil
		}
		if made := (*madeBefore)(nil); errors.As(err, &made) {
			return r.madeEarlier(ctx, a, made.target, nil)
		}
		if !errors.Is(err, ErrDuplicate) || try == mostTries {
			return Generated{}, err
		}
	}
}

// insert writes a new credential if the rules that depend on stored facts let it in; they are asked
// within the transaction, so that two at once cannot both take the last place.
func (r *Registry) insert(ctx context.Context, tx Tx, a Actor, c Credential) error {
	tenant, err := r.readyTenant(ctx, tx, c.Tenant)
	if err != nil {
		return err
	}
	if err := r.ownerReady(ctx, tx, c.Owner); err != nil {
		return err
	}
	if err := r.actorReady(ctx, tx, a); err != nil {
		return err
	}
	if err := r.room(ctx, tx, c, tenant); err != nil {
		return err
	}
	if err := tx.PutCredential(ctx, c); err != nil {
		return err
	}
	return r.record(ctx, tx, a, string(c.Tenant), "key.generated", string(c.ID), generatedDetails(&c))
}

// generatedDetails is what the audit keeps of a new credential: everything that decides what it may
// do. Of its metadata only the names: what stands there is the customer's own.
func generatedDetails(c *Credential) map[string]string {
	return details(
		"kind", string(c.Kind), "name", c.Name, "owner", string(c.Owner.Type)+":"+c.Owner.ID, "plan", string(c.Plan),
		"apis", join(c.APIs), "scopes", join(c.Scopes), "status", string(c.Status), "test", strconv.FormatBool(c.Test),
		"expires_at", endText(c.ExpiresAt), "allowed_ips", joinRanges(c.AllowedIPs), "application_type", c.ApplicationType,
		"redirect_uris", join(c.RedirectURIs), "external_id", c.ExternalID, "metadata", join(sortedKeys(c.Metadata)))
}

// joinRanges writes address ranges as join writes texts.
func joinRanges(list []netip.Prefix) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return join(texts)
}

// readyTenant returns a tenant that may have keys.
func (r *Registry) readyTenant(ctx context.Context, from Reader, id TenantID) (Tenant, error) {
	t, err := from.Tenant(ctx, id)
	if errors.Is(err, ErrNotFound) {
		var wrong fieldErrors
		wrong.add("tenant", "there is no tenant %s", quote(string(id)))
		return Tenant{}, wrong.refusal()
	}
	if err != nil {
		return Tenant{}, r.failure("read tenant", err)
	}
	cat := r.catalog.Load()
	if !cat.PolicyFor(t).KeysEnabled {
		return Tenant{}, &Refusal{
			Code:   KeysDisabledHere,
			Detail: fmt.Sprintf("API keys are switched off for %s.", t.Name),
			Hint:   r.help("Its administrator can switch them on (keys_enabled)."),
		}
	}
	if !eligible(cat, t) {
		return Tenant{}, &Refusal{
			Code:   PlanNotEligibleHere,
			Detail: fmt.Sprintf("The plan %s of %s does not include API keys.", t.Plan, t.Name),
			Hint:   r.help("Ask the provider for a plan that does."),
		}
	}
	return t, nil
}

// room refuses a credential that is one more than the caps allow. They count what works or could
// work again, and hold for new credentials only.
func (r *Registry) room(ctx context.Context, from Reader, c Credential, t Tenant) error {
	policy := r.catalog.Load().PolicyFor(t)
	full := func(most int, f CountFilter) (bool, error) {
		if most < 0 {
			return false, nil
		}
		f.Tenant, f.Now = c.Tenant, c.CreatedAt
		n, err := from.CountCredentials(ctx, f)
		return n >= most, err
	}
	over, err := full(policy.MaxKeysPerTenant, CountFilter{})
	if err != nil {
		return err
	}
	if over {
		return &Refusal{
			Code:   MaxKeysReached,
			Detail: fmt.Sprintf("The maximum number of API keys has been reached: %s has %d already.", t.Name, policy.MaxKeysPerTenant),
			Hint:   r.help("Revoke or delete a key that is not needed any more."),
			Scope:  "tenant", Limit: policy.MaxKeysPerTenant,
		}
	}
	if c.Owner.Type != OwnerUser {
		return nil
	}
	over, err = full(policy.MaxKeysPerUser, CountFilter{OwnerType: OwnerUser, OwnerID: c.Owner.ID})
	if err != nil || !over {
		return err
	}
	return &Refusal{
		Code:   MaxKeysReached,
		Detail: fmt.Sprintf("The maximum number of API keys has been reached: %s has %d already.", c.Owner.Name, policy.MaxKeysPerUser),
		Hint:   r.help("Revoke or delete a key that is not needed any more."),
		Scope:  "user", Limit: policy.MaxKeysPerUser,
	}
}

// withSecret gives a draft its id, a fresh secret and the row MACs.
func (r *Registry) withSecret(c Credential, policy Policy) (Generated, error) {
	var text Secret
	var id, secretID string
	var err error
	if c.Kind == Client {
		if id, err = random62(r.random, idLen); err != nil {
			return Generated{}, err
		}
		secretID, text, err = r.format.NewClientSecret(r.random)
		c.ID = CredentialID("app_" + id)
	} else {
		if secretID, err = random62(r.random, idLen); err != nil {
			return Generated{}, err
		}
		id, text, err = r.format.NewKey(r.random, c.Test)
		c.ID = CredentialID("key_" + id)
	}
	if err != nil {
		return Generated{}, err
	}
	if c.Name == "" {
		c.Name = usualName(c.ID)
	}
	s, err := r.stored(&c, policy, SecretID(secretID), text, c.CreatedAt)
	if err != nil {
		return Generated{}, err
	}
	c.Secrets = []StoredSecret{s}
	r.vault.SealCredential(&c)
	return Generated{Credential: c, Secret: text}, nil
}

// usualName is the name of a credential that was given none.
func usualName(id CredentialID) string { return "key-" + string(id[4:10]) }

// stored is what is kept of a secret, its text too where the policy lets it be seen again.
func (r *Registry) stored(c *Credential, policy Policy, id SecretID, text Secret, now time.Time) (StoredSecret, error) {
	s := StoredSecret{
		ID: id, Digest: r.vault.Digest(text.Reveal()), Pepper: r.vault.PepperVersion(),
		Preview: preview(text.Reveal()), CreatedAt: now,
	}
	if policy.SecretVisibility[c.Kind] == Revealable {
		var err error
		if s.Sealed, err = r.vault.Seal(c.Tenant, c.ID, s.ID, text); err != nil {
			return StoredSecret{}, err
		}
	}
	r.vault.SealSecret(c.ID, &s)
	return s, nil
}
