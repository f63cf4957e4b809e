package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"postern/admin"
	"postern/config"
	"postern/gateway"
	"postern/internal/keys"
	"postern/limiter"
)

// program is a gateway with all its parts: the production wiring, which run, demo and the tests
// start alike.
type program struct {
	cfg       *config.Config
	log       *slog.Logger
	access    *lineWriter
	install   *installation
	directory *keys.Directory
	registry  *keys.Registry // nil with store: none
	limiter   *limiter.Local
	gateway   *gateway.Gateway
	admin     *http.Server
	probes    *http.Server
	loaded    atomic.Bool
	serving   chan struct{} // closed when the first request can be answered

	ballast                                                          []byte
	gatewayListener, adminListener, probesListener, redirectListener net.Listener
	gatewayTLS, adminTLS                                             *tls.Config
}

// ballastSize is memory that counts as used and is never touched, so that the kernel never backs it.
// The collector runs each time the heap has doubled; a gateway's is so small that this was several
// times a second under load, and cost more than deciding the requests. With the ballast it runs
// after each 8 MiB of garbage; with 32 MiB the processor's caches held less of the heap, which cost
// more than was saved. With a heap that is large anyway nothing changes.
const ballastSize = 8 << 20

// build makes every part and binds every port; nothing is served yet. messages receives the log.
func build(ctx context.Context, cfg *config.Config, s session, messages io.Writer) (_ *program, err error) {
	p := &program{cfg: cfg, access: newLineWriter(messages), serving: make(chan struct{}), ballast: make([]byte, ballastSize)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return p, fmt.Errorf("log.level: %w", err)
	}
	p.log = newLogger(messages, cfg.Log.Format, level, s.terminal)

	if p.install, err = openInstallation(ctx, cfg, s.env, p.log); err != nil {
		return p, err
	}
	metrics := prometheus.NewRegistry()
	p.directory = keys.NewDirectory(p.directoryOptions())
	if p.install.store != nil {
		if p.registry, err = p.install.registry(ctx, cfg, p.directory); err != nil {
			return p, err
		}
	}
	registerProcess(metrics, p.directory)

	p.limiter = limiter.NewLocal(limiter.LocalOptions{})
	policy, err := gatewayPolicy(cfg)
	if err != nil {
		return p, err
	}
	if p.gateway, err = gateway.New(gateway.Options{
		Policy: policy, Directory: p.directory, Limiter: p.limiter, Format: p.install.format,
		Log: p.log, Access: newAccessLogger(p.access, cfg.Log.Format, level, s.terminal), Metrics: metrics,
		Drain: gateway.Drain{Delay: cfg.Drain.Delay, Timeout: cfg.Drain.Timeout},
	}); err != nil {
		return p, err
	}
	if err := p.buildAdmin(metrics); err != nil {
		return p, err
	}
	return p, p.listen(ctx)
}

func (p *program) directoryOptions() keys.DirectoryOptions {
	o := keys.DirectoryOptions{
		Vault: p.install.vault, Format: p.install.format, Catalog: p.cfg.Catalog(),
		AcceptImported: p.cfg.Credentials.AcceptImported, Log: p.log, MaxStale: p.cfg.MaxStale,
	}
	if p.install.store != nil {
		o.Store = p.install.store
	}
	return o
}

