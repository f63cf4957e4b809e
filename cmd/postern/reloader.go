package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/admin"
	"postern/config"
	"postern/internal/keys"
)

// reloader takes a configuration over into the running program: read, check, build, and then swap,
// so that any error leaves everything as it was. Safe for concurrent use.
type reloader struct {
	program *program
	load    func() (*config.Config, []config.Warning, error)
	metrics reloadMetrics

	one     sync.Mutex // one reload at a time
	ended   bool       // under one: the program is being closed
	current atomic.Pointer[inForce]
	failed  atomic.Pointer[failedReload] // nil after a good one
}

// inForce is the configuration that the program runs with.
type inForce struct {
	cfg     *config.Config
	at      time.Time
	waiting []string // settings that are read at the start only, and have another value now
}

// failedReload is the last one, which changed nothing.
type failedReload struct {
	err error
	at  time.Time
}

type reloadMetrics struct {
	successful prometheus.Gauge
	timestamp  prometheus.Gauge
}

func newReloader(p *program, env []string, metrics prometheus.Registerer) *reloader {
	r := &reloader{
		program: p,
		load: func() (*config.Config, []config.Warning, error) {
			return config.Load(p.cfg.File, config.LoadOptions{Env: env})
		},
		metrics: reloadMetrics{
			successful: prometheus.NewGauge(prometheus.GaugeOpts{
				Name: "postern_config_last_reload_successful", Help: "1 when the configuration was last read without an error, else 0.",
			}),
			timestamp: prometheus.NewGauge(prometheus.GaugeOpts{
				Name: "postern_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was read.",
			}),
		},
	}
	metrics.MustRegister(r.metrics.successful, r.metrics.timestamp)
	r.enforced(&inForce{cfg: p.cfg, at: time.Now()})
	return r
}

func (r *reloader) enforced(f *inForce) {
	r.current.Store(f)
	r.failed.Store(nil)
	r.metrics.successful.Set(1)
	r.metrics.timestamp.Set(float64(f.at.UnixMilli()) / 1000)
}

// Reload implements admin.Configuration.
func (r *reloader) Reload(ctx context.Context, a keys.Actor) (admin.Reloaded, error) {
	if registry := r.program.registry; registry != nil {
		if err := registry.MayReload(a); err != nil {
			return admin.Reloaded{}, err
		}
	}
	r.one.Lock()
	defer r.one.Unlock()
	if r.ended {
		return admin.Reloaded{}, errors.New("reload: the program is being closed")
	}
	done, err := r.reload(context.WithoutCancel(ctx)) // who asks may leave; a swap once begun is ended
	if err != nil {
		r.failed.Store(&failedReload{err: err, at: time.Now()})
		r.metrics.successful.Set(0)
		r.program.log.Error("the configuration could not be taken over; the old one stays in force",
			"file", r.program.cfg.File, "by", asker(a), "problems", err.Error())
		return admin.Reloaded{}, refusedReload(err)
	}
	r.program.log.Info("the configuration was taken over", "file", r.program.cfg.File, "by", asker(a),
		"changed", strings.Join(done.Changed, ", "))
	if len(done.RestartNeeded) > 0 {
		r.program.log.Warn("some settings are read at the start only; restart to put them in force", "settings", strings.Join(done.RestartNeeded, ", "))
	}
	if registry := r.program.registry; registry != nil && (len(done.Changed) > 0 || a.Type != keys.ActorFile) {
		if err := registry.NoteReload(ctx, a, done.Changed); err != nil {
			r.program.log.Error("the reload could not be noted in the audit trail", "error", err)
		}
	}
	return done, nil
}

// asker is who had the configuration read again, as the log names him: what stands for nobody in
// particular by what it is called.
func asker(a keys.Actor) string {
	if a.Type == keys.ActorLocal || a.Type == keys.ActorFile {
		return a.Name
	}
	return string(a.Type) + ":" + a.ID
}

// end waits for a reload under way and lets no further one begin.
func (r *reloader) end() {
	r.one.Lock()
	defer r.one.Unlock()
	r.ended = true
}

