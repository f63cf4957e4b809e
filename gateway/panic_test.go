package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"postern/internal/keys"
)

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestPanicInAStep(t *testing.T) {
	var log lockedBuffer
	h := start(t, nil, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	h.directory.set(func(d *fakeDirectory) { d.explode = true })
	a := h.get("/", goodKey)
	wantCode(t, a, keys.InternalError)
	if a.Header.Get("X-Request-Id") == "" || !strings.Contains(log.String(), "directory exploded") {
		t.Errorf("headers %v, log %s", a.Header, log.String())
	}
	if strings.Contains(a.body, "exploded") {
		t.Errorf("the caller was told the cause: %s", a.body)
	}
	h.directory.set(func(d *fakeDirectory) { d.explode = false })
	wantStatus(t, h.get("/", goodKey), 200)
	if n := h.gateway.inFlight.Load(); n != 0 {
		t.Errorf("%d requests are in flight for ever", n)
	}
}

func TestUpstreamAborts(t *testing.T) {
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, strings.Repeat("x", 50))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	r := h.request("GET", "/", nil)
	r.Header.Set("X-API-Key", goodKey)
	res, err := h.client.Do(r)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("a torn answer looks whole")
	}
	eventually(t, "the end of the request", func() bool { return h.gateway.inFlight.Load() == 0 })
}