func (p *program) buildAdmin(metrics *prometheus.Registry) error {
	options := admin.Options{
		Health: p, Metrics: metrics, Contact: p.cfg.Catalog().Policy.Contact, Version: buildVersion(), Log: p.log,
		KeyExpression: p.install.format.Expression(),
	}
	if p.registry != nil {
		options.Registry = p.registry
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

// listen binds every port before anything is served, so that a taken one is found at once.
func (p *program) listen(ctx context.Context) (err error) {
	if p.cfg.TLS.CertFile != "" {
		if p.gatewayTLS, err = loadTLS("tls", p.cfg.TLS.KeyPair); err != nil {
			return err
		}
	}
	if p.cfg.Admin.TLS.CertFile != "" {
		if p.adminTLS, err = loadTLS("admin.tls", p.cfg.Admin.TLS); err != nil {
			return err
		}
	}
	for _, l := range []struct {
		setting string
		address config.Address
		to      *net.Listener
	}{
		{"listen.gateway", p.cfg.Listen.Gateway, &p.gatewayListener},
		{"listen.admin", p.cfg.Listen.Admin, &p.adminListener},
		{"listen.probes", p.cfg.Listen.Probes, &p.probesListener},
		{"listen.http", p.cfg.Listen.HTTP, &p.redirectListener},
	} {
		if l.address == "" {
			continue
		}
		var lc net.ListenConfig
		if *l.to, err = lc.Listen(ctx, "tcp", string(l.address)); err != nil {
			next := "Name an address of this machine under listen."
			if errors.Is(err, syscall.EADDRINUSE) {
				next = "Stop what uses the port, or choose another under listen."
			}
			return &failure{code: exitFailed, err: fmt.Errorf("%s: %w", l.setting, err), next: next}
		}
	}
	return nil
}

func loadTLS(setting string, pair config.KeyPair) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(string(pair.CertFile), string(pair.KeyFile))
	if err != nil {
		return nil, fmt.Errorf("%s: load certificate: %w", setting, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}

// serve loads the keys, serves until ctx ends or a part fails, then drains; the end of cut ends the
// drain at once, which is an error. It closes everything.
func (p *program) serve(ctx, cut context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failed := errgroup.WithContext(work)

	p.serveControl(group, p.admin, p.adminListener, p.adminTLS)
	if p.probes != nil {
		p.serveControl(group, p.probes, p.probesListener, nil)
	}
	if p.redirectListener != nil {
		_, port, _ := net.SplitHostPort(p.gatewayListener.Addr().String()) // a TCP listener's address always splits
		group.Go(func() error { return p.gateway.ServeRedirect(p.redirectListener, port) })
	}
	group.Go(func() error {
		if err := p.load(work, group); err != nil {
			return err
		}
		p.log.Info("serving", "gateway", p.gatewayListener.Addr().String(), "admin", addressOf(p.adminListener), "version", buildVersion())
		close(p.serving)
		return p.gateway.Serve(p.gatewayListener, p.gatewayTLS)
	})

	// The drain takes its time after ctx has ended, so the parts do not end with ctx.
	select {
	case <-ctx.Done():
		p.log.Info("leaving: finishing running requests", "delay", p.cfg.Drain.Delay.String(), "timeout", p.cfg.Drain.Timeout.String())
	case <-failed.Done():
	}
	drain, cancel := context.WithTimeout(work, p.cfg.Drain.Delay+p.cfg.Drain.Timeout+5*time.Second)
	defer cancel()
	if failed.Err() != nil {
		cancel()
	}
	defer context.AfterFunc(cut, cancel)()
	drained := p.gateway.Shutdown(drain)
	if errors.Is(drained, context.DeadlineExceeded) {
		drained = &failure{code: exitFailed, err: fmt.Errorf("requests still ran after drain.timeout, %s, and were cut", p.cfg.Drain.Timeout),
			next: "Give drain.timeout more time if that matters."}
	}
	// The change feed must still run here: a write is answered when the directory has it.
	p.stopControl(cut)
	if cut.Err() != nil {
		drained = errors.New("a second signal cut the drain short")
	}
	stop()
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, drained, p.close())
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

// load brings every credential into memory, and the declared ones up to date, before the first
// request is answered.
func (p *program) load(ctx context.Context, group *errgroup.Group) error {
	if p.registry == nil {
		if err := p.directory.LoadDeclared(p.cfg.Declared()); err != nil {
			return fmt.Errorf("load declared keys: %w", err)
		}
		p.loaded.Store(true)
		return nil
	}
	started := time.Now()
	defer collectLess()()
	if err := p.directory.Load(ctx); err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	group.Go(func() error { return p.directory.Follow(ctx) })
	if err := p.registry.Declare(ctx, p.cfg.Declared()); err != nil {
		return fmt.Errorf("bring the declared keys up to date: %w", err)
	}
	p.loaded.Store(true)
	p.log.Info("keys loaded", "took_ms", time.Since(started).Milliseconds())
	return nil
}

// Ready implements admin.Health.
func (p *program) Ready() error {
	if !p.loaded.Load() {
		return errors.New("the keys are being loaded")
	}
	return p.gateway.Ready()
}

// Degraded implements admin.Health.
func (p *program) Degraded() []string {
	if p.registry == nil {
		return nil
	}
	const late = 5 * time.Second
	var degraded []string
	// Not by Stats, which counts every key: the first probe would wait for that.
	if lag := p.directory.Lag(time.Now()); lag > late {
		degraded = append(degraded, fmt.Sprintf("the database was last read %s ago; keys changed since are not known yet", lag.Round(time.Second)))
	}
	if forged := p.directory.Forged(); forged > 0 {
		degraded = append(degraded, fmt.Sprintf("%d stored keys were altered behind Postern's back and are refused; the log names them", forged))
	}
	return degraded
}

// close releases what build took. It may be called on a half-built program.
func (p *program) close() error {
	var errs []error
	for _, l := range []net.Listener{p.gatewayListener, p.adminListener, p.probesListener, p.redirectListener} {
		if l != nil {
			_ = l.Close() // closed by its server already when it served
		}
	}
	if p.limiter != nil {
		errs = append(errs, p.limiter.Close())
	}
	if p.install != nil {
		errs = append(errs, p.install.Close())
	}
	return errors.Join(append(errs, p.access.Close())...)
}

func addressOf(l net.Listener) string {
	if l == nil {
		return "none"
	}
	return l.Addr().String()
}
