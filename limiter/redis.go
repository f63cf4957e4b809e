package limiter

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisOptions configures NewRedis. Either URL or Addrs says where Redis is.
type RedisOptions struct {
	// URL is redis://user:password@host:port/db, or rediss:// with TLS.
	URL string
	// Addrs are host:port. One is a single server; several are seeds of a cluster; with MasterName
	// they are Sentinels.
	Addrs      []string
	MasterName string
	Cluster    bool // one address is a cluster's seed too
	DB         int  // with Addrs: the database's number; a cluster has only 0
	Username   string
	Password   string
	// SentinelUsername and SentinelPassword are for Sentinels that want one of their own.
	SentinelUsername, SentinelPassword string
	TLS                                *tls.Config // nil: none, or what a rediss:// URL brings
	// Wrap is given each new connection, beneath TLS, and returns what is used in its place; nil: they are used as they are.
	Wrap func(net.Conn) net.Conn

	// Node names this gateway among those that share the store, 1 to 128 bytes, the same after each
	// restart. No two that run may have the same.
	Node string
	// Budget bounds one decision, waiting included; 0 means 15 ms.
	Budget time.Duration
	// MaxCounters bounds the days and months whose own counts are kept; 0 means 4,000,000, about
	// 1.5 GB. Those beyond it are counted, but not repaired when the store loses them.
	MaxCounters int
	// Log is told when the store lost counts; nil means nobody is.
	Log *slog.Logger
}

const (
	defaultBudget = 15 * time.Millisecond
	longestNode   = 128
)

// Redis is the Limiter that several gateways share: counters in Redis (7.0 or newer: one server,
// Sentinel or Cluster), decided by one script with the store's clock, one round trip for all limits of
// a request. Make it with NewRedis; it is safe for concurrent use.
//
// Requests that come while the connections are busy wait and share the next pipeline; identical ones
// (same tag, checks and cost) share one call, which grants some or all of them, first come first
// served. Whoever finds a connection free sends at once, in his own goroutine.
//
// A call that may have run is never sent again. Its units are then counted in Redis and admitted
// nowhere: Lost tells how many, MayHaveRun tells of which error.
//
// Days and months survive the loss of Redis: each node keeps what it admitted itself, and each call
// brings its part of what it touches up to that. See Changed and Restore for keeping it durably.
type Redis struct {
	store   store
	budget  time.Duration
	log     *slog.Logger
	seed    maphash.Seed
	script  any // its text, for EVAL
	digest  any // its SHA-1, for EVALSHA
	field   wireArg
	waiters sync.Pool // of *waiter
	batches sync.Pool // of *batch

	mu      sync.Mutex // of all below, of lanes and of what they hold
	lanes   map[*redis.Client]*lane
	waiting int
	ledger  ledger

	lost    atomic.Int64
	repairs atomic.Int64 // of counts that were less in Redis than this node knew
	calls   atomic.Int64
	failing atomic.Bool // the last call failed

	repair  chan struct{} // capacity 1: the store may have lost counts
	closing context.Context
	close   context.CancelFunc
	closed  chan struct{} // push has ended
	seen    int64         // repairs up to the last push; push's alone
	cursor  int           // the page at which the next look begins; push's alone
	left    int           // pages from there on that the last look left; push's alone
}

var (
	_ Limiter = (*Redis)(nil)
	_ Shared  = (*Redis)(nil)
)

// NewRedis makes a limiter; an error says which option is wrong. It connects when it is first asked,
// so a store that cannot be reached is no error here.
func NewRedis(o RedisOptions) (*Redis, error) { return newRedis(o, redisScript) }

// Validate returns what NewRedis would not take. It never shows a password.
func (o RedisOptions) Validate() error {
	if n := len(o.Node); n < 1 || n > longestNode {
		return fmt.Errorf("node id of %d bytes: want 1 to %d", n, longestNode)
	}
	if o.Budget != 0 && (o.Budget < time.Millisecond || o.Budget > time.Minute) {
		return fmt.Errorf("budget of %v: want 1ms to 1m", o.Budget)
	}
	_, err := o.connection()
	return err
}

func newRedis(o RedisOptions, script string) (*Redis, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Budget = cmp.Or(o.Budget, defaultBudget)
	o.MaxCounters = cmp.Or(o.MaxCounters, defaultCounters)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := openStore(o)
	if err != nil {
		return nil, err
	}
	r := &Redis{
		store: s, budget: o.Budget, log: o.Log, seed: maphash.MakeSeed(),
		script: script, digest: redis.NewScript(script).Hash(), field: wireArg{bytes: []byte("n" + o.Node)},
		lanes: map[*redis.Client]*lane{}, ledger: ledger{most: o.MaxCounters, periods: map[Span]*pages{}},
		repair: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	r.waiters.New = func() any { return &waiter{wake: make(chan struct{}, 1)} }
	r.batches.New = func() any { return &batch{} }
	r.closing, r.close = context.WithCancel(context.Background())
	go r.push()
	return r, nil
}

// Decide implements Limiter. Within the budget it answers or returns an error that wraps
// ErrUnavailable. A ctx that ends while the request waits to be sent takes it back; once it is sent,
// the answer is awaited. ErrPeriodOver comes as *PeriodError with the store's time.
func (r *Redis) Decide(ctx context.Context, q *Query, a *Answer) error {
	return r.answer(ctx, q, a, toDecide)
}

// Peek implements Limiter.
func (r *Redis) Peek(ctx context.Context, q *Query, a *Answer) error {
	return r.answer(ctx, q, a, toPeek)
}

// purpose is what a call is for, as its number of askers is written while it waits.
type purpose int64

const (
	toDecide purpose = 0
	toPeek   purpose = -1
	toRepair purpose = -2
)

func (r *Redis) answer(ctx context.Context, q *Query, a *Answer, p purpose) error {
	a.Allowed, a.States = false, a.States[:0]
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("decide limits: %w", err)
	}
	if err := q.validate(); err != nil {
		return fmt.Errorf("decide limits: %w", err)
	}
	if len(q.Checks) == 0 {
		a.Allowed = true
		return nil
	}
	w := r.waiters.Get().(*waiter)
	w.ctx, w.query, w.answer, w.begun = ctx, q, a, time.Now()
	err := r.ask(w, p)
	w.ctx, w.query, w.answer, w.batch, w.err = nil, nil, nil, nil, nil
	r.waiters.Put(w)
	if err != nil {
		a.Allowed, a.States = false, a.States[:0]
		return fmt.Errorf("decide limits: %w", err)
	}
	return nil
}

// Lost is how many units may have been charged in Redis without a request having been admitted,
// because the reply was lost.
func (r *Redis) Lost() int64 { return r.lost.Load() }

// Calls is how many calls of the script were sent: fewer than decisions when requests share calls.
func (r *Redis) Calls() int64 { return r.calls.Load() }

// Ping tells whether Redis answers, and opens a connection. That the user may not ping is an answer. A ctx without a deadline waits for a second.
func (r *Redis) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	client, err := r.store.client(ctx, "{}")
	if err == nil {
		err = client.Ping(ctx).Err()
	}
	if redis.HasErrorPrefix(err, "NOPERM") {
		return nil
	}
	if err != nil {
		return unavailable(err, false)
	}
	return nil
}

// Close ends the connections; decisions then are errors. It returns when no goroutine is left.
func (r *Redis) Close() error {
	r.close()
	<-r.closed
	if err := r.store.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections to redis: %w", err)
	}
	return nil
}
