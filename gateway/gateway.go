package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// Gateway is the data path. It is safe for concurrent use.
type Gateway struct {
	directory  Directory
	limiter    limiter.Limiter
	waits      bool // the limiter may wait for a store
	format     keys.Format
	journal    Journal
	log        *slog.Logger
	access     AccessLog // nil: none
	clock      func() time.Time
	limits     ServerLimits
	drain      Drain
	addressKey [sha256.Size]byte
	failures   *keys.Failures
	metrics    *metrics
	transports transports
	proxy      *httputil.ReverseProxy

	swap     sync.Mutex // one Swap at a time
	snapshot atomic.Pointer[snapshot]
	calls    sync.Pool // of *call
	inFlight atomic.Int64
	held     atomic.Int64 // tunnels and open streams, which do not count as in flight
	census   *census
	lookout  lookout
	draining atomic.Bool
	tunnels  tunnels
	streams  streams
	servers  servers

	advised atomic.Bool // an unlisted proxy was logged
	alarm   alarm       // of the limiter
}

// snapshot is a policy in force. A request reads it once, so that Swap falls between two requests.
type snapshot struct {
	table           *table
	routes          []*liveRoute // by route.index
	refuser         refuser
	trusted         []netip.Prefix
	legacyRateLimit bool
	tenantCounters  bool
}

// errDraining is why a gateway that is being shut down is not ready.
var errDraining = errors.New("draining")

// New builds a gateway; the error names the part that does not fit.
func New(o Options) (*Gateway, error) {
	if o.Directory == nil {
		return nil, errors.New("build gateway: no directory of credentials")
	}
	if o.Limiter == nil {
		return nil, errors.New("build gateway: no limiter")
	}
	g := &Gateway{
		directory: o.Directory,
		limiter:   o.Limiter,
		format:    o.Format,
		journal:   o.Journal,
		log:       o.Log,
		access:    o.Access,
		clock:     o.Now,
		limits:    o.Limits.withDefaults(),
		drain:     o.Drain,
		failures:  keys.NewFailures(o.FailuresPerMinute),
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if o.AddressKey != nil {
		g.addressKey = sha256.Sum256(o.AddressKey)
	} else {
		_, _ = rand.Read(g.addressKey[:]) // never fails
	}
	var err error
	if g.metrics, err = newMetrics(o.Metrics, o.Limiter); err != nil {
		return nil, fmt.Errorf("build gateway: %w", err)
	}
	g.waits = backendOf(o.Limiter) != localBackend
	g.streams = streams{directory: o.Directory, now: g.now, every: recheckEvery, unknown: o.EndUnknown,
		rate: g.limits.MinAnswerRate, patience: answerPatience}
	g.census = newCensus(g.limits)
	g.transports.lookout = &g.lookout
	g.calls.New = func() any { return g.newCall() }
	g.proxy = g.newProxy()
	if err := g.Swap(o.Policy); err != nil {
		return nil, fmt.Errorf("build gateway: %w", err)
	}
	return g, nil
}

// Swap puts another policy in force between two requests: those begun keep the old one to their
// end. On an error, which names the route, the old policy stays.
func (g *Gateway) Swap(p *Policy) error {
	enforce, err := g.Prepare(p)
	if err == nil {
		enforce()
	}
	return err
}

// Prepare is the first half of Swap: it finds every error and changes nothing. enforce, which does
// the other half and cannot fail, is called at most once, and not after a later Swap.
func (g *Gateway) Prepare(p *Policy) (enforce func(), err error) {
	if p == nil {
		return nil, errors.New("no policy")
	}
	routes, err := newTable(p)
	if err != nil {
		return nil, err
	}
	next := &snapshot{
		table:           routes,
		refuser:         refuser{contact: p.Contact},
		trusted:         p.TrustedProxies,
		legacyRateLimit: p.LegacyRateLimit,
		tenantCounters:  p.TenantCounters,
	}
	needed := make(map[transportKind]bool)
	for _, rt := range routes.all() {
		s, err := g.activate(rt, p)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", rt.Name, err)
		}
		next.routes = append(next.routes, s)
		needed[transportKind{timeout: rt.Timeout}] = true
		needed[transportKind{timeout: rt.Timeout, secure: true}] = true
	}
	return func() {
		g.swap.Lock()
		defer g.swap.Unlock()
		g.snapshot.Store(next)
		g.transports.keep(needed)
	}, nil
}

// Ready returns nil while traffic can be served, else why not: draining, or what the directory
// says (not loaded, stale).
func (g *Gateway) Ready() error {
	if g.draining.Load() {
		return errDraining
	}
	return g.directory.Ready(g.now())
}

// Handler serves requests as a listener does, for tests and for embedding.
func (g *Gateway) Handler() http.Handler { return http.HandlerFunc(g.serveHTTP) }

func (g *Gateway) now() time.Time {
	if g.clock != nil {
		return g.clock()
	}
	return time.Now()
}

// adviseProxy logs, once, that a peer behaves like a proxy that nobody listed.
func (g *Gateway) adviseProxy(peer netip.Addr) {
	if g.advised.CompareAndSwap(false, true) {
		g.log.Warn("an address that is no trusted proxy sends X-Forwarded-For; if it is yours, list it",
			"address", peer.String(), "add", "trusted_proxies: [\""+peer.String()+"\"]")
	}
}

// alarm lets one line a second into the log, however many requests meet the same fault: each of
// them has its own line in the access log.
type alarm struct{ last atomic.Int64 }

func (a *alarm) due() bool {
	now, last := time.Now().UnixNano(), a.last.Load()
	return now-last >= int64(time.Second) && a.last.CompareAndSwap(last, now)
}
