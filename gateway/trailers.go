package gateway

import (
	"io"
	"net/http"
)

// cleanTrailers keeps an upstream from saying behind its answer's body what only we may say: clients
// and proxies down the line may merge trailers into the headers. httputil.ReverseProxy copies the
// announced ones before the body and the rest after it, so they are looked at twice. Only bodies of
// unknown length have trailers.
func cleanTrailers(res *http.Response) {
	if res.ContentLength >= 0 && res.ProtoMajor == 1 {
		return
	}
	withoutClaims(res.Trailer)
	res.Body = &trailedBody{ReadCloser: res.Body, res: res}
}

// trailedBody is an upstream's body with trailers behind it. The one who reads it closes it.
type trailedBody struct {
	io.ReadCloser
	res *http.Response
}

// Close implements io.Closer.
func (b *trailedBody) Close() error {
	err := b.ReadCloser.Close()
	withoutClaims(b.res.Trailer)
	return err
}

func withoutClaims(trailer http.Header) {
	cleanUpstreamHeaders(trailer)
	withoutOurs(trailer)
}
