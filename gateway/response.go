package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// responseWriter sees what goes to the client: it adds our headers in the instant before they are
// sent (so that neither an upstream's nor an interim answer's can displace them) and counts. The
// bytes themselves pass through untouched.
type responseWriter struct {
	http.ResponseWriter
	call   *call
	status int // 0: nothing sent
	sent   int64
	tunnel *tunnelConn // the connection, once it was taken over
}

var (
	_ http.Flusher  = (*responseWriter)(nil)
	_ http.Hijacker = (*responseWriter)(nil)
	_ io.ReaderFrom = (*responseWriter)(nil)
)

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if !w.call.observes() {
			withoutOurs(w.Header())
		}
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.status == 0 {
		w.status = status
		w.call.stamp(w.Header(), status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent > 0 {
		w.call.watchSlow()
	}
	w.call.gateway.streams.writing(w.call.stream, len(p))
	n, err := w.ResponseWriter.Write(p)
	w.call.stream.written()
	w.sent += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, for which net/http has a faster way than Write.
func (w *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := io.Copy(w.ResponseWriter, r)
	w.sent += n
	return n, err
}

// Flush implements http.Flusher.
func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController prefers to Flush.
func (w *responseWriter) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.call.gateway.streams.writing(w.call.stream, http2Buffer)
	defer w.call.stream.written()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker. The connection belongs to a tunnel from here on, which Shutdown
// has to end by itself.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over connection: %w", err)
	}
	w.status = http.StatusSwitchingProtocols
	w.tunnel = w.call.gateway.tunnels.add(conn)
	w.call.watch(func() { _ = conn.Close() })
	w.call.hold()
	return w.tunnel, rw, nil
}

// Unwrap lets http.ResponseController reach what is not repeated here.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// stamp adds what every answer of ours carries.
func (c *call) stamp(h http.Header, status int) {
	values := c.slab.take(6)
	observes := c.observes()
	if c.set != nil && !(observes && answersLimits(h)) {
		c.setRateHeaders(h, values)
	}
	if c.limitedBy != nil && !observes {
		h[headerLimitedBy] = c.limitedBy
	}
	if !observes || len(h[headerRequestID]) == 0 {
		values[5] = c.id
		h[headerRequestID] = values[5:6:6]
	}
	if c.admitted && c.route.cors != nil && !observes {
		c.route.cors.decorate(h, c.inbound)
	}
	if c.admitted {
		if _, typed := h["Content-Type"]; !typed {
			h["Content-Type"] = nil // net/http would guess one that the upstream never said
		}
	}
	// The rest of a body that is still coming must not be taken for the next request. An HTTP/2 stream
	// ends by itself; there this would end the connection, with all that runs on it.
	halfRead := c.inbound.ProtoMajor == 1 && c.body != nil && !c.body.ended.Load()
	if status != http.StatusSwitchingProtocols && (halfRead || c.gateway.draining.Load()) {
		h["Connection"] = closeConnection
	}
}

// ours are the headers that nobody but us may set on an answer, where stamp does not replace them:
// on interim answers.
var ours = []string{headerRequestID, headerPolicy, headerRateLimit, headerLimit, headerRemaining, headerReset, headerLimitedBy}

func withoutOurs(h http.Header) {
	for _, name := range ours {
		delete(h, name)
	}
}

// closeConnection is shared: header values are read only. HTTP/2 turns it into GOAWAY.
var closeConnection = []string{"close"}
