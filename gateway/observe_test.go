package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/keys"
)

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := start(t, nil, func(o *Options) { o.Metrics = registry })
	h.get("/", goodKey)
	h.get("/", goodKey)
	h.get("/", "wrong")
	h.get("/%2e%2e/", goodKey)
	h.raw("GARBLE / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "all requests' ends", func() bool { return h.gateway.inFlight.Load() == 0 })
	want := map[string]float64{
		"decisions_total code=admitted route=main":            2,
		"decisions_total code=bad_request route=none":         2,
		"decisions_total code=invalid_credentials route=main": 1,
		"requests_total code=200 method=GET route=main":       2,
		"requests_total code=400 method=GET route=none":       1,
		"requests_total code=400 method=other route=none":     1,
		"requests_total code=401 method=GET route=main":       1,
		"request_duration_seconds":                            5,
		"upstream_duration_seconds":                           2,
		"overhead_duration_seconds":                           5,
		"limiter_duration_seconds backend=local":              0,
		"limiter_degraded":                                    0,
	}
	got := gather(t, registry)
	for name, value := range want {
		if v, there := got[name]; !there || v != value {
			t.Errorf("%s is %v (there: %v), want %v", name, v, there, value)
		}
	}
	if _, err := newMetrics(registry, h.limiter); err == nil {
		t.Error("the same registry took the collectors twice")
	}
}

// gather reads all series: a counter's or gauge's value, a histogram's count.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "postern_")
			for _, label := range m.GetLabel() {
				name += " " + label.GetName() + "=" + label.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

func TestAccessLog(t *testing.T) {
	h := start(t, nil)
	r := h.request("POST", "/orders/1?token=secret-in-query", strings.NewReader("12345"))
	r.Header.Set("X-API-Key", goodKey)
	a := h.do(r)
	eventually(t, "the access line", func() bool { return strings.Contains(h.access.String(), "\n") })
	line := h.access.String()
	for _, want := range []string{"request_id=" + a.Header.Get("X-Request-Id"), "route=main", "key=key_good00000000", "method=POST",
		"path=/orders/1 ", "status=200", `code=""`, "duration_us=", "sent=2", "address=127.0.0.1"} {
		if !strings.Contains(line, want) {
			t.Errorf("the access line lacks %q: %s", want, line)
		}
	}
	for _, secret := range []string{"secret-in-query", goodKey} {
		if strings.Contains(line, secret) {
			t.Errorf("the access line holds %q: %s", secret, line)
		}
	}
}

// memoryJournal remembers what it was told.
type memoryJournal struct {
	mu       sync.Mutex
	admitted []Call
	ended    []Call
	ends     []End
	fail     error
}

func (j *memoryJournal) Admitted(_ context.Context, c Call) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail == nil {
		j.admitted = append(j.admitted, c)
	}
	return j.fail
}

func (j *memoryJournal) Ended(_ context.Context, c Call, e End) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended, j.ends = append(j.ended, c), append(j.ends, e)
}

func TestJournal(t *testing.T) {
	j := &memoryJournal{}
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		j.mu.Lock()
		known := len(j.admitted)
		j.mu.Unlock()
		if known == 0 {
			t.Error("the upstream was reached before the call was recorded")
		}
		_, _ = io.WriteString(w, "four")
	}), func(o *Options) { o.Journal = j })
	r := h.request("POST", "/", strings.NewReader("12345"))
	wantStatus(t, h.do(r), 200)
	wantCode(t, h.get("/", "wrong"), keys.InvalidCredentials)
	eventually(t, "two ends", func() bool { j.mu.Lock(); defer j.mu.Unlock(); return len(j.ended) == 2 })
	if len(j.admitted) != 1 || j.admitted[0].Principal.ID != "key_good00000000" || j.ended[0].RequestID != j.admitted[0].RequestID {
		t.Errorf("admitted %+v, ended %+v", j.admitted, j.ended)
	}
	if e := j.ends[0]; e.Status != 200 || e.Received != 5 || e.Sent != 4 || e.Duration <= 0 {
		t.Errorf("the first end is %+v", e)
	}
	if j.ended[1].Code != keys.InvalidCredentials || j.ends[1].Status != 401 {
		t.Errorf("the refusal is %+v %+v", j.ended[1], j.ends[1])
	}
	j.mu.Lock()
	j.fail = errors.New("journal is full")
	j.mu.Unlock()
	wantCode(t, h.get("/", goodKey), keys.Overloaded)
}

func TestRequestIDs(t *testing.T) {
	trusting := func(o *Options) { o.Policy.TrustedProxies = append(o.Policy.TrustedProxies, loopback) }
	cases := []struct {
		name    string
		changes []change
		sent    string
		kept    bool
	}{
		{"from anybody", nil, "sane-id", false},
		{"from a trusted proxy", []change{trusting}, "sane-id_1.2", true},
		{"odd, from a trusted proxy", []change{trusting}, "in sane", false},
		{"long, from a trusted proxy", []change{trusting}, strings.Repeat("x", 65), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, http.HandlerFunc(echo), c.changes...)
			r := h.request("GET", "/", nil)
			r.Header.Set("X-Request-Id", c.sent)
			r.Header.Set("X-Forwarded-For", "192.0.2.7")
			a := h.do(r)
			id := a.Header.Get("X-Request-Id")
			if (id == c.sent) != c.kept || !strings.Contains(a.body, "X-Request-Id: "+id+"\n") {
				t.Errorf("the id is %q, and the upstream saw\n%s", id, a.body)
			}
			if want := "X-Forwarded-For: 192.0.2.7, 127.0.0.1\n"; strings.Contains(a.body, want) != (c.changes != nil) {
				t.Errorf("the upstream saw\n%s", a.body)
			}
		})
	}
}
