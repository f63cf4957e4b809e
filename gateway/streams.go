package gateway

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/keys"
)

// recheckEvery is how often what lasts is looked at again, so that a revoked key's is closed well
// within 2 s. What is over sooner is not worth entering.
const recheckEvery = 500 * time.Millisecond

// What is entered at once: a body whose length is not known, or greater than shortBody. Shorter ones
// end by themselves, or are entered when they have lasted for recheckEvery. HTTP/2 holds back what
// is not taken by the stream, which its connection does not see, so there everything is entered that
// may not fit net/http's buffer.
const (
	shortBody   = 64 << 10
	http2Buffer = 4 << 10
)

// streams are the calls that last: uploads, downloads, streams without an announced end, tunnels.
// Their credential may end before they do, or their client may stop reading.
type streams struct {
	directory Directory
	now       func() time.Time
	every     time.Duration
	rate      int           // bytes per second that a paced stream's client must take
	patience  time.Duration // and how long it may take none
	unknown   bool          // Options.EndUnknown

	mu    sync.Mutex
	open  map[*stream]struct{}
	timer *time.Timer // to the next look; nil while nothing is open
}

// stream is a call that lasts.
type stream struct {
	shown keys.Presented // zero: nothing to look at again
	known bool           // shown was admitted
	cut   func()         // ends it from outside its handler
	paced bool           // see writing

	late atomic.Int64 // nanoseconds of the Unix epoch by which the present write must be over; 0: none

	mu    sync.Mutex
	ended bool      // its handler is over, or it was cut
	gone  bool      // it was cut
	code  keys.Code // for which refusal; "": its client did not read
}

// add enters a stream.
func (s *streams) add(entry *stream) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*stream]struct{})
	}
	s.open[entry] = struct{}{}
	if s.timer == nil {
		s.timer = time.AfterFunc(s.every, s.recheck)
	}
	return entry
}

// remove returns when the stream is not going to be cut any more.
func (s *streams) remove(entry *stream) {
	if entry == nil {
		return
	}
	s.mu.Lock()
	delete(s.open, entry)
	if len(s.open) == 0 && s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
	entry.mu.Lock()
	entry.ended = true
	entry.mu.Unlock()
}

// recheck cuts what is not admitted any more or not read, and looks again later if anything is left.
// A credential is shown again as the request showed it, so a replaced or ended secret counts too. A
// directory that cannot answer cuts nothing, unless unknown: what is admitted stays so until somebody
// revokes it.
func (s *streams) recheck() {
	now, at := s.now(), time.Now().UnixNano()
	for _, entry := range s.list() {
		code := keys.Admitted
		if entry.known {
			_, code = s.directory.Authenticate(entry.shown, now)
		}
		late := entry.late.Load()
		switch {
		case code != keys.Admitted && (s.unknown || code != keys.DirectoryUnavailable):
			go entry.end(code) // closing may take a while
		case late != 0 && late < at:
			go entry.end("")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.timer == nil: // the last one left while this look was due
	case len(s.open) > 0:
		s.timer.Reset(s.every)
	default:
		s.timer = nil
	}
}

func (s *streams) list() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*stream, 0, len(s.open))
	for entry := range s.open {
		list = append(list, entry)
	}
	return list
}

// end cuts the stream once, unless its handler is over.
func (e *stream) end(code keys.Code) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return
	}
	e.ended, e.gone, e.code = true, true, code
	e.cut()
}

// wasCut tells whether we ended the call, and books that: nobody's fault but the client's.
func (c *call) wasCut() bool {
	e := c.stream
	if e == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		c.left = c.response.tunnel == nil
		c.code = e.code
	}
	return e.gone
}

// writing bounds the write of n bytes that begins, written ends that. A stream that is idle has no
// bound.
func (s *streams) writing(e *stream, n int) {
	if e != nil && e.paced {
		grant := s.patience + time.Duration(n)*time.Second/time.Duration(s.rate)
		e.late.Store(time.Now().Add(grant).UnixNano())
	}
}

func (e *stream) written() {
	if e != nil && e.paced {
		e.late.Store(0)
	}
}

// watch has the call looked at again while it lasts; abort ends its exchange with the upstream.
// There is nothing to look at for a public route over HTTP/1.
func (c *call) watch(abort func()) {
	paced := c.inbound.ProtoMajor == 2
	// A route that only observes does not end what the end of a credential would.
	known := c.principal != nil && !c.route.Observe
	if c.stream != nil || !known && !paced {
		return
	}
	hangUp := c.hangUp()
	c.stream = c.gateway.streams.add(&stream{
		shown: c.presented.Presented,
		known: known,
		paced: paced,
		cut: func() {
			hangUp()
			abort()
		},
	})
}

// watchAnswer watches an answer that may last.
func (c *call) watchAnswer(res *http.Response) {
	most := int64(shortBody)
	if c.inbound.ProtoMajor == 2 {
		most = http2Buffer
	}
	if res.ContentLength < 0 || res.ContentLength > most {
		c.watch(closer(res.Body))
	}
	if res.ContentLength < 0 {
		c.hold()
	}
}

// watchSlow watches an answer that turned out to last.
func (c *call) watchSlow() {
	if c.stream == nil && c.principal != nil && !c.route.Observe && time.Since(c.headers) > recheckEvery {
		c.watch(func() {})
	}
}

func closer(body io.Closer) func() { return func() { _ = body.Close() } }

// hangUp returns what ends the client's side of the call at once: over HTTP/1 the connection, beneath
// TLS, whose farewell may block; over HTTP/2 the stream.
func (c *call) hangUp() func() {
	if conn := c.conn; conn != nil && c.inbound.ProtoMajor == 1 {
		return func() { _ = conn.Close() }
	}
	control := http.NewResponseController(c.response.ResponseWriter)
	return func() {
		past := time.Unix(1, 0)
		_ = control.SetReadDeadline(past)
		_ = control.SetWriteDeadline(past)
	}
}

// flushEvery is how many answers of an HTTP/2 connection one is waited for.
const flushEvery = 8

// awaitFlush waits, for a few of a connection's answers, until HTTP/2 has taken the end. It is
// written after the handler otherwise, where nobody would notice that the client's window is shut
// and that stream after stream is stuck; to wait for each would cost a frame each. A client that does
// not take even that loses its connection.
func (c *call) awaitFlush() {
	if c.conn == nil || c.inbound.ProtoMajor != 2 || c.conn.answers.Add(1)%flushEvery != 0 || c.response.sent == 0 {
		return
	}
	s, conn := &c.gateway.streams, c.conn
	entry := &stream{paced: true, cut: func() { _ = conn.Close() }}
	s.writing(entry, http2Buffer)
	s.add(entry)
	_ = http.NewResponseController(c.response.ResponseWriter).Flush()
	s.remove(entry)
}
