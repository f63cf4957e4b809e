package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
)

// Registry is what the REST API asks of the domain; keys.Registry implements it.
type Registry interface {
	TokenActor(ctx context.Context, text string) (keys.Actor, error)
	Generate(ctx context.Context, a keys.Actor, in keys.NewCredential) (keys.Generated, error)
	Lifecycle
	Credential(ctx context.Context, a keys.Actor, id keys.CredentialID) (keys.Credential, error)
	Credentials(ctx context.Context, a keys.Actor, f keys.CredentialFilter) (keys.CredentialPage, error)
	EffectiveScopes(c keys.Credential) []keys.Scope
	CreateToken(ctx context.Context, a keys.Actor, in keys.NewToken) (keys.GeneratedToken, error)
	RevokeToken(ctx context.Context, a keys.Actor, id keys.TokenID) (keys.Token, error)
	Tokens(ctx context.Context, a keys.Actor, f keys.TokenFilter) (keys.TokenPage, error)
	MayExplain(a keys.Actor, q keys.Question) (keys.Question, error)
	Importer
	AuditTrail
	Now() time.Time
	Catalog() *keys.Catalog
	PeopleRegistry
}

// DataPath is what the REST API asks of the gateway; gateway.Gateway implements it. It changes nothing
// there. Both methods wrap keys.ErrNotFound where there is no such key.
type DataPath interface {
	// Explain tells how a call would be decided now.
	Explain(q keys.Question) (keys.Explanation, error)
	// Limits tells where the limits of a key stand now.
	Limits(id keys.CredentialID) ([]keys.LimitState, error)
}

// Lifecycle is the part of Registry that changes keys that are there.
type Lifecycle interface {
	Edit(ctx context.Context, a keys.Actor, id keys.CredentialID, in keys.CredentialEdit, ifVersion ...int64) (keys.Credential, error)
	Delete(ctx context.Context, a keys.Actor, id keys.CredentialID, ifVersion ...int64) error
	Revoke(ctx context.Context, a keys.Actor, id keys.CredentialID, reason string, ifVersion ...int64) (keys.Credential, error)
	Suspend(ctx context.Context, a keys.Actor, id keys.CredentialID, reason string, ifVersion ...int64) (keys.Credential, error)
	Resume(ctx context.Context, a keys.Actor, id keys.CredentialID, reason string, ifVersion ...int64) (keys.Credential, error)
	Rotate(ctx context.Context, a keys.Actor, id keys.CredentialID, in keys.Rotation, ifVersion ...int64) (keys.Generated, error)
	Reveal(ctx context.Context, a keys.Actor, id keys.CredentialID, which keys.SecretID) (keys.Revealed, error)
	RevokeMany(ctx context.Context, a keys.Actor, in keys.ManyRevocations) (keys.ManyRevoked, error)
}

// Options are the parts an admin API is built from.
type Options struct {
	Registry Registry // nil with store: none: then only health, metrics and the document are served
	DataPath DataPath // nil: what needs it is not served
	Health   Health   // required
	Fleet    Fleet    // the gateways that share the store; required with a Registry
	// Configuration shows and reloads gateway.yaml; nil: neither it nor what it declares is served.
	Configuration Configuration
	Metrics       prometheus.Gatherer // required
	Contact       func() keys.Contact // named in every refusal, the zero value names nobody; nil: nobody
	Version       string              // of the program, for the document
	Log           *slog.Logger        // nil: nothing is logged
	Now           func() time.Time    // nil: time.Now

	// Client tells where a request comes from, zero where nobody knows: failures are counted by it, so behind
	// a proxy it must look past that, or one caller could use up what all have. nil: the other end of the
	// connection.
	Client func(*http.Request) netip.Addr

	// Hosts are the names under which browsers reach this listener, in lower case and without port,
	// see hosted; empty where nobody can tell. Any address counts as one of them.
	Hosts []string

	// AdminURL is where people reach this listener, for the links that are made; "" names none.
	AdminURL string

	// KeyExpression is the regular expression that API keys of ours match, keys.Format.Expression,
	// published for leak scanners; "" publishes none.
	KeyExpression string
}

// Health answers the probes.
type Health interface {
	// Ready returns why no traffic can be served, or nil.
	Ready() error
	// Degraded lists what is not as it should be while traffic is served.
	Degraded() []string
}
