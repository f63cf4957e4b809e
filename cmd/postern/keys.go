package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
	Plan      string     `json:"plan"`
	APIs      []string   `json:"apis"`
	Scopes    []string   `json:"effective_scopes"`
	Status    string     `json:"status"`
	Preview   string     `json:"preview"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	Tenant    string     `json:"tenant"`
	ManagedBy string     `json:"managed_by"`
}

func newKeys(g *globals) *cobra.Command {
	return group("keys", "Issue, list, show and revoke keys",
		newKeysCreate(g), newKeysList(g), newKeysShow(g), newKeysRevoke(g), newKeysHash(g))
}

func newKeysCreate(g *globals) *cobra.Command {
	var in struct {
		Kind            string            `json:"kind"`
		Name            string            `json:"name,omitempty"`
		Description     string            `json:"description,omitempty"`
		Tenant          string            `json:"tenant,omitempty"`
		Plan            string            `json:"plan,omitempty"`
		APIs            []string          `json:"apis,omitempty"`
		Scopes          []string          `json:"scopes,omitempty"`
		ExpiresIn       string            `json:"expires_in,omitempty"`
		Test            bool              `json:"test,omitempty"`
		ApplicationType string            `json:"application_type,omitempty"`
		RedirectURIs    []string          `json:"redirect_uris,omitempty"`
		AllowedIPs      []string          `json:"allowed_ips,omitempty"`
		Metadata        map[string]string `json:"metadata,omitempty"`
	}
	var client bool
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
			api, err := newClient(g)
			if err != nil {
				return err
			}
			var made struct {
				key
				Secret   string `json:"secret"`
				ClientID string `json:"client_id,omitempty"`
			}
			if g.output == "json" {
				var all map[string]any
				if err := api.do(cmd.Context(), http.MethodPost, "/v1/keys", nil, in, &all); err != nil {
					return err
				}
				return writeJSON(g.out, all)
			}
			if err := api.do(cmd.Context(), http.MethodPost, "/v1/keys", nil, in, &made); err != nil {
				return err
			}
			if made.ClientID != "" {
				fmt.Fprintf(g.err, "Client %s. ", made.ClientID)
			} else {
				fmt.Fprintf(g.err, "Key %s. ", made.ID)
			}
			fmt.Fprintf(g.err, "Plan %s, APIs %s, expires %s. Status: %s.\n",
				printable(made.Plan), printable(strings.Join(made.APIs, ", ")), when(made.ExpiresAt, "never"), made.Status)
			_, err = fmt.Fprintln(g.out, made.Secret)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "what people call the key")
	f.StringVar(&in.Description, "description", "", "what it is for")
	f.StringSliceVar(&in.APIs, "api", nil, "API the key may call, with all its scopes; repeat for more")
	f.StringSliceVar(&in.Scopes, "scope", nil, "further scope; repeat for more")
	f.StringVar(&in.Plan, "plan", "", "plan with the key's limits (default: the organisation's)")
	f.StringVar(&in.Tenant, "tenant", "", "organisation (default: default)")
	f.StringVar(&in.ExpiresIn, "expires-in", "", "lifetime, such as 90d, 6mo or never, or the end, such as 2027-01-31")
	f.BoolVar(&client, "client", false, "make a client ID and client secret instead of a key")
	f.BoolVar(&in.Test, "test", false, "make a test key, which only routes with accept_test admit")
	f.StringVar(&in.ApplicationType, "application-type", "", "internal or public (clients)")
	f.StringSliceVar(&in.RedirectURIs, "redirect-uri", nil, "redirect URI of a public application; repeat for more")
	f.StringSliceVar(&in.AllowedIPs, "allow-ip", nil, "address or network that may use the key; repeat for more")
	f.StringToStringVar(&in.Metadata, "metadata", nil, "name=value to keep with the key; repeat for more")
	return c
}

func newKeysList(g *globals) *cobra.Command {
	var search, status, owner, kind, api, tenant, sort, expiresBefore string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List keys, newest first",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{
				"search": search, "status": status, "owner": owner, "kind": kind, "api": api, "tenant": tenant,
				"sort": sort, "expires_before": expiresBefore,
			} {
				if value != "" {
					query.Set(name, value)
				}
			}
			client, err := newClient(g)
			if err != nil {
				return err
			}
			return listAll(cmd, g, client, "/v1/keys", query, limit,
				[]string{"ID", "NAME", "OWNER", "PLAN", "STATUS", "CREATED", "EXPIRES"},
				func(k key) []string {
					return []string{k.ID, k.Name, k.Owner.Name, k.Plan, k.Status, when(&k.CreatedAt, ""), when(k.ExpiresAt, "never")}
				})
		},
	}
	f := c.Flags()
	f.StringVar(&search, "search", "", "part of a name, id or owner, in any case")
	f.StringVar(&status, "status", "", "pending, active, suspended, expired, revoked or denied")
	f.StringVar(&owner, "owner", "", "owner's id")
	f.StringVar(&kind, "kind", "", "api_key or client")
	f.StringVar(&api, "api", "", "API granted to the key")
	f.StringVar(&tenant, "tenant", "", "organisation")
	f.StringVar(&sort, "sort", "", "created_at, name, expires_at or updated_at; with - before it downwards")
	f.StringVar(&expiresBefore, "expires-before", "", "RFC 3339 time")
	f.IntVar(&limit, "limit", 0, "at most so many (default: all)")
	return c
}

func newKeysShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "show KEY_ID",
		Short: "Show one key; its text cannot be shown again",
		Args:  exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showKey(cmd, g, http.MethodGet, "/v1/keys/"+url.PathEscape(args[0]), nil)
		},
	}
}

func newKeysRevoke(g *globals) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "revoke KEY_ID",
		Short: "End a key for good: requests with it fail within a second",
		Args:  exactArgs("the key's id, such as key_2b9xQm4TzL0a"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]string{}
			if reason != "" {
				in["reason"] = reason
			}
			return showKey(cmd, g, http.MethodPost, "/v1/keys/"+url.PathEscape(args[0])+"/revoke", in)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	return c
}

// showKey prints the key that a call answers with.
func showKey(cmd *cobra.Command, g *globals, method, path string, in any) error {
	api, err := newClient(g)
	if err != nil {
		return err
	}
	if g.output == "json" {
		var all map[string]any
		if err := api.do(cmd.Context(), method, path, nil, in, &all); err != nil {
			return err
		}
		return writeJSON(g.out, all)
	}
	var k key
	if err := api.do(cmd.Context(), method, path, nil, in, &k); err != nil {
		return err
	}
	return writeTable(g.out, []string{"FIELD", "VALUE"}, [][]string{
		{"id", k.ID}, {"kind", k.Kind}, {"name", k.Name}, {"status", k.Status}, {"owner", k.Owner.Name},
		{"tenant", k.Tenant}, {"plan", k.Plan}, {"apis", strings.Join(k.APIs, ", ")},
		{"effective scopes", strings.Join(k.Scopes, " ")}, {"preview", k.Preview},
		{"created", when(&k.CreatedAt, "")}, {"updated", when(&k.UpdatedAt, "")}, {"expires", when(k.ExpiresAt, "never")},
		{"managed by", k.ManagedBy},
	})
}

func newKeysHash(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "hash",
		Short:   "Read a key on standard input and print the sha256:… that gateway.yaml takes",
		Example: `  postern keys hash < key.txt`,
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			const longest = 4096
			line, err := bufio.NewReader(io.LimitReader(g.in, longest+2)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the key: %w", err)
			}
			text := strings.TrimRight(line, "\r\n")
			if text == "" || len(text) > longest {
				return usageError("standard input must hold one key on one line, at most %d bytes", longest)
			}
			sum := sha256.Sum256([]byte(text))
			_, err = fmt.Fprintln(g.out, "sha256:"+hex.EncodeToString(sum[:]))
			return err
		},
	}
}

// listAll pages through a list, prints up to limit items (0: all) and stops.
func listAll[T any](cmd *cobra.Command, g *globals, c *client, path string, query url.Values, limit int, headings []string, row func(T) []string) error {
	const pageSize = 200
	items := []json.RawMessage{}
	for {
		query.Set("limit", strconv.Itoa(pageSize))
		if limit > 0 {
			query.Set("limit", strconv.Itoa(min(pageSize, limit-len(items))))
		}
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  *string           `json:"next"`
		}
		if err := c.do(cmd.Context(), http.MethodGet, path, query, nil, &page); err != nil {
			return err
		}
		items = append(items, page.Items...)
		if page.Next == nil || *page.Next == "" || (limit > 0 && len(items) >= limit) {
			break
		}
		query.Set("cursor", *page.Next)
	}
	if g.output == "json" {
		return writeJSON(g.out, map[string]any{"items": items})
	}
	var rows [][]string
	for _, text := range items {
		var item T
		if err := json.Unmarshal(text, &item); err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		rows = append(rows, row(item))
	}
	return writeTable(g.out, headings, rows)
}

// when writes a time for a table: local readers compare it, so it is UTC and to the second.
func when(t *time.Time, none string) string {
	if t == nil || t.IsZero() {
		return none
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
