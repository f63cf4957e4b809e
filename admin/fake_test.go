package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"postern/internal/keys"
)

// fakeRegistry keeps credentials and tokens in memory, with just enough rules that each answer of
// the API can be had from it: tenants, permissions, a cap, names, states. Errors can be forced.
type fakeRegistry struct {
	PeopleRegistry // none: people are tested on a real registry

	mu     sync.Mutex
	now    time.Time
	creds  map[keys.CredentialID]keys.Credential
	tokens map[keys.TokenID]keys.Token
	actors map[string]keys.Actor // by token text
	seq    int
	cap    int

	catalog keys.Catalog

	fail     error // every call but TokenActor ends with it
	failAuth error // TokenActor ends with it
	panicky  bool  // every call but TokenActor panics
	asked    keys.NewCredential
	filter   keys.CredentialFilter
	askedTok keys.NewToken
	actor    keys.Actor // of the last call
	reason   string

	edit     keys.CredentialEdit
	rotation keys.Rotation
	many     keys.ManyRevocations
	which    keys.SecretID
	once     keys.Idempotency // of the last creation
	replay   bool             // creations were made before
	imported []keys.ImportKey
	dryRun   bool

	auditFilter keys.AuditFilter
	auditFormat string
	expected    *keys.AuditHead
}

var _ Registry = (*fakeRegistry)(nil)

const (
	operatorText  = "operator-token"
	developerText = "developer-token" // of tenant acme
	viewerText    = "viewer-token"    // of tenant acme
	tokenlessText = "powerless-token"
	personText    = "a person's session"
)

func newFake() *fakeRegistry {
	set := func(ps ...keys.Permission) keys.PermissionSet {
		out := keys.PermissionSet{}
		for _, p := range ps {
			out[p] = struct{}{}
		}
		return out
	}
	actor := func(id string, t keys.TenantID, ps keys.PermissionSet) keys.Actor {
		return keys.Actor{ActorRef: keys.ActorRef{Type: keys.ActorToken, ID: id, Name: id}, Tenant: t, Permissions: ps}
	}
	return &fakeRegistry{
		now:    time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		creds:  map[keys.CredentialID]keys.Credential{},
		tokens: map[keys.TokenID]keys.Token{},
		cap:    1000,
		actors: map[string]keys.Actor{
			operatorText: actor("tok_operator0000", "", keys.AllPermissions()),
			personText: {ActorRef: keys.ActorRef{Type: keys.ActorUser, ID: "usr_ann000000000"}, Tenant: "acme", User: "usr_ann000000000",
				Permissions: set(keys.KeysRead, keys.KeysReveal)},
			developerText: actor("tok_developer000", "acme", set(keys.KeysRead, keys.KeysGenerate, keys.KeysRevoke)),
			viewerText:    actor("tok_viewer000000", "acme", set(keys.KeysRead)),
			tokenlessText: actor("tok_powerless000", "acme", set()),
		},
	}
}

func (f *fakeRegistry) Catalog() *keys.Catalog { return &f.catalog }

func (f *fakeRegistry) begin(a keys.Actor) error {
	if f.panicky {
		panic("the fake was told to")
	}
	f.actor = a
	return f.fail
}

func (f *fakeRegistry) MayExplain(a keys.Actor, q keys.Question) (keys.Question, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q.Tenant = a.Tenant
	return q, f.begin(a)
}

func (f *fakeRegistry) Now() time.Time { return f.now }

func (f *fakeRegistry) TokenActor(_ context.Context, text string) (keys.Actor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failAuth != nil {
		return keys.Actor{}, f.failAuth
	}
	a, ok := f.actors[text]
	if !ok {
		return keys.Actor{}, &keys.Refusal{Code: keys.SignInRequired, Detail: "The token is not known."}
	}
	return a, nil
}

func (f *fakeRegistry) Generate(_ context.Context, a keys.Actor, in keys.NewCredential) (keys.Generated, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.Generated{}, err
	}
	f.asked, f.once = in, in.Idempotency
	f.asked.Idempotency = keys.Idempotency{}
	tenant := cmp.Or(in.Tenant, a.Tenant, keys.DefaultTenant)
	var wrong []keys.FieldError
	wrong = append(wrong, in.Wrong...)
	if in.Name == "" {
		wrong = append(wrong, keys.FieldError{Field: "name", Message: "is required"})
	}
	var prefixes []netip.Prefix
	for i, text := range in.AllowedIPs {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			wrong = append(wrong, keys.FieldError{Field: fmt.Sprintf("allowed_ips[%d]", i), Message: "is no prefix"})
		}
		prefixes = append(prefixes, p)
	}
	var end time.Time
	if in.Expiry != nil {
		if end = in.Expiry.End(f.now); !end.IsZero() && !end.After(f.now) {
			wrong = append(wrong, keys.FieldError{Field: "expires_at", Message: "is in the past"})
		}
	}
	if len(wrong) > 0 {
		return keys.Generated{}, &keys.Refusal{Code: keys.ValidationFailed, Detail: "Fields are wrong.", Fields: wrong}
	}
	if len(f.creds) >= f.cap {
		return keys.Generated{}, &keys.Refusal{Code: keys.MaxKeysReached, Detail: "No more keys.", Scope: "tenant", Limit: f.cap}
	}
	f.seq++
	id, secret := fmt.Sprintf("key_%012d", f.seq), fmt.Sprintf("pst_live_%012d_secret", f.seq)
	if in.Kind == keys.Client {
		id, secret = fmt.Sprintf("app_%012d", f.seq), fmt.Sprintf("psts_%012d_secret", f.seq)
	}
	owner := keys.Owner{Type: keys.OwnerTenant, ID: string(tenant), Name: string(tenant)}
	if in.Owner != nil && in.Owner.Type == keys.OwnerUser {
		owner = keys.Owner{Type: keys.OwnerUser, ID: in.Owner.ID, Name: "Name of " + in.Owner.ID}
	}
	c := keys.Credential{
		ID: keys.CredentialID(id), Kind: in.Kind, Tenant: tenant, Owner: owner, Name: in.Name, Description: in.Description,
		Status: keys.Active, Plan: cmp.Or(in.Plan, "standard"), APIs: in.APIs, Scopes: in.Scopes, ExpiresAt: end, AllowedIPs: prefixes,
		ApplicationType: in.ApplicationType, RedirectURIs: in.RedirectURIs, Metadata: in.Metadata, ExternalID: in.ExternalID,
		CreatedAt: f.now, UpdatedAt: f.now, Version: 1,
		Secrets: []keys.StoredSecret{{ID: keys.SecretID(id[4:]), Preview: secret[:12], CreatedAt: f.now}},
	}
	f.creds[c.ID] = c
	return f.made(c, secret), nil
}

