package gateway

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// exchange is one request on a lean connection, and the body of its answer. It ends once: when the
// answer was read to its end, which may give the connection back, or with the connection, when the
// body is closed before that or the client leaves.
type exchange struct {
	conn *leanConn // not to be touched after the end
	body io.Reader // as the parser made it; nil once it was read. For the reader alone
	keep bool      // the connection may carry another request after this answer

	mu   sync.Mutex
	over bool
	ctx  context.Context // the request's, for look; nil once over
	stop func() bool     // nil until look
}

var (
	_ io.ReadCloser = (*exchange)(nil)
	_ looker        = (*exchange)(nil)
)

// begin makes the exchange the answer's body. What has none is over.
func (x *exchange) begin(res *http.Response) {
	x.keep = !res.Close
	if res.Body == http.NoBody {
		_ = x.end(true)
		return
	}
	x.body = res.Body
	res.Body = x
}

// Read implements io.Reader.
func (x *exchange) Read(p []byte) (int, error) {
	if x.body == nil {
		return 0, io.EOF
	}
	n, err := x.body.Read(p)
	switch {
	case err == io.EOF:
		x.body = nil
		_ = x.end(true)
	case err != nil:
		_ = x.end(false)
	}
	return n, err
}

// Close implements io.Closer. It may be called while the body is read, so it leaves the parser's
// body alone, which would wait for that.
func (x *exchange) Close() error { return x.end(false) }

// end ends the exchange, unless it is over. An answer must be complete for its connection to be used
// again, and nothing may have come behind it.
func (x *exchange) end(complete bool) error {
	x.mu.Lock()
	if x.over {
		x.mu.Unlock()
		return nil
	}
	x.over = true
	x.ctx = nil
	stop := x.stop
	x.mu.Unlock()
	if stop != nil {
		stop()
	}
	if complete && x.keep && x.conn.in.Buffered() == 0 {
		x.conn.home.put(x.conn)
		return nil
	}
	return x.conn.Close()
}

// look is called some 20 to 40 ms after the exchange began, which most never see. Only then does it
// begin to follow its client: to follow from the start costs each request a place in its context,
// and whether an HTTP/1 client is there is not known sooner either (lookout.go).
func (x *exchange) look(uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		x.stop = context.AfterFunc(x.ctx, func() { _ = x.Close() })
	}
}
