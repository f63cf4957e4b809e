package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const editKeyDoc = "Changes a key as a merge patch (RFC 7396): what is left out stays, null clears. Id, secrets and owner stay as they are. " +
	"The end of an expired key cannot be moved; only an operator changes the plan. An empty object changes nothing."

type editKeyInput struct {
	ID      string `path:"id" pattern:"^(key|app)_[0-9A-Za-z]{12}$" patternDescription:"the id of a key" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	IfMatch string `header:"If-Match" doc:"Edit only while the key still has this ETag." example:"\"1\""`
	Body    KeyEdit
}

// KeyEdit is a merge patch of a key.
type KeyEdit struct {
	Name            Maybe[string]             `json:"name,omitzero" doc:"For people; the policy may require it." example:"ci"`
	Description     Maybe[string]             `json:"description,omitzero" doc:"For people." example:"Build pipeline"`
	Plan            Maybe[string]             `json:"plan,omitzero" doc:"Its limits, by name; null for the default plan. For operators." example:"standard"`
	APIs            Maybe[[]string]           `json:"apis,omitzero" doc:"APIs granted as a whole: all of them." example:"orders"`
	Scopes          Maybe[[]string]           `json:"scopes,omitzero" doc:"Scopes granted beyond those of the APIs: all of them." example:"billing.read"`
	ExpiresAt       Maybe[time.Time]          `json:"expires_at,omitzero" doc:"When it ends; null for never. Not together with expires_in." example:"2027-02-19T10:00:00Z"`
	ExpiresIn       string                    `json:"expires_in,omitempty" doc:"How long it lives from now on: 12h, 90d, 6mo, 2y, a date, or never. Not together with expires_at." example:"90d"`
	ApplicationType Maybe[string]             `json:"application_type,omitzero" doc:"For clients: internal or public." example:"internal"`
	RedirectURIs    Maybe[[]string]           `json:"redirect_uris,omitzero" doc:"For clients: all of them; a public one needs at least one." example:"https://app.example.com/callback"`
	AllowedIPs      Maybe[[]string]           `json:"allowed_ips,omitzero" doc:"Addresses and prefixes that calls may come from: all of them; null for any." example:"192.0.2.0/24"`
	Metadata        Maybe[map[string]*string] `json:"metadata,omitzero" doc:"Facts to add or replace by name; null as a value takes one away, null for the whole takes all." example:"{\"team\":\"payments\"}"`
}

func (s *server) editKey(ctx context.Context, a keys.Actor, in *editKeyInput) (*keyOutput, error) {
	b := in.Body
	expiry, wrong := expiryOf(b.ExpiresAt, b.ExpiresIn)
	edit := keys.CredentialEdit{
		Name:            edited(b.Name, same),
		Description:     edited(b.Description, same),
		Plan:            edited(b.Plan, func(name string) keys.PlanName { return keys.PlanName(name) }),
		APIs:            edited(b.APIs, names[keys.APIName]),
		Scopes:          edited(b.Scopes, names[keys.Scope]),
		ApplicationType: edited(b.ApplicationType, same),
		RedirectURIs:    edited(b.RedirectURIs, same),
		AllowedIPs:      edited(b.AllowedIPs, same),
		Metadata:        edited(b.Metadata, same),
		Wrong:           wrong,
	}
	if expiry != nil {
		edit.Expiry = keys.Edited[keys.Lifetime]{Set: true, Value: *expiry}
	}
	c, err := s.Registry.Edit(ctx, a, keys.CredentialID(in.ID), edit, versionsOf(in.IfMatch)...)
	if err != nil {
		return nil, nameExpiry(err, b.ExpiresIn)
	}
	return &keyOutput{ETag: etag(c.Version), Body: s.makeKey(c)}, nil
}

// same converts nothing.
func same[T any](v T) T { return v }

// edited is a field of a patch in the words of the domain.
func edited[T, U any](m Maybe[T], convert func(T) U) keys.Edited[U] {
	return keys.Edited[U]{Set: m.Set, Value: convert(m.Value)}
}
