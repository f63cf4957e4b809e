package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/socket"
	"postern/limiter"
)

// countingLimiter is a limiter whose counts of days and months outlive the process.
type countingLimiter interface {
	limiter.Limiter
	Changed([]limiter.Count) []limiter.Count
	Restore([]limiter.Count) error
	Close() error
}

var (
	_ countingLimiter = (*limiter.Local)(nil)
	_ countingLimiter = (*limiter.Redis)(nil)
)

// openLimiter makes the limiter of the configuration. Redis need not be there: until it is, limits are as
// they are when it is lost.
func (p *program) openLimiter(ctx context.Context, metrics prometheus.Registerer) (limiter.Limiter, error) {
	backend := p.cfg.Limiter.Backend
	if backend.Local() {
		l := limiter.NewLocal(limiter.LocalOptions{Track: true, Now: p.now})
		p.limiter = l
		return l, nil
	}
	node, err := nodeID(p.cfg)
	if err != nil {
		return nil, err
	}
	o := backend.Options()
	o.Node, o.Log, o.Wrap = string(node), p.log, socket.Direct
	r, err := limiter.NewRedis(o)
	if err != nil {
		return nil, fmt.Errorf("limiter.backend: %w", err)
	}
	p.limiter = r
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := r.Ping(ctx); err != nil {
		p.log.Error("Redis cannot be used; until it can, limits are counted as limiter.on_loss says", "error", err)
	}
	metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "postern_limiter_lost_units_total",
		Help: "Units that Redis may have charged without a request having been admitted, because its answer was lost.",
	}, func() float64 { return float64(r.Lost()) }))
	p.shares = newShares(p.install, p.cfg.Store.Shared(), r, string(node), p.log)
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postern_limiter_sharing_gateways",
		Help: "Gateways that deal the limits out among them while Redis is lost; 0 while one comes or goes, or this one has no share.",
	}, func() float64 { return float64(p.shares.roster.Settled()) }))
	p.failover = limiter.NewFailover(limiter.FailoverOptions{Shared: r, Roster: p.shares.roster, Log: p.log, Now: p.now})
	return p.failover, nil
}
