package main

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"postern/internal/keys"
)

// registerProcess adds what belongs to the process as a whole: Go's and the kernel's figures, the
// build, and the directory of keys.
func registerProcess(r prometheus.Registerer, d *keys.Directory, now func() time.Time) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "postern_build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": buildVersion(), "goversion": runtime.Version()},
	})
	build.Set(1)
	r.MustRegister(build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		directoryCollector{d, now})
}

// directoryCollector asks the directory when it is scraped, so that requests pay nothing for it.
type directoryCollector struct {
	directory *keys.Directory
	now       func() time.Time
}

var (
	directoryKeys = prometheus.NewDesc("postern_directory_keys",
		"Credentials held in memory, by status.", []string{"status"}, nil)
	directoryLag = prometheus.NewDesc("postern_directory_lag_seconds",
		"Time since the store was last read successfully.", nil, nil)
	secretsOnOldPepper = prometheus.NewDesc("postern_secrets_on_old_pepper",
		"Secrets of keys that are still under a superseded pepper; each moves when it is next used.", nil, nil)
)

// Describe implements prometheus.Collector.
func (directoryCollector) Describe(to chan<- *prometheus.Desc) {
	to <- directoryKeys
	to <- directoryLag
	to <- secretsOnOldPepper
}

// Collect implements prometheus.Collector.
func (c directoryCollector) Collect(to chan<- prometheus.Metric) {
	stats := c.directory.Stats(c.now())
	for _, status := range []keys.Status{keys.Pending, keys.Active, keys.Suspended, keys.Expired, keys.Revoked, keys.Denied} {
		to <- prometheus.MustNewConstMetric(directoryKeys, prometheus.GaugeValue, float64(stats.ByStatus[status]), string(status))
	}
	to <- prometheus.MustNewConstMetric(directoryLag, prometheus.GaugeValue, stats.Lag.Seconds())
	to <- prometheus.MustNewConstMetric(secretsOnOldPepper, prometheus.GaugeValue, float64(stats.OldPepper))
}

// certificateCollector asks for the ends of certificates when it is scraped. Its labels are the
// domains of the configuration and of the certificate files that it names.
type certificateCollector struct{ sources []certificates }

var certificateExpiry = prometheus.NewDesc("postern_certificate_expiry_timestamp_seconds",
	"When the certificate of the domain ends, in seconds since 1970; 0: there is none yet.", []string{"domain"}, nil)

// Describe implements prometheus.Collector.
func (certificateCollector) Describe(to chan<- *prometheus.Desc) { to <- certificateExpiry }

// Collect implements prometheus.Collector. Where two listeners serve one domain, the end that comes
// first counts.
func (c certificateCollector) Collect(to chan<- prometheus.Metric) {
	first := make(map[string]float64)
	for _, s := range c.sources {
		for domain, ends := range s.Expiries() {
			at := float64(max(ends.Unix(), 0))
			if known, twice := first[domain]; !twice || at < known {
				first[domain] = at
			}
		}
	}
	for domain, at := range first {
		to <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, at, domain)
	}
}
