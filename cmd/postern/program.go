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
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"postern/config"
	"postern/gateway"
	"postern/internal/keys"
	"postern/limiter"
)

// program is a gateway with all its parts: the production wiring, which run, demo and the tests
// start alike.
type program struct {
	cfg       *config.Config
	now       func() time.Time
	log       *slog.Logger
	level     slog.LevelVar
	access    *lineWriter
	install   *installation
	directory *keys.Directory
	registry  *keys.Registry // nil with store: none
	fleet     *keys.Fleet    // likewise
	limiter   countingLimiter
	failover  *limiter.Failover // over limiter, where that is Redis; else nil
	shares    *shares           // likewise
	saved     *checkpoints
	moves     atomic.Pointer[moveFollower] // nil while nothing is under an old pepper
	gateway   *gateway.Gateway
	admin     *http.Server
	probes    *http.Server
	reloader  *reloader
	loaded    atomic.Bool
	serving   chan struct{} // closed when the first request can be answered
	manager   serviceManager

	ballast                                                          []byte
	gatewayListener, adminListener, probesListener, redirectListener net.Listener
	gatewayTLS, adminTLS                                             *tls.Config
	certificates                                                     []certificates
	managed                                                          *gateway.ManagedCertificates // nil: none come from a CA
}

// ballastSize is memory that counts as used and is never touched, so that the kernel never backs it.
// The collector runs each time the heap has doubled; a gateway's is so small that this was several
// times a second under load, and cost more than deciding the requests. With the ballast it runs
// after each 16 MiB of garbage and more. Twice as much was tried: it saved less than could be
// measured, and what is garbage is resident. With a heap that is large anyway nothing changes.
const ballastSize = 16 << 20

// build makes every part and binds every port; nothing is served yet. messages receives the log.
func build(ctx context.Context, cfg *config.Config, s session, messages io.Writer) (_ *program, err error) {
	p := &program{cfg: cfg, access: newLineWriter(messages), serving: make(chan struct{}), ballast: make([]byte, ballastSize),
		manager: newServiceManager(s.env), now: s.now}
	if p.now == nil {
		p.now = time.Now
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if err := p.level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return p, fmt.Errorf("log.level: %w", err)
	}
	p.log = newLogger(messages, cfg.Log.Format, &p.level, s.terminal)

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
	registerProcess(metrics, p.directory, p.now)

	limits, err := p.openLimiter(ctx, metrics)
	if err != nil {
		return p, err
	}
	p.saved = newCheckpoints(p.limiter, p.directory, p.install.checkpoints(cfg), p.log)
	policy, err := gatewayPolicy(cfg)
	if err != nil {
		return p, err
	}
	if p.gateway, err = gateway.New(gateway.Options{
		Policy: policy, Directory: p.directory, Limiter: limits, Format: p.install.format,
		Log: p.log, Access: newAccessLogger(p.access, cfg.Log.Format, &p.level, s.terminal), Metrics: metrics,
		Now:        s.now,
		Drain:      gateway.Drain{Delay: cfg.Drain.Delay, Timeout: cfg.Drain.Timeout},
		AddressKey: p.install.vault.AddressKey(), EndUnknown: cfg.Store.Shared(),
	}); err != nil {
		return p, err
	}
	p.reloader = newReloader(p, s.env, metrics)
	if err := p.listen(ctx); err != nil {
		return p, err
	}
	if err := p.buildFleet(); err != nil {
		return p, err
	}
	if err := p.buildAdmin(metrics); err != nil {
		return p, err
	}
	if err := p.openCertificates(); err != nil {
		return p, err
	}
	metrics.MustRegister(certificateCollector{p.certificates})
	return p, nil
}

func (p *program) directoryOptions() keys.DirectoryOptions {
	o := keys.DirectoryOptions{
		Vault: p.install.vault, Format: p.install.format, Catalog: p.cfg.Catalog(),
		AcceptImported: p.cfg.Credentials.AcceptImported, Log: p.log, MaxStale: p.cfg.MaxStale,
		Shared: p.cfg.Store.Shared(), Uptime: uptime, Now: p.now,
	}
	if p.install.store != nil {
		o.Store = p.install.store
	}
	return o
}