func (f *fakeRegistry) find(a keys.Actor, id keys.CredentialID) (keys.Credential, error) {
	c, ok := f.creds[id]
	if !ok || a.Tenant != "" && a.Tenant != c.Tenant {
		return c, &keys.Refusal{Code: keys.NotFoundHere, Detail: "There is no such key."}
	}
	return c, nil
}

func (f *fakeRegistry) Credential(_ context.Context, a keys.Actor, id keys.CredentialID) (keys.Credential, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.Credential{}, err
	}
	return f.find(a, id)
}

// Credentials pages by id; the cursor is the offset.
func (f *fakeRegistry) Credentials(_ context.Context, a keys.Actor, filter keys.CredentialFilter) (keys.CredentialPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.CredentialPage{}, err
	}
	f.filter = filter
	var all []keys.Credential
	for _, c := range f.creds {
		if a.Tenant == "" || a.Tenant == c.Tenant {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(x, y keys.Credential) int { return strings.Compare(string(x.ID), string(y.ID)) })
	from := 0
	if filter.Cursor != "" {
		var err error
		if from, err = strconv.Atoi(filter.Cursor); err != nil || from < 0 || from > len(all) {
			return keys.CredentialPage{}, fmt.Errorf("list credentials: %w", keys.ErrBadCursor)
		}
	}
	to := min(from+filter.Limit, len(all))
	page := keys.CredentialPage{Items: all[from:to]}
	if to < len(all) {
		page.Next = strconv.Itoa(to)
	}
	return page, nil
}

func (f *fakeRegistry) EffectiveScopes(c keys.Credential) []keys.Scope {
	out := slices.Clone(c.Scopes)
	for _, a := range c.APIs {
		out = append(out, keys.Scope(a)+".read")
	}
	slices.Sort(out)
	return out
}

func (f *fakeRegistry) CreateToken(_ context.Context, a keys.Actor, in keys.NewToken) (keys.GeneratedToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.GeneratedToken{}, err
	}
	if len(in.Wrong) > 0 {
		return keys.GeneratedToken{}, &keys.Refusal{Code: keys.ValidationFailed, Detail: "Fields are wrong.", Fields: in.Wrong}
	}
	f.askedTok, f.once = in, in.Idempotency
	f.askedTok.Idempotency = keys.Idempotency{}
	f.seq++
	t := keys.Token{ID: keys.TokenID(fmt.Sprintf("tok_%012d", f.seq)), Name: in.Name, Tenant: in.Tenant, Roles: in.Roles,
		Preview: "pstt_0", CreatedBy: a.ID, CreatedAt: f.now, Version: 1}
	if in.Expiry != nil {
		t.ExpiresAt = in.Expiry.End(f.now)
	}
	f.tokens[t.ID] = t
	if f.replay {
		return keys.GeneratedToken{Token: t, Replayed: true}, nil
	}
	return keys.GeneratedToken{Token: t, Secret: keys.NewSecret("secret-of-" + string(t.ID))}, nil
}

func (f *fakeRegistry) RevokeToken(_ context.Context, a keys.Actor, id keys.TokenID) (keys.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.Token{}, err
	}
	t, ok := f.tokens[id]
	if !ok {
		return t, &keys.Refusal{Code: keys.NotFoundHere, Detail: "There is no such token."}
	}
	t.RevokedAt = f.now
	f.tokens[id] = t
	return t, nil
}

func (f *fakeRegistry) Tokens(_ context.Context, a keys.Actor, filter keys.TokenFilter) (keys.TokenPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(a); err != nil {
		return keys.TokenPage{}, err
	}
	var page keys.TokenPage
	for _, t := range f.tokens {
		if filter.Tenant == "" || filter.Tenant == t.Tenant {
			page.Items = append(page.Items, t)
		}
	}
	slices.SortFunc(page.Items, func(x, y keys.Token) int { return strings.Compare(string(y.ID), string(x.ID)) })
	if len(page.Items) > filter.Limit {
		page.Items, page.Next = page.Items[:filter.Limit], "more"
	}
	return page, nil
}
