package gateway

import (
	"context"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
	"postern/limiter"
)

// Directory is what the data path asks of keys: who is this, without I/O.
type Directory interface {
	// Authenticate finds whose credential is presented, see keys.Directory.
	Authenticate(p keys.Presented, now time.Time) (*keys.Principal, keys.Code)
	// Recheck tells whether who was admitted a moment ago still would be, see keys.Directory.
	Recheck(p keys.Presented, who *keys.Principal, now time.Time) keys.Code
	// Ready returns why the directory may not answer at now, or nil.
	Ready(now time.Time) error
}

// Options are the parts a Gateway is built from.
type Options struct {
	Policy    *Policy
	Directory Directory
	Limiter   limiter.Limiter
	Format    keys.Format
	Journal   Journal // nil: nothing is recorded
	Log       *slog.Logger
	Access    AccessLog // one line per request; nil: none
	Metrics   prometheus.Registerer
	Now       func() time.Time // nil: time.Now
	Limits    ServerLimits
	Drain     Drain
	// AddressKey keys the hash under which public routes count client addresses. Gateways that
	// share a limiter need the same one; nil: a random one for this process.
	AddressKey []byte
	// EndUnknown ends what lasts, such as streams and tunnels, when the directory cannot answer any more.
	// Where several gateways share a store the others count on that: from then on they take a key that
	// they revoked for dead here. Otherwise what was admitted stays.
	EndUnknown bool
	// FailuresPerMinute is how many wrong credentials one address (IPv6: /64) may present before
	// further wrong ones are answered too_many_failures; 0: 20. Right ones are never affected.
	FailuresPerMinute int
}

// ServerLimits bound what callers can make the process hold. Zero fields mean the default.
type ServerLimits struct {
	Connections           int // at once; default 20,000
	ConnectionsPerAddress int // default 2,000
	InFlight              int // requests at once; default 10,000
	InFlightPerAddress    int // default 1,000; like ConnectionsPerAddress it does not bound trusted proxies
	// Tunnels is how many tunnels and answers without an announced end may be open at once, default
	// 10,000; of one address no more than ConnectionsPerAddress. They do not count as in flight;
	// beyond this a tunnel is refused, a stream counts as a request.
	Tunnels       int
	MinBodyRate   int // bytes per second a request body must keep up with; default 240
	MinAnswerRate int // bytes per second a client must take of an answer while we write; default 240
}

// Drain is how a gateway leaves. Zero means at once.
type Drain struct {
	Delay   time.Duration // not ready, still serving
	Timeout time.Duration // then until running requests are cut
}

// Policy is everything of the configuration that decides about requests. It is immutable once
// handed over; Swap puts another in force between two requests.
type Policy struct {
	Routes          []Route
	Accept          []Carrier      // default carriers
	TrustedProxies  []netip.Prefix // peers whose X-Forwarded-For counts
	LegacyRateLimit bool           // send X-RateLimit-* too
	Contact         keys.Contact
	// TenantCounters says that some plan of the configuration counts per tenant. All counters of
	// every plan with more than per-key limits then live under their tenant's tag.
	TenantCounters bool
}

// Route is one entry of routes, checked by the configuration. Zero durations and sizes mean none.
type Route struct {
	Name              string
	Hosts             []string // lower case, without port; none: any host
	Path              string   // starts with /; ends with / for a whole subtree
	Targets           []*url.URL
	KeepHost          bool         // the upstream sees the caller's Host
	API               keys.APIName // "": any
	Public            bool
	Scopes            map[string][]keys.Scope // by method, or "*"
	Limits            []limiter.Limit
	Cost              int64
	Timeout           time.Duration // until the upstream's response headers
	MaxBody           int64         // bytes; < 0: unlimited
	StripPrefix       bool
	SetHeaders        map[string]string
	WebSocket         bool
	AllowEncodedSlash bool
	CORS              *CORS
	AllowedIPs        []netip.Prefix
	Accept            []Carrier // nil: Policy.Accept
	AcceptTest        bool
	ForwardCredential bool
	OnLoss            OnLoss
	// Observe lets pass what is refused: the would-be refusal is counted and logged, spends nothing,
	// and the upstream gets the request as it would without us. See observe.go for what does not pass.
	Observe bool
}

// OnLoss is what happens to a route's requests while the limiter cannot answer.
type OnLoss string

// The policies.
const (
	OnLossLocal OnLoss = "local"
	OnLossDeny  OnLoss = "deny"
	OnLossAllow OnLoss = "allow"
)

// CORS says which browser origins may call a route.
type CORS struct {
	Origins     []string // exact origins, or "*"
	Methods     []string // default: the methods the route has scopes for
	Headers     []string // request headers allowed; default: those asked for by the carriers, and Content-Type
	Expose      []string // response headers scripts may read, beside the rate-limit ones
	Credentials bool
	MaxAge      time.Duration
}

// Carrier is a place in a request where a credential may stand.
type Carrier struct {
	Kind CarrierKind
	Name string // canonical header name or query parameter, for Header and Query
}

// CarrierKind is one of the ways to carry a credential.
type CarrierKind uint8

// The carriers.
const (
	Bearer        CarrierKind = iota + 1 // Authorization: Bearer <key>
	XAPIKey                              // X-API-Key: <key>
	Basic                                // Authorization: Basic base64(id:secret)
	ClientHeaders                        // X-Client-Id and X-Client-Secret
	Header                               // a header of that name
	Query                                // a query parameter of that name
)

// Journal receives what was used. Both calls are on the request path and must not block.
type Journal interface {
	// Admitted is called before the first byte goes upstream; the call is refused if it fails.
	Admitted(ctx context.Context, c Call) error
	// Ended is called once for each admitted call when it is over, and for each refusal.
	Ended(ctx context.Context, c Call, e End)
}

// Call is what is known of a request when it is decided.
type Call struct {
	RequestID string
	Time      time.Time
	Route     string
	Method    string
	Cost      int64
	Principal *keys.Principal // nil when nobody was proved
	Code      keys.Code
	// WouldRefuse is why the call would have been refused if its route did not only observe.
	WouldRefuse keys.Code
}

// End is how a request ended.
type End struct {
	Status   int
	Received int64 // bytes of the request body
	Sent     int64 // bytes of the response body
	Duration time.Duration
}
