package main

import (
	"time"

	"github.com/spf13/cobra"
)

// key is what the admin API says of a key, as far as the tables show it.
type key struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Owner struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"owner"`
	Description     string            `json:"description"`
	ApplicationType string            `json:"application_type"`
	RedirectURIs    []string          `json:"redirect_uris"`
	AllowedIPs      []string          `json:"allowed_ips"`
	Metadata        map[string]string `json:"metadata"`
	ExternalID      string            `json:"external_id"`
	LastUsedAt      *time.Time        `json:"last_used_at"`
	Plan            string            `json:"plan"`
	APIs            []string          `json:"apis"`
	Scopes          []string          `json:"effective_scopes"`
	Status          string            `json:"status"`
	Preview         string            `json:"preview"`
	CreatedAt       time.Time         `json:"created_at"`
	UpdatedAt       time.Time         `json:"updated_at"`
	ExpiresAt       *time.Time        `json:"expires_at"`
	Tenant          string            `json:"tenant"`
	ManagedBy       string            `json:"managed_by"`
	Secrets         []secret          `json:"secrets"`
}

// secret is one of a key's live secrets.
type secret struct {
	ID         string     `json:"id"`
	Preview    string     `json:"preview"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// oldSecret is the one that ends during a rollover, nil outside of one.
func (k key) oldSecret() *secret {
	if len(k.Secrets) < 2 {
		return nil
	}
	return &k.Secrets[0]
}

func newKeys(g *globals) *cobra.Command {
	return group("keys", "Issue, list, change and end keys",
		newKeysCreate(g), newKeysList(g), newKeysShow(g), newKeysLimits(g), newKeysEdit(g), newKeysRotate(g), newKeysReveal(g),
		newKeysSuspend(g), newKeysResume(g), newKeysRevoke(g), newKeysDelete(g), newKeysImport(g), newKeysHash(g))
}
