package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func newKeysCreate(g *globals) *cobra.Command {
	var in struct {
		Kind            string            `json:"kind"`
		Name            string            `json:"name,omitempty"`
		Description     string            `json:"description,omitempty"`
		Tenant          string            `json:"tenant,omitempty"`
		Owner           *newKeyOwner      `json:"owner,omitempty"`
		Plan            string            `json:"plan,omitempty"`
		APIs            []string          `json:"apis,omitempty"`
		Scopes          []string          `json:"scopes,omitempty"`
		ExpiresIn       string            `json:"expires_in,omitempty"`
		Test            bool              `json:"test,omitempty"`
		ApplicationType string            `json:"application_type,omitempty"`
		RedirectURIs    []string          `json:"redirect_uris,omitempty"`
		AllowedIPs      []string          `json:"allowed_ips,omitempty"`
		Metadata        map[string]string `json:"metadata,omitempty"`
		ExternalID      string            `json:"external_id,omitempty"`
		Reason          string            `json:"reason,omitempty"`
	}
	var client bool
	var owner string
	c := &cobra.Command{
		Use:   "create --name NAME [--api API]...",
		Short: "Generate a key; its text, shown this once, is all that goes to standard output",
		Example: `  KEY=$(postern keys create --name ci --api orders)
  postern keys create --name app --client --api orders -o json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			in.Kind = "api_key"
			if client {
				in.Kind = "client"
			}
			in.Owner = ownerOf(owner)
			api, err := newClient(g)
			if err != nil {
				return err
			}
			return ask(cmd, g, api, http.MethodPost, "/v1/keys", in, func(made createdKey) error { return made.print(g) })
		},
	}
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "what people call the key")
	f.StringVar(&in.Description, "description", "", "what it is for")
	f.StringSliceVar(&in.APIs, "api", nil, "API the key may call, with all its scopes; repeat for more")
	f.StringSliceVar(&in.Scopes, "scope", nil, "further scope; repeat for more")
	f.StringVar(&in.Plan, "plan", "", "plan with the key's limits (default: the organisation's)")
	f.StringVar(&in.Tenant, "tenant", "", "organisation (default: default)")
	f.StringVar(&owner, "owner", "", "whose it shall be: tenant for the organisation, or the id of the person who makes it (default: as the policy says)")
	f.StringVar(&in.ExpiresIn, "expires-in", "", "lifetime, such as 90d, 6mo or never, or the end, such as 2027-01-31")
	f.BoolVar(&client, "client", false, "make a client ID and client secret instead of a key")
	f.BoolVar(&in.Test, "test", false, "make a test key, which only routes with accept_test admit")
	f.StringVar(&in.ApplicationType, "application-type", "", "internal or public (clients)")
	f.StringSliceVar(&in.RedirectURIs, "redirect-uri", nil, "redirect URI of a public application; repeat for more")
	f.StringSliceVar(&in.AllowedIPs, "allow-ip", nil, "address or network that may use the key; repeat for more")
	f.StringToStringVar(&in.Metadata, "metadata", nil, "name=value to keep with the key; repeat for more")
	f.StringVar(&in.ExternalID, "external-id", "", "its name in another system")
	f.StringVar(&in.Reason, "reason", "", "why it is needed")
	return c
}

// newKeyOwner is whose a key shall be.
type newKeyOwner struct {
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
}

// ownerOf is the owner that a flag names; nil where it names none.
func ownerOf(who string) *newKeyOwner {
	switch who {
	case "":
		return nil
	case "tenant":
		return &newKeyOwner{Type: "tenant"}
	}
	return &newKeyOwner{Type: "user", ID: who}
}

// createdKey is a key with its text, which is shown this once.
type createdKey struct {
	key
	Secret   string `json:"secret"`
	ClientID string `json:"client_id,omitempty"`
}

func (k createdKey) print(g *globals) error {
	if k.ClientID != "" {
		fmt.Fprintf(g.err, "Client %s. ", k.ClientID)
	} else {
		fmt.Fprintf(g.err, "Key %s. ", k.ID)
	}
	fmt.Fprintf(g.err, "Plan %s, APIs %s, expires %s. Status: %s.\n",
		printable(k.Plan), printable(strings.Join(k.APIs, ", ")), when(k.ExpiresAt, "never"), k.Status)
	_, err := fmt.Fprintln(g.out, k.Secret)
	return err
}
