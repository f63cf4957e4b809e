package keys

import (
	"slices"
	"time"
)

// draft turns an input into a record that lacks only its id and secret, with every wrong field told.
func (r *Registry) draft(a Actor, in NewCredential, tenant Tenant, now time.Time) (Credential, error) {
	cat := r.catalog.Load()
	policy := cat.PolicyFor(tenant)
	wrong := fieldErrors(slices.Clone(in.Wrong))
	c := Credential{
		Kind:        in.Kind,
		Tenant:      tenant.ID,
		Status:      Active,
		Test:        in.Test,
		Name:        wrong.line("name", in.Name, maxName),
		Description: wrong.lines("description", in.Description, maxDescription),
		ExternalID:  wrong.line("external_id", in.ExternalID, maxExternalID),
		Reason:      wrong.lines("reason", in.Reason, maxReason),
		Metadata:    wrong.metadata("metadata", in.Metadata),
		AllowedIPs:  wrong.allowedIPs("allowed_ips", in.AllowedIPs),
		APIs:        names(&wrong, "apis", "API", in.APIs, sortedKeys(cat.APIs)),
		Scopes:      names(&wrong, "scopes", "scope", in.Scopes, cat.scopes()),
		CreatedBy:   a.subject(),
		CreatedAt:   now,
		UpdatedAt:   now,
		Version:     1,
	}
	if c.Kind == "" {
		c.Kind = APIKey
	}
	if c.Kind != APIKey && c.Kind != Client {
		wrong.add("kind", "is %s; it must be api_key or client", quote(string(in.Kind)))
	}
	if c.Name == "" && policy.NameRequired {
		wrong.add("name", "is required")
	}
	if policy.ApprovalRequired {
		c.Status = Pending
	}
	owner, refused := r.chooseOwner(&wrong, a, in.Owner, policy.OwnerOf[c.Kind], tenant)
	if refused != nil {
		return Credential{}, refused
	}
	c.Owner = owner
	wrong.application(&c, in.ApplicationType, in.RedirectURIs)
	c.ExpiresAt = wrong.expiry(policy, in.Expiry, now)
	plan, err := r.choosePlan(&wrong, a, in.Plan, cat, tenant)
	if err != nil {
		return Credential{}, err
	}
	c.Plan = plan
	return c, wrong.refusal()
}

// application checks the application type and what depends on it.
func (e *fieldErrors) application(c *Credential, kind string, uris []string) {
	before := len(*e)
	c.ApplicationType = kind
	c.RedirectURIs = e.redirectURIs("redirect_uris", uris)
	switch kind {
	case "", "internal":
	case "public":
		if len(c.RedirectURIs) == 0 && len(*e) == before {
			e.add("redirect_uris", "redirect_uri_required: a public application needs at least one redirect URI")
		}
	default:
		e.add("application_type", "is %s; it must be internal or public", quote(kind))
	}
}

// expiry finds the end: the one asked for, within the maximum, or the policy's default, which the
// maximum shortens.
func (e *fieldErrors) expiry(p Policy, asked *Lifetime, now time.Time) time.Time {
	if asked == nil {
		latest := truncated(p.MaxExpiry.End(now))
		end := truncated(p.DefaultExpiry.End(now))
		if !latest.IsZero() && (end.IsZero() || end.After(latest)) {
			end = latest
		}
		if !end.IsZero() && !end.After(now) {
			e.add("expires_at", "is required: the policy's default, %s, is over", end.Format(time.RFC3339))
		}
		return end
	}
	return e.end(p, truncated(asked.End(now)), now, now)
}

// end checks the end asked for of what was made at birth.
func (e *fieldErrors) end(p Policy, end, birth, now time.Time) time.Time {
	latest := truncated(p.MaxExpiry.End(birth))
	switch {
	case !end.IsZero() && !end.After(now):
		e.add("expires_at", "is %s; it must lie in the future", end.Format(time.RFC3339))
	case end.Year() > 9999:
		e.add("expires_at", "lies beyond the year 9999; never is possible")
	case !latest.IsZero() && (end.IsZero() || end.After(latest)):
		e.add("expires_at", "expiry_exceeds_maximum: the longest lifetime is %s, until %s", p.MaxExpiry, latest.Format(time.RFC3339))
	}
	return end
}

func truncated(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}

// choosePlan takes the default unless the provider's people ask for another one.
func (r *Registry) choosePlan(e *fieldErrors, a Actor, asked PlanName, cat *Catalog, tenant Tenant) (PlanName, error) {
	usual := cat.PolicyFor(tenant).DefaultPlan
	switch {
	case asked == "" && usual == "":
		e.add("plan", "is required, because there is no default plan; the plans are %s", join(sortedKeys(cat.Plans)))
		return "", nil
	case asked == "":
		asked = usual
	case asked != usual && cat.Plans[asked] != nil && !a.provider():
		return "", &Refusal{
			Code:   PermissionDenied,
			Detail: "Only an operator may choose another plan than the default.",
			Hint:   r.help("Leave plan out, or ask the provider for a key on plan " + string(asked) + "."),
		}
	}
	if cat.Plans[asked] == nil {
		e.add("plan", "%s", unknown("plan", asked, sortedKeys(cat.Plans)))
	}
	return asked, nil
}

// scopes returns every scope of every API, sorted.
func (c *Catalog) scopes() []Scope {
	var all []Scope
	for _, a := range c.APIs {
		for s := range a.Scopes {
			all = append(all, s)
		}
	}
	return sortedSet(all)
}
