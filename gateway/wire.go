package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// Rules of this file: net/http repairs some requests before a handler sees them. It drops
// Content-Length beside Transfer-Encoding, and Host beside an absolute target; it merges equal
// lengths, unfolds folded lines, accepts bare line feeds, ignores Transfer-Encoding in HTTP/1.0
// and swallows trailers (Go 1.26, net/http transfer.go and request.go). Each is a request that
// another parser frames or addresses differently. The wire follows the bytes of an HTTP/1
// connection beside net/http, changes none of them, and remembers what is wrong; the guard asks.
// When in doubt the wire gives up following, and from then on every request is refused. It follows
// into tunnels too, where it soon gives up, because nobody asks it any more.

// wire is an HTTP/1 connection whose framing is watched.
type wire struct {
	net.Conn
	fault  atomic.Pointer[string] // first thing that was wrong, for good
	heads  atomic.Int64           // header sections seen to their end
	judged atomic.Int64           // requests the guard has asked about
	capped *cappedConn            // the connection beneath, see connContext
	call   *call                  // of the request being handled; belongs to its handler, see withCall
	hangUp patientRead

	// The rest belongs to Read, which net/http never calls twice at once.
	state   wireState
	left    int64 // bytes of the body or chunk still to come
	head    head
	kept    int  // bytes of a line that began in an earlier read
	long    bool // and that there were more than fit
	partial [wireLine]byte
	tail    [wireTail]byte // the last bytes that came of that line
}

// wireLine is how much of a line is kept when it is torn over reads. Only names and short values
// matter; a longer line that does matter is a fault.
const wireLine = 512

// wireTail is as much of a torn line's end as is kept: a version and a carriage return.
const wireTail = len("HTTP/1.1\r")

// head is what one header section says about framing and address.
type head struct {
	authority      string // of an absolute target
	http10         bool
	hosts, lengths int
	codings        int
	length         int64
}

type wireState uint8

const (
	atStart wireState = iota // before a request line
	inHead
	inBody
	atChunk // before a chunk's size
	inChunk
	afterChunk
	inTrailer
	notWatched
)

// tlsWire is a wire inside TLS; net/http takes Request.TLS from it.
type tlsWire struct{ wire }

// ConnectionState lets net/http fill Request.TLS.
func (w *tlsWire) ConnectionState() tls.ConnectionState {
	return w.Conn.(*tls.Conn).ConnectionState()
}

// watchConn wraps a connection that is going to carry HTTP/1: a plain one, or one of TLS after its
// handshake, for which anything but h2 was negotiated.
func watchConn(c net.Conn) net.Conn {
	if _, ok := c.(*tls.Conn); ok {
		w := new(tlsWire)
		w.Conn = c
		return w
	}
	return &wire{Conn: c}
}

// wireOf returns the wire of a request's connection by the request's context; nil: HTTP/2, or not
// from a listener of ours.
func wireOf(ctx context.Context) *wire {
	w, _ := ctx.Value((*connKey)(nil)).(*wire)
	return w
}

// verdict tells what was wrong on the connection so far, "" for nothing. To be called once per
// request: a request of which the wire has not seen the head is refused too, so should it ever
// disagree with net/http about where a request begins, nothing passes.
func (w *wire) verdict() string {
	judged := w.judged.Add(1)
	if f := w.fault.Load(); f != nil {
		return *f
	}
	if judged > w.heads.Load() {
		return "The requests on this connection cannot be told apart."
	}
	return ""
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if len(p) == 1 && w.state == atStart { // net/http, which waits for a client that hangs up
		if err := w.hangUp.wait(); err != nil {
			return 0, err
		}
	}
	n, err := w.Conn.Read(p)
	if n > 0 && w.state != notWatched {
		w.follow(p[:n])
	}
	return n, err
}

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(t time.Time) error {
	if w.hangUp.deadline(t) {
		return nil
	}
	return w.Conn.SetReadDeadline(t)
}

// CloseWrite passes a tunnel's half-close on.
func (w *wire) CloseWrite() error {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return w.Close()
}

func (w *wire) follow(p []byte) {
	for len(p) > 0 {
		switch w.state {
		case notWatched:
			return
		case inBody, inChunk:
			n := min(int64(len(p)), w.left)
			w.left -= n
			p = p[n:]
			if w.left == 0 {
				if w.state == inBody {
					w.state = atStart
				} else {
					w.state = afterChunk
				}
			}
		default:
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				w.keep(p)
				return
			}
			line := p[:end]
			p = p[end+1:]
			if w.kept == 0 {
				body, ok := bytes.CutSuffix(line, []byte("\r"))
				w.line(body, ok, false)
				continue
			}
			w.keep(line)
			body, long, ok := w.partial[:w.kept], w.long, w.tail[wireTail-1] == '\r'
			if ok && !long {
				body = body[:len(body)-1]
			}
			w.kept, w.long = 0, false
			w.line(body, ok, long)
		}
	}
}

