package admin

import (
	"context"
	"errors"
	"time"

	"postern/internal/keys"
)

const generateKeyDoc = "Makes a key and shows its secret, this once. What is left out is as the policy says. " +
	"When this answers, the node that answered admits the key."

type generateKeyInput struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"A name for this request: sent again within 24 hours it makes nothing more, and answers without the secret." example:"9f1d6c1e"`
	Body           NewKey
}

// NewKey is what a key is made from.
type NewKey struct {
	Kind            string            `json:"kind,omitempty" enum:"api_key,client" default:"api_key" doc:"An API key, or an application's id and secret." example:"api_key"`
	Name            string            `json:"name,omitempty" doc:"For people; the policy may require it." example:"ci"`
	Description     string            `json:"description,omitempty" doc:"For people." example:"Build pipeline"`
	Tenant          string            `json:"tenant,omitempty" doc:"The organisation it is for; the caller's own when left out." example:"default"`
	Owner           *NewKeyOwner      `json:"owner,omitempty" doc:"Whose it shall be."`
	Plan            string            `json:"plan,omitempty" doc:"Its limits, by name." example:"standard"`
	APIs            []string          `json:"apis,omitempty" doc:"APIs to grant as a whole." example:"orders"`
	Scopes          []string          `json:"scopes,omitempty" doc:"Scopes to grant beyond those of the APIs." example:"billing.read"`
	ExpiresAt       Maybe[time.Time]  `json:"expires_at,omitzero" doc:"When it ends; null for never. Not together with expires_in." example:"2027-02-19T10:00:00Z"`
	ExpiresIn       string            `json:"expires_in,omitempty" doc:"How long it lives: 12h, 90d, 6mo, 2y, a date, or never. Not together with expires_at." example:"90d"`
	Test            bool              `json:"test,omitempty" doc:"A key for trying things out: only routes that accept test keys admit it." example:"false"`
	ApplicationType string            `json:"application_type,omitempty" enum:"internal,public" doc:"For clients." example:"internal"`
	RedirectURIs    []string          `json:"redirect_uris,omitempty" doc:"For clients; a public one needs at least one." example:"https://app.example.com/callback"`
	AllowedIPs      []string          `json:"allowed_ips,omitempty" doc:"Addresses and prefixes that calls may come from; all when left out." example:"192.0.2.0/24"`
	Metadata        map[string]string `json:"metadata,omitempty" doc:"Facts of the caller's own." example:"{\"team\":\"payments\"}"`
	ExternalID      string            `json:"external_id,omitempty" doc:"Its name in another system." example:"crm-4711"`
	Reason          string            `json:"reason,omitempty" doc:"Why it is needed, for those who approve." example:"nightly export"`
}

// NewKeyOwner names the owner of a key to be made.
type NewKeyOwner struct {
	Type string `json:"type" enum:"user,tenant" doc:"A person, or the tenant itself." example:"tenant"`
	ID   string `json:"id,omitempty" doc:"The person's id; left out for the tenant."`
}

// CreatedKey is a new key with what is shown this once.
type CreatedKey struct {
	Key
	ClientID string `json:"client_id,omitempty" doc:"For clients: the id to sign in with, which is the key's id." example:"app_3fT9qLw2ZcYh"`
	Secret   string `json:"secret,omitempty" doc:"The whole key, or the client's secret. It is never shown again, also not to a request that is sent again." example:"pst_live_…"`
}

// createdKeyOutput answers with a key and its new secret.
type createdKeyOutput struct {
	ETag     string `header:"ETag" doc:"The version in quotes, for If-Match." example:"\"1\""`
	Location string `header:"Location" doc:"Where the key is." example:"/v1/keys/key_7Qd2mXk0aVbR"`
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this Idempotency-Key took effect." example:"true"`
	Body     CreatedKey
}

func (s *server) generateKey(ctx context.Context, a keys.Actor, in *generateKeyInput) (*createdKeyOutput, error) {
	b := in.Body
	expiry, wrong := expiryOf(b.ExpiresAt, b.ExpiresIn)
	credential := keys.NewCredential{
		Kind:            keys.Kind(b.Kind),
		Name:            b.Name,
		Description:     b.Description,
		Tenant:          keys.TenantID(b.Tenant),
		Plan:            keys.PlanName(b.Plan),
		APIs:            names[keys.APIName](b.APIs),
		Scopes:          names[keys.Scope](b.Scopes),
		Expiry:          expiry,
		Test:            b.Test,
		ApplicationType: b.ApplicationType,
		RedirectURIs:    b.RedirectURIs,
		AllowedIPs:      b.AllowedIPs,
		Metadata:        b.Metadata,
		ExternalID:      b.ExternalID,
		Reason:          b.Reason,
		Idempotency:     idempotency(ctx, in.IdempotencyKey),
		Wrong:           wrong,
	}
	if b.Owner != nil {
		credential.Owner = &keys.OwnerInput{Type: keys.OwnerType(b.Owner.Type), ID: b.Owner.ID}
	}
	made, err := s.Registry.Generate(ctx, a, credential)
	if err != nil {
		return nil, nameExpiry(err, b.ExpiresIn)
	}
	return s.created(made), nil
}

// created shows a key with its new secret, or without it when the request was sent again.
func (s *server) created(made keys.Generated) *createdKeyOutput {
	c := made.Credential
	out := &createdKeyOutput{
		ETag:     etag(c.Version),
		Location: "/v1/keys/" + string(c.ID),
		Replayed: replayed(made.Replayed),
		Body:     CreatedKey{Key: s.makeKey(c), Secret: made.Secret.Reveal()},
	}
	if c.Kind == keys.Client {
		out.Body.ClientID = string(c.ID)
	}
	return out
}

// idempotency is a request under the name that its sender gave it.
func idempotency(ctx context.Context, name string) keys.Idempotency {
	return keys.Idempotency{Key: name, Request: callOf(ctx).request}
}

// replayed is the header that marks the answer to a request that was sent again.
func replayed(yes bool) string {
	if yes {
		return "true"
	}
	return ""
}

// expiryOf reads the two ways to say how long something lives. A nil Lifetime: not said, or wrong.
func expiryOf(at Maybe[time.Time], in string) (*keys.Lifetime, []keys.FieldError) {
	switch {
	case at.Set && in != "":
		return nil, []keys.FieldError{{Field: "expires_in", Message: "stands beside expires_at; give one of them"}}
	case at.Set:
		return &keys.Lifetime{Until: at.Value.UTC()}, nil // the zero time is never
	case in == "":
		return nil, nil
	}
	l, err := keys.ParseLifetime(in)
	if err != nil {
		return nil, []keys.FieldError{{Field: "expires_in", Message: err.Error()}}
	}
	return &l, nil
}

// nameExpiry makes a refusal name the field that the caller used: the Registry knows one expiry.
func nameExpiry(err error, expiresIn string) error {
	var r *keys.Refusal
	if expiresIn == "" || !errors.As(err, &r) {
		return err
	}
	renamed := *r
	renamed.Fields = append([]keys.FieldError(nil), r.Fields...)
	for i := range renamed.Fields {
		if renamed.Fields[i].Field == "expires_at" {
			renamed.Fields[i].Field = "expires_in"
		}
	}
	return &renamed
}
