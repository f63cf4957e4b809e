package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Endings of a request body that are the caller's fault.
var (
	errBodyTooLarge = errors.New("request body is larger than the route allows")
	errBodyTooSlow  = errors.New("request body arrives too slowly")
)

// bodyPatience is how long we wait for a body's next bodyPatience × MinBodyRate bytes. Only time
// spent waiting for the client counts, not time in which the upstream takes nothing.
const bodyPatience = 5 * time.Second

// observedPatience is the same on routes that only observe: as long as servers usually wait.
const observedPatience = time.Minute

// requestBody bounds and counts the body that goes upstream. The transport may still be reading
// it when the handler returns, so it is never pooled, and after close it touches no deadline.
type requestBody struct {
	body    io.ReadCloser
	control *http.ResponseController
	limit   int64         // bytes, < 0: unlimited
	share   int64         // bytes that must come within patience
	pause   time.Duration // the patience
	waited  time.Duration // for the present share
	came    int64         // of the present share
	ended   atomic.Bool   // it was read to its end

	mu     sync.Mutex
	closed bool
	read   int64
	fault  error // errBodyTooLarge, errBodyTooSlow or what the client's connection said
}

// newBody wraps a request's body; nil when it has none.
func (c *call) newBody(r *http.Request) *requestBody {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	control := http.NewResponseController(c.response.ResponseWriter)
	if r.ProtoMajor == 1 {
		// Else net/http reads up to 256 KiB of the body away when the answer begins, while the
		// transport is still sending it: the upstream would get a body with a hole. An error
		// means a test's recorder.
		_ = control.EnableFullDuplex()
	}
	b := &requestBody{
		body:    r.Body,
		control: control,
		limit:   c.route.MaxBody,
		share:   int64(c.gateway.limits.MinBodyRate) * int64(bodyPatience/time.Second),
		pause:   bodyPatience,
	}
	if c.route.Observe {
		b.limit, b.pause = -1, observedPatience
	}
	return b
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.ended.Load() {
		// The transport asks once more, to see whether there is more than was announced. An
		// answer may be on its way by then, and net/http has closed the body: its error would
		// make the transport drop the upstream's connection in the middle of the answer.
		return 0, io.EOF
	}
	begin := time.Now()
	if !b.deadline(begin.Add(b.pause - b.waited)) {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.limit >= 0 && int64(len(p)) > b.limit-b.read+1 {
		p = p[:b.limit-b.read+1] // one byte more than allowed tells "full" from "too large"
	}
	n, err := b.body.Read(p)
	b.ended.Store(err == io.EOF)
	b.waited += time.Since(begin)
	b.came += int64(n)
	if b.came >= b.share {
		b.waited, b.came = 0, 0
	}
	return b.account(n, err)
}

// account books what a read brought.
func (b *requestBody) account(n int, err error) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read += int64(n)
	switch {
	case b.limit >= 0 && b.read > b.limit:
		b.fault = errBodyTooLarge
		return 0, errBodyTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.fault = errBodyTooSlow
		return 0, errBodyTooSlow
	case err == io.EOF && !b.closed:
		_ = b.control.SetReadDeadline(time.Time{})
	case err != nil && err != io.EOF:
		b.fault = err
	}
	return n, err
}

// deadline bounds the next read; false once the handler is over. Where deadlines are not to be
// had, as in a test's recorder, there is no minimum rate.
func (b *requestBody) deadline(t time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	_ = b.control.SetReadDeadline(t)
	return true
}

// Close implements io.Closer.
func (b *requestBody) Close() error { return b.body.Close() }

// finish is called when the handler ends; it returns what was read and whose fault the end was.
func (b *requestBody) finish() (read int64, fault error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.read, b.fault
}

// failed tells how the body ended badly, nil if it did not.
func (b *requestBody) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault
}
