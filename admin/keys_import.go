package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const importKeysDoc = "Takes over keys that callers have already, as text or as the SHA-256 of it, from another gateway. " +
	"All keys are checked first: with any that cannot be accepted nothing is written. A key that is there already is left as it is, " +
	"so an import can be repeated. With `dry_run` nothing is written and every key is judged for itself. " +
	"Caps, approval and the policy's expiry are not applied. Keys that are not in Postern's form are admitted where `credentials.accept_imported` is on. " +
	"The body may have 8 MiB."

// Importer is what importing asks of the domain.
type Importer interface {
	Import(ctx context.Context, a keys.Actor, list []keys.ImportKey, dryRun bool) ([]keys.ImportResult, error)
}

type importKeysInput struct{ Body ImportRequest }

// ImportRequest is what an import is made from.
type ImportRequest struct {
	Keys   []ImportedKey `json:"keys" minItems:"1" maxItems:"10000" doc:"The keys, at most 10,000 of one call."`
	DryRun bool          `json:"dry_run,omitempty" doc:"Only tell what would be done." example:"true"`
}

// ImportedKey is a key that somebody has already.
type ImportedKey struct {
	Name        string            `json:"name" doc:"For people." example:"acme production"`
	Description string            `json:"description,omitempty" doc:"For people." example:"Nightly export"`
	Text        string            `json:"text,omitempty" doc:"The whole key. Nothing of it is kept but its digest and up to 4 characters. Exactly one of text and hash." example:"ud8xkkQ3GUGmWa2qVqiw5vSUnpbG3OgS"`
	Hash        string            `json:"hash,omitempty" doc:"sha256: and 64 hex digits of the SHA-256 of the whole key. Whether the key can be guessed cannot be seen from it." example:"sha256:25524e140c15fb7e60633cbc8bfa54ff70bf360ad540f2547dccd17e945233d0"`
	Tenant      string            `json:"tenant,omitempty" doc:"The organisation it is for." example:"default"`
	Owner       *NewKeyOwner      `json:"owner,omitempty" doc:"Whose it shall be; the tenant's when left out."`
	Plan        string            `json:"plan,omitempty" doc:"Its limits, by name." example:"standard"`
	APIs        []string          `json:"apis,omitempty" doc:"APIs to grant as a whole." example:"orders"`
	Scopes      []string          `json:"scopes,omitempty" doc:"Scopes to grant beyond those of the APIs." example:"billing.read"`
	Status      string            `json:"status,omitempty" enum:"active,suspended" default:"active" doc:"A suspended key is refused until it is resumed." example:"active"`
	CreatedAt   Maybe[time.Time]  `json:"created_at,omitzero" doc:"When it was made; now when left out." example:"2024-03-01T09:30:00Z"`
	ExpiresAt   Maybe[time.Time]  `json:"expires_at,omitzero" doc:"When it ends; never when left out." example:"2028-03-01T00:00:00Z"`
	Metadata    map[string]string `json:"metadata,omitempty" doc:"Facts of the caller's own." example:"{\"team\":\"payments\"}"`
	ExternalID  string            `json:"external_id,omitempty" doc:"Its name in another system." example:"crm-4711"`
}

// ImportAnswer tells what became of each key.
type ImportAnswer struct {
	Items []ImportItem `json:"items" doc:"One for each key, in the order of the request."`
}

// ImportItem is the outcome for one key.
type ImportItem struct {
	Index  int            `json:"index" doc:"The key's place in the request, from 0." example:"0"`
	ID     string         `json:"id,omitempty" doc:"The key's id here." example:"key_7Qd2mXk0aVbR"`
	Status string         `json:"status" enum:"created,would_create,exists,refused" doc:"created; exists: a key with this secret is there and was left as it is; of a dry run would_create or refused." example:"created"`
	Errors []FieldProblem `json:"errors,omitempty" doc:"Why it is refused."`
}

type importKeysOutput struct{ Body ImportAnswer }

func (s *server) importKeys(ctx context.Context, a keys.Actor, in *importKeysInput) (*importKeysOutput, error) {
	list := make([]keys.ImportKey, len(in.Body.Keys))
	for i, k := range in.Body.Keys {
		list[i] = keys.ImportKey{
			Name:        k.Name,
			Description: k.Description,
			Text:        keys.NewSecret(k.Text),
			Hash:        k.Hash,
			Tenant:      keys.TenantID(k.Tenant),
			Plan:        keys.PlanName(k.Plan),
			APIs:        names[keys.APIName](k.APIs),
			Scopes:      names[keys.Scope](k.Scopes),
			Status:      keys.Status(k.Status),
			CreatedAt:   k.CreatedAt.Value.UTC(),
			ExpiresAt:   k.ExpiresAt.Value.UTC(),
			Metadata:    k.Metadata,
			ExternalID:  k.ExternalID,
		}
		if k.Owner != nil {
			list[i].Owner = &keys.OwnerInput{Type: keys.OwnerType(k.Owner.Type), ID: k.Owner.ID}
		}
	}
	results, err := s.Registry.Import(ctx, a, list, in.Body.DryRun)
	if err != nil {
		return nil, err
	}
	out := &importKeysOutput{Body: ImportAnswer{Items: make([]ImportItem, len(results))}}
	for i, r := range results {
		out.Body.Items[i] = ImportItem{Index: i, ID: string(r.ID), Status: string(r.Status)}
		for _, e := range r.Errors {
			out.Body.Items[i].Errors = append(out.Body.Items[i].Errors, FieldProblem{Field: shorten(e.Field), Message: e.Message})
		}
	}
	return out, nil
}
