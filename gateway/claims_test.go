package gateway

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCleanUpstreamHeaders(t *testing.T) {
	h := http.Header{}
	kept := http.Header{}
	for _, name := range []string{
		"X-Postern-Key-Id", "x-postern-anything", "X_Postern_Scopes", "X.Postern.Tenant", "X-POSTERN-Owner", "x_Postern.Plan",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X_Forwarded_For", "X-Forwarded",
		"Forwarded", "X-Real-Ip", "X_Real_IP", "X-Client-Ip", "True-Client-Ip", "X-Cluster-Client-Ip",
		"X-Original-Url", "X-Original-Host", "X-Rewrite-Url", "Host", "Proxy",
	} {
		h[name] = []string{"spoofed"}
	}
	for _, name := range []string{
		"X-Poster", "X-Posternal", "Accept", "Authorization", "Cookie", "X-Request-Id", "X-Client-Id", "Forwarded-By",
		"Hosted", "Proxy-Authorization", "True", "X", "T", "X-Originally", "Traceparent", "",
	} {
		h[name] = []string{"kept"}
		kept[name] = []string{"kept"}
	}
	cleanUpstreamHeaders(h)
	if d := cmp.Diff(kept, h); d != "" {
		t.Errorf("headers (-want +got):\n%s", d)
	}
}
