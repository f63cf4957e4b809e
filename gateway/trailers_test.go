package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestUpstreamTrailers: an upstream's trailers pass, announced or not, but for names that are ours.
func TestUpstreamTrailers(t *testing.T) {
	h := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names := []string{"Grpc-Status", "X-Postern-Tenant", "X_Postern_Owner", "X-Request-Id", "RateLimit", "X-RateLimit-Remaining", "X-Forwarded-For"}
		prefix := http.TrailerPrefix
		if r.URL.Path == "/announced" {
			prefix = ""
			w.Header().Set("Trailer", strings.Join(names, ", "))
		}
		_, _ = io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		for _, name := range names {
			w.Header().Set(prefix+name, "7")
		}
	}))
	check := func(t *testing.T) {
		for _, path := range []string{"/announced", "/unannounced"} {
			a := h.get(path, goodKey)
			if a.StatusCode != 200 || a.body != "body" || a.Trailer.Get("Grpc-Status") != "7" || len(a.Trailer) != 1 {
				t.Errorf("%s: got %d %q with trailers %v, want Grpc-Status alone", path, a.StatusCode, a.body, a.Trailer)
			}
			if a.Header.Get(headerRequestID) == "7" || strings.Contains(a.Header.Get("Trailer"), "Postern") {
				t.Errorf("%s: got headers %v", path, a.Header)
			}
		}
	}
	t.Run("HTTP/1.1", check)
	h.switchToHTTP2()
	t.Run("HTTP/2", check)
}
