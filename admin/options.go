package admin

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
)

// Registry is what the REST API asks of the domain; keys.Registry implements it.
type Registry interface {
	TokenActor(ctx context.Context, text string) (keys.Actor, error)
	Generate(ctx context.Context, a keys.Actor, in keys.NewCredential) (keys.Generated, error)
	Revoke(ctx context.Context, a keys.Actor, id keys.CredentialID, reason string) (keys.Credential, error)
	Credential(ctx context.Context, a keys.Actor, id keys.CredentialID) (keys.Credential, error)
	Credentials(ctx context.Context, a keys.Actor, f keys.CredentialFilter) (keys.CredentialPage, error)
	EffectiveScopes(c keys.Credential) []keys.Scope
	CreateToken(ctx context.Context, a keys.Actor, in keys.NewToken) (keys.GeneratedToken, error)
	RevokeToken(ctx context.Context, a keys.Actor, id keys.TokenID) (keys.Token, error)
	Tokens(ctx context.Context, a keys.Actor, f keys.TokenFilter) (keys.TokenPage, error)
	Importer
	AuditTrail
	Now() time.Time
}

// Options are the parts an admin API is built from.
type Options struct {
	Registry Registry            // nil with store: none: then only health, metrics and the document are served
	Health   Health              // required
	Metrics  prometheus.Gatherer // required
	Contact  keys.Contact        // named in every refusal; the zero value names nobody
	Version  string              // of the program, for the document
	Log      *slog.Logger        // nil: nothing is logged
	Now      func() time.Time    // nil: time.Now

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
