package admin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// nilGatherer gathers nothing.
type nilGatherer struct{}

func (nilGatherer) Gather() ([]*dto.MetricFamily, error) { return nil, nil }

func TestProbes(t *testing.T) {
	for _, c := range []struct {
		name, path string
		health     fakeHealth
		status     int
		body       string // exactly, or where it begins with ~ in part
	}{
		{"alive", "/livez", fakeHealth{}, 200, `{"status":"alive"}`},
		{"alive though not ready", "/livez", fakeHealth{err: errors.New("loading")}, 200, `{"status":"alive"}`},
		{"ready", "/readyz", fakeHealth{}, 200, `{"status":"ready","degraded":[]}`},
		{"degraded", "/readyz", fakeHealth{degraded: []string{"old configuration"}}, 200, `{"status":"ready","degraded":["old configuration"]}`},
		{"not ready", "/readyz", fakeHealth{err: errors.New("keys are not loaded")}, 503, `{"status":"unavailable","reason":"keys are not loaded"}`},
		{"metrics", "/metrics", fakeHealth{}, 200, "~postern_probe 7"},
		{"no API", "/v1/keys", fakeHealth{}, 404, `~"not_found"`},
		{"no document", "/openapi.json", fakeHealth{}, 404, `~"not_found"`},
		{"no root", "/", fakeHealth{}, 404, `~"not_found"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			metrics := prometheus.NewRegistry()
			metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "postern_probe"}, func() float64 { return 7 }))
			o := Options{Registry: newFake(), Fleet: &fakeFleet{}, Health: &c.health, Metrics: metrics}
			full, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			for name, handler := range map[string]http.Handler{"probes": Probes(o), "admin": full} {
				if name == "admin" && c.status == 404 {
					continue
				}
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest("GET", c.path, nil))
				got := strings.TrimSpace(w.Body.String())
				part, isPart := strings.CutPrefix(c.body, "~")
				if w.Code != c.status || !isPart && got != c.body || isPart && !strings.Contains(got, part) {
					t.Errorf("%s: got %d %s\nwant %d %s", name, w.Code, got, c.status, c.body)
				}
			}
		})
	}
}

func TestProbesNeedTheirParts(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got no panic")
		}
	}()
	Probes(Options{})
}