// listen binds every port before anything is served, so that a taken one is found at once.
func (p *program) listen(ctx context.Context) (err error) {
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
			if errors.Is(err, syscall.EACCES) {
				next = "Ports below 1024 are for root and for who has CAP_NET_BIND_SERVICE, as the unit in examples/systemd gives it; or choose another under listen."
			}
			return &failure{code: exitFailed, err: fmt.Errorf("%s: %w", l.setting, err), next: next}
		}
	}
	return nil
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
		group.Go(func() error { return p.gateway.ServeRedirect(p.redirectListener, port, p.prover()) })
	}
	for _, c := range p.certificates {
		group.Go(func() error { return c.Run(work) })
	}
	group.Go(func() error {
		if err := p.load(work, group); err != nil {
			return err
		}
		group.Go(func() error {
			p.saved.run(work)
			return nil
		})
		if p.shares != nil {
			group.Go(func() error {
				p.shares.run(work)
				return nil
			})
		}
		p.log.Info("serving", "gateway", p.gatewayListener.Addr().String(), "admin", addressOf(p.adminListener), "version", buildVersion())
		close(p.serving)
		p.tellManager(managerReady)
		return p.gateway.Serve(p.gatewayListener, p.gatewayTLS)
	})

	// The drain takes its time after ctx has ended, so the parts do not end with ctx.
	select {
	case <-ctx.Done():
		p.tellManager(managerStopping)
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
	p.moves.Load().finish()
	if cut.Err() != nil {
		drained = errors.New("a second signal cut the drain short")
	}
	stop()
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	err = errors.Join(err, drained, p.saveLast())
	p.leaveFleet()
	return errors.Join(err, p.close())
}

// saveLast writes the last checkpoint, when nothing is admitted any more: after a clean stop nothing
// is forgotten.
func (p *program) saveLast() error {
	const patience = 10 * time.Second
	if !p.loaded.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.saved.save(ctx)
}

// tellManager tells systemd, if it wants to know. That it does not hear keeps nobody from serving.
func (p *program) tellManager(state string) {
	if err := p.manager.tell(state); err != nil {
		p.log.Warn("systemd was not told, and may take the service for one that never started", "error", err)
	}
}

// load brings every credential into memory, and the declared ones up to date, before the first
// request is answered.
func (p *program) load(ctx context.Context, group *errgroup.Group) error {
	if err := p.saved.restore(ctx); err != nil {
		return err
	}
	if p.registry == nil {
		if err := p.directory.LoadDeclared(p.cfg.Declared()); err != nil {
			return fmt.Errorf("load declared keys: %w", err)
		}
		p.loaded.Store(true)
		return nil
	}
	// Before anything is read: whoever revokes a key from now on waits for this node to know.
	if err := p.fleet.Register(ctx); err != nil {
		return err
	}
	group.Go(func() error {
		p.fleet.Run(ctx)
		return nil
	})
	started := time.Now()
	defer collectLess()()
	if err := p.directory.Load(ctx); err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	group.Go(func() error { return p.directory.Follow(ctx) })
	group.Go(func() error { return p.registry.RecordFailedSignIns(ctx) })
	if err := p.registry.Declare(ctx, p.cfg.Declared()); err != nil {
		return fmt.Errorf("bring the declared keys up to date: %w", err)
	}
	p.moveSecrets(ctx, group)
	p.loaded.Store(true)
	p.log.Info("keys loaded", "took_ms", time.Since(started).Milliseconds())
	group.Go(func() error {
		if err := p.install.store.WarmSearch(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("the search of keys is not ready; the first one will take longer", "error", err)
		}
		return nil
	})
	return nil
}

// close releases what build took. It may be called on a half-built program.
func (p *program) close() error {
	if p.reloader != nil {
		p.reloader.end()
	}
	var errs []error
	for _, l := range []net.Listener{p.gatewayListener, p.adminListener, p.probesListener, p.redirectListener} {
		if l != nil {
			_ = l.Close() // closed by its server already when it served
		}
	}
	if p.managed != nil {
		p.managed.Close()
	}
	if p.failover != nil {
		errs = append(errs, p.failover.Close())
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
