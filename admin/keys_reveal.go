package admin

import (
	"context"

	"postern/internal/keys"
)

const revealKeyDoc = "Shows a secret that is kept (policy.secret_visibility: revealable) again. Each time is written to the audit trail before the secret leaves. " +
	"Only for people, who confirmed within 5 minutes that it is them, and only of their own keys or, with `keys.reveal.tenant`, of the tenant's."

type revealKeyInput struct {
	ID   string       `path:"id" pattern:"^(key|app)_[0-9A-Za-z]{12}$" patternDescription:"the id of a key" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	Body *WhichSecret `required:"false"`
}

// WhichSecret names one of a key's secrets.
type WhichSecret struct {
	SecretID string `json:"secret_id,omitempty" doc:"One of the key's live secrets; the newest when left out." example:"7Qd2mXk0aVbR"`
}

// RevealedSecret is a secret in the clear.
type RevealedSecret struct {
	ID       string `json:"id" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	ClientID string `json:"client_id,omitempty" doc:"For clients: the id to sign in with, which is the key's id." example:"app_3fT9qLw2ZcYh"`
	SecretID string `json:"secret_id" doc:"Which of the key's secrets it is." example:"7Qd2mXk0aVbR"`
	Secret   string `json:"secret" doc:"The whole key, or the client's secret." example:"psts_…"`
}

type revealedOutput struct{ Body RevealedSecret }

// revealKey needs no header against caches: every answer here says no-store, see setHeaders.
func (s *server) revealKey(ctx context.Context, a keys.Actor, in *revealKeyInput) (*revealedOutput, error) {
	which := ""
	if in.Body != nil {
		which = in.Body.SecretID
	}
	r, err := s.Registry.Reveal(ctx, a, keys.CredentialID(in.ID), keys.SecretID(which))
	if err != nil {
		return nil, err
	}
	out := RevealedSecret{ID: string(r.Credential.ID), SecretID: string(r.ID), Secret: r.Secret.Reveal()}
	if r.Credential.Kind == keys.Client {
		out.ClientID = out.ID
	}
	return &revealedOutput{Body: out}, nil
}