// keep remembers the beginning and the end of a torn line.
func (w *wire) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	n := copy(w.partial[w.kept:], p)
	w.kept += n
	w.long = w.long || n < len(p)
	if len(p) < wireTail {
		copy(w.tail[:], w.tail[len(p):])
		copy(w.tail[wireTail-len(p):], p)
	} else {
		copy(w.tail[:], p[len(p)-wireTail:])
	}
}

// line takes one line without its end; crlf tells whether that was CR LF. long: only the line's
// beginning is there.
func (w *wire) line(body []byte, crlf, long bool) {
	if w.state == atStart && len(body) == 0 {
		return // net/http allows empty lines before a request (RFC 9112 section 2.2)
	}
	if !crlf || bytes.IndexByte(body, '\r') >= 0 {
		w.fail("A line of the request does not end with CR LF.")
		return
	}
	switch w.state {
	case atStart:
		w.head = head{}
		w.state = inHead
		w.requestLine(body, long)
	case inHead:
		if len(body) == 0 {
			w.headEnds()
			return
		}
		w.field(body, long)
	case atChunk:
		w.chunk(body, long)
	case afterChunk:
		if len(body) != 0 {
			w.fail("A chunk of the body is longer than it says.")
			return
		}
		w.state = atChunk
	case inTrailer:
		if len(body) != 0 {
			w.fail("The request ends with trailers; they are not accepted.")
			return
		}
		w.state = atStart
	}
}

// requestLine notes an absolute target's authority and the version.
func (w *wire) requestLine(line []byte, long bool) {
	_, target, _ := bytes.Cut(line, []byte(" "))
	if i := bytes.Index(target, []byte("://")); i >= 0 && len(target) > 0 && target[0] != '/' {
		authority := target[i+3:]
		end := bytes.IndexAny(authority, "/?# ")
		if end < 0 {
			if long {
				w.fail("The request line is too long.")
				return
			}
			end = len(authority)
		}
		w.head.authority = string(authority[:end])
		if end == 0 {
			w.fail("The request target names no host.")
			return
		}
	}
	if long {
		line = w.tail[:wireTail-1]
	}
	w.head.http10 = !bytes.HasSuffix(line, []byte("HTTP/1.1"))
}

// field notes the fields that frame or address a request.
func (w *wire) field(line []byte, long bool) {
	if line[0] == ' ' || line[0] == '\t' {
		w.fail("A header is folded over several lines.")
		return
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		w.fail("A header line has no colon, or a very long name.")
		return
	}
	name := line[:colon]
	value := bytes.Trim(line[colon+1:], " \t")
	// Comparing by length first keeps this off the profile.
	switch colon {
	case len("Host"):
		if !bytes.EqualFold(name, []byte("Host")) {
			return
		}
		w.head.hosts++
		if w.head.authority != "" && (long || string(value) != w.head.authority) {
			w.fail("The request's target and its Host name different hosts.")
		}
	case len("Content-Length"):
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			return
		}
		w.head.lengths++
		n, ok := decimal(value)
		if !ok || long || w.head.lengths > 1 {
			w.fail("Content-Length is not one number.")
			return
		}
		w.head.length = n
	case len("Transfer-Encoding"):
		if !bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			return
		}
		w.head.codings++
		if long || w.head.codings > 1 || !strings.EqualFold(string(value), "chunked") {
			w.fail("Transfer-Encoding is more than chunked.")
		}
	}
}

// headEnds decides how the body is framed (RFC 9112 section 6.3).
func (w *wire) headEnds() {
	h := &w.head
	switch {
	case h.codings > 0 && h.lengths > 0:
		w.fail("The request has both Content-Length and Transfer-Encoding.")
	case h.codings > 0 && h.http10:
		w.fail("Transfer-Encoding needs HTTP/1.1.")
	case h.authority != "" && h.hosts != 1:
		w.fail("The request's target and its Host name different hosts.")
	case h.codings > 0:
		w.state = atChunk
	case h.length > 0:
		w.state, w.left = inBody, h.length
	default:
		w.state = atStart
	}
	if w.fault.Load() == nil {
		w.heads.Add(1)
	}
}

// chunk reads a chunk's size (RFC 9112 section 7.1). Extensions are skipped, as net/http does.
func (w *wire) chunk(line []byte, long bool) {
	size, _, _ := bytes.Cut(line, []byte(";"))
	size = bytes.TrimRight(size, " \t")
	n := int64(0)
	for _, c := range size {
		if !isHex(c) {
			n = -1
			break
		}
		n = n<<4 | int64(unhex(c))
	}
	if n < 0 || long || len(size) == 0 || len(size) > 15 {
		w.fail("A chunk of the body has no valid size.")
		return
	}
	if n == 0 {
		w.state = inTrailer
		return
	}
	w.state, w.left = inChunk, n
}

func (w *wire) fail(why string) {
	if w.fault.Load() == nil {
		w.fault.Store(&why)
	}
	w.state = notWatched
}

func decimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
