package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postern/limiter"
)

// metrics are the collectors of the data path. Labels are bounded: routes come from the
// configuration, methods from the guard's list, codes from a closed set or three digits.
type metrics struct {
	requests  *prometheus.CounterVec // route, method, code
	decisions *prometheus.CounterVec // route, code
	would     *prometheus.CounterVec // route, code
	duration  prometheus.Histogram
	upstream  prometheus.Histogram
	overhead  prometheus.Histogram
	limiter   prometheus.Observer // for the backend in use
	degraded  atomic.Bool         // no store decided the last call
	none      *routeMetrics       // requests without a route
}

// newMetrics makes the collectors and registers them with r, nil for nowhere.
func newMetrics(r prometheus.Registerer, l limiter.Limiter) (*metrics, error) {
	histogram := func(name, help string, from float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{
			Namespace: "postern", Name: name, Help: help,
			Buckets:                         prometheus.ExponentialBuckets(from, 4, 10),
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}
	}
	limiterDuration := prometheus.NewHistogramVec(histogram("limiter_duration_seconds",
		"Time that the limiter took to decide about a request.", 1e-6), []string{"backend"})
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "postern",
			Name: "requests_total", Help: "Requests answered, by route, method and status."},
			[]string{"route", "method", "code"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "postern",
			Name: "decisions_total", Help: "Decisions, by route and code (admitted, or why refused)."},
			[]string{"route", "code"}),
		would: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "postern",
			Name: "would_refuse_total", Help: "Requests that passed because their route only observes, by route and the code they would have been refused with."},
			[]string{"route", "code"}),
		duration: prometheus.NewHistogram(histogram("request_duration_seconds",
			"Time from a request's headers to the end of its answer.", 250e-6)),
		upstream: prometheus.NewHistogram(histogram("upstream_duration_seconds",
			"Time from handing a request to its upstream to the upstream's headers.", 250e-6)),
		overhead: prometheus.NewHistogram(histogram("overhead_duration_seconds",
			"Time that Postern took before it passed a request on or refused it.", 2e-6)),
		limiter: limiterDuration.WithLabelValues(backendOf(l)),
	}
	degraded := m.degraded.Load
	if s, ok := l.(interface{ Degraded() bool }); ok {
		degraded = s.Degraded // it looks by itself, also while nobody calls
	}
	degradedGauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "postern",
		Name: "limiter_degraded", Help: "1 while the limiter's store does not answer and on_loss decides, else 0."}, func() float64 {
		if degraded() {
			return 1
		}
		return 0
	})
	m.none = m.route("none")
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.decisions, m.would, m.duration, m.upstream,
		m.overhead, limiterDuration, degradedGauge} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// undecided notes whether the limiter's store was lost when it was last asked. Calls on all processors share the
// place, so it is written only when it changes.
func (m *metrics) undecided(is bool) {
	if m.degraded.Load() != is {
		m.degraded.Store(is)
	}
}

// localBackend is the limiter in this process, which waits for nobody.
const localBackend = "local"

// backendOf names a limiter in metrics: as it says itself, or local.
func backendOf(l limiter.Limiter) string {
	if b, ok := l.(interface{ Backend() string }); ok {
		return b.Backend()
	}
	return localBackend
}

// routeMetrics are one route's counters, resolved as they are first needed: a look-up by label
// values hashes and locks, which is too much for every request.
type routeMetrics struct {
	metrics   *metrics
	name      string
	admitted  prometheus.Counter
	requests  counters[requestKey]
	decisions counters[string]
	would     counters[string]
}

type requestKey struct {
	method string
	status int
}

func (m *metrics) route(name string) *routeMetrics {
	if name == "" {
		name = "none"
	}
	return &routeMetrics{metrics: m, name: name, admitted: m.decisions.WithLabelValues(name, "admitted")}
}

// counters is a small map that is read without locks and copied when it grows.
type counters[K comparable] struct {
	byKey atomic.Pointer[map[K]prometheus.Counter]
}

// get returns the counter for a key; resolve finds a new one.
func (c *counters[K]) get(key K, resolve func(K) prometheus.Counter) prometheus.Counter {
	old := c.byKey.Load()
	if old != nil {
		if counter, ok := (*old)[key]; ok {
			return counter
		}
	}
	counter := resolve(key)
	for {
		next := map[K]prometheus.Counter{key: counter}
		if old != nil {
			for k, v := range *old {
				next[k] = v
			}
		}
		if c.byKey.CompareAndSwap(old, &next) {
			return counter
		}
		old = c.byKey.Load()
	}
}

// observe counts one request that is over.
func (c *call) observe(end End) {
	rm := c.gateway.metrics.none
	if c.route != nil {
		rm = c.route.metrics
	}
	rm.requests.get(requestKey{methodLabel(c.inbound.Method), statusLabel(end.Status)}, rm.request).Inc()
	if c.admitted {
		rm.admitted.Inc()
	} else if c.code != "" {
		rm.decisions.get(string(c.code), rm.decision).Inc()
	}
	if c.would != "" {
		rm.would.get(string(c.would), rm.wouldRefuse).Inc()
	}
	m := c.gateway.metrics
	m.duration.Observe(end.Duration.Seconds())
	if c.sent.IsZero() {
		m.overhead.Observe(end.Duration.Seconds())
		return
	}
	m.overhead.Observe(c.sent.Sub(c.begun).Seconds())
	m.upstream.Observe(c.headers.Sub(c.sent).Seconds())
}

func (rm *routeMetrics) request(k requestKey) prometheus.Counter {
	code := "other"
	if k.status != 0 {
		code = strconv.Itoa(k.status)
	}
	return rm.metrics.requests.WithLabelValues(rm.name, k.method, code)
}

func (rm *routeMetrics) decision(code string) prometheus.Counter {
	return rm.metrics.decisions.WithLabelValues(rm.name, code)
}

func (rm *routeMetrics) wouldRefuse(code string) prometheus.Counter {
	return rm.metrics.would.WithLabelValues(rm.name, code)
}

// methodLabel keeps strangers' methods out of the metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// statusLabel keeps an upstream's odd statuses out of the metrics; 0 stands for them.
func statusLabel(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status
}
