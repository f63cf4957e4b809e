package admin

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	livezDoc   = "200 as long as the process can answer at all; a restart is called for only when it cannot."
	readyzDoc  = "200 while traffic can be served, with what is not as it should be; 503 before everything is loaded, on drain, and when the keys in memory are too old to go by."
	metricsDoc = "Prometheus metrics in the text format or as OpenMetrics."
)

// Liveness is the answer of /livez.
type Liveness struct {
	Status string `json:"status" enum:"alive" doc:"Always alive." example:"alive"`
}

// Readiness is the answer of /readyz while traffic can be served.
type Readiness struct {
	Status   string   `json:"status" enum:"ready" doc:"Always ready." example:"ready"`
	Degraded []string `json:"degraded" doc:"What is not as it should be while traffic is served; empty when all is well."`
}

// Unreadiness is the answer of /readyz while no traffic can be served.
type Unreadiness struct {
	Status string `json:"status" enum:"unavailable" doc:"Always unavailable." example:"unavailable"`
	Reason string `json:"reason" doc:"Why no traffic can be served." example:"keys are not loaded yet"`
}

func (s *server) livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", Liveness{Status: "alive"})
}

func (s *server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.Health.Ready(); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, "application/json", Unreadiness{Status: "unavailable", Reason: err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, "application/json", Readiness{Status: "ready", Degraded: notNil(s.Health.Degraded())})
}

// metrics serves what could be gathered even when one collector fails, and logs the failure.
func (s *server) metrics() http.HandlerFunc {
	return promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelError),
		ErrorHandling:     promhttp.ContinueOnError,
		EnableOpenMetrics: true,
	}).ServeHTTP
}

// notNil makes an absent list an empty one, which JSON writes as [].
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
