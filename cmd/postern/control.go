package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"postern/admin"
	"postern/internal/keys"
)

// buildAdmin makes the handlers of the admin and probes listeners.
func (p *program) buildAdmin(metrics *prometheus.Registry) error {
	options := admin.Options{
		Health: p, Metrics: metrics, Configuration: p.reloader, Version: buildVersion(), Log: p.log, Now: p.now,
		KeyExpression: p.install.format.Expression(),
		Contact:       func() keys.Contact { return p.directory.Catalog().Policy.Contact },
		Client:        p.gateway.ClientAddress,
		Hosts:         adminHosts(p.cfg), AdminURL: adminURL(p.cfg, string(p.cfg.Listen.Admin)),
	}
	if p.registry != nil {
		options.Registry, options.DataPath, options.Fleet = p.registry, p.gateway, p.fleet
	}
	handler, err := admin.New(options)
	if err != nil {
		return fmt.Errorf("build the admin API: %w", err)
	}
	p.admin = p.controlServer(handler)
	if p.cfg.Listen.Probes != "" {
		p.probes = p.controlServer(admin.Probes(options))
	}
	return nil
}

// controlServer bounds what callers of the admin and probes listeners can make the process hold.
func (p *program) controlServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
}

// serveControl serves the admin or probes listener until it is closed.
func (p *program) serveControl(group *errgroup.Group, s *http.Server, l net.Listener, t *tls.Config) {
	if l == nil {
		return
	}
	group.Go(func() error {
		var err error
		if t != nil {
			s.TLSConfig = t
			err = s.ServeTLS(l, "", "")
		} else {
			err = s.Serve(l)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
}

// stopControl ends the admin and probes listeners, which served through the drain. A change that is
// being made gets its answer if that takes no longer than two seconds.
func (p *program) stopControl(cut context.Context) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(cut, patience)
	defer cancel()
	var wait sync.WaitGroup
	for _, s := range []*http.Server{p.admin, p.probes} {
		if s == nil {
			continue
		}
		wait.Go(func() {
			if s.Shutdown(ctx) != nil {
				_ = s.Close() // what is left has had its time
			}
		})
	}
	wait.Wait()
}