func (r *reloader) reload(ctx context.Context) (admin.Reloaded, error) {
	next, warnings, err := r.load()
	if err != nil {
		return admin.Reloaded{}, err
	}
	before := r.current.Load()
	changed, _ := before.cfg.Changes(next)
	_, waiting := r.program.cfg.Changes(next)
	if err := r.swap(ctx, before.cfg, next); err != nil {
		return admin.Reloaded{}, err
	}
	r.enforced(&inForce{cfg: next, at: time.Now(), waiting: waiting})
	done := admin.Reloaded{LoadedAt: r.current.Load().at.UTC(), Changed: changed, RestartNeeded: waiting}
	for _, w := range warnings {
		done.Warnings = append(done.Warnings, config.Problem(w).OneLine())
		r.program.log.Warn("configuration: " + config.Problem(w).OneLine())
	}
	return done, nil
}

// swap puts next in force, part by part. In between, requests are decided by the old routes or the
// new ones, under a catalog that has everything of both; so none is refused for what is gone from the
// one and not yet in the other. What still looks at the old routes when that catalog goes is decided
// again by the gateway.
func (r *reloader) swap(ctx context.Context, old, next *config.Config) error {
	p := r.program
	policy, err := gatewayPolicy(next)
	if err != nil {
		return err
	}
	enforce, err := p.gateway.Prepare(policy)
	if err != nil {
		return err
	}
	catalog := next.Catalog()
	p.setCatalog(catalog.Joined(old.Catalog()))
	if err := p.declare(ctx, old, next); err != nil {
		p.setCatalog(old.Catalog())
		if undo := p.declare(ctx, next, old); undo != nil {
			err = errors.Join(err, fmt.Errorf("take the declared keys back: %w", undo))
		}
		return fmt.Errorf("bring the declared keys up to date: %w", err)
	}
	p.directory.SetAcceptImported(next.Credentials.AcceptImported)
	enforce()
	p.setCatalog(catalog)
	return p.level.UnmarshalText([]byte(next.Log.Level)) // checked when it was read
}

// setCatalog puts what the configuration declares about keys in force.
func (p *program) setCatalog(c *keys.Catalog) {
	if p.registry != nil {
		p.registry.SetCatalog(c)
	}
	p.directory.SetCatalog(c)
}

// declare brings the declared keys up to date, unless the file says of them what it said before.
func (p *program) declare(ctx context.Context, old, next *config.Config) error {
	declared := next.Declared()
	switch {
	case reflect.DeepEqual(old.Declared(), declared):
		return nil
	case p.registry == nil:
		return p.directory.LoadDeclared(declared)
	}
	return p.registry.Declare(ctx, declared)
}

// refusedReload says in the admin API's terms why nothing changed.
func refusedReload(err error) error {
	var problems *config.Problems
	if !errors.As(err, &problems) {
		return err
	}
	refused := &keys.Refusal{
		Code:   keys.ValidationFailed,
		Detail: fmt.Sprintf("The configuration has %d problems; the old one stays in force.", len(problems.List)+problems.More),
		Hint:   "Correct the file; postern validate shows each problem with its line.",
	}
	for _, one := range problems.List {
		field := one.Path
		if field == "" {
			field = one.File
		}
		refused.Fields = append(refused.Fields, keys.FieldError{Field: field, Message: one.OneLine()})
	}
	return refused
}

// Configuration implements admin.Configuration.
func (r *reloader) Configuration() admin.ConfigurationState {
	now := r.current.Load()
	s := admin.ConfigurationState{
		File: now.cfg.File, LoadedAt: now.at.UTC(), RestartNeeded: now.waiting, Effective: now.cfg.Effective(), Routes: routeStates(now.cfg),
	}
	if failed := r.failed.Load(); failed != nil {
		s.LastError, s.LastErrorAt = failed.err.Error(), failed.at.UTC()
	}
	return s
}

// degraded tells the probes of a reload that failed.
func (r *reloader) degraded() []string {
	failed := r.failed.Load()
	if failed == nil {
		return nil
	}
	return []string{fmt.Sprintf("the configuration could not be taken over at %s; the one of %s stays in force; postern validate shows why",
		failed.at.UTC().Format(time.RFC3339), r.current.Load().at.UTC().Format(time.RFC3339))}
}
