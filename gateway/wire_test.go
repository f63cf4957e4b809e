package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// scriptConn is a connection that reads from a reader.
type scriptConn struct {
	net.Conn
	io.Reader
}

func (c scriptConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

const plainHead = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

var wireCases = []struct {
	name, bytes string
	heads       int64  // before anything went wrong
	fault       string // part of the reason, "" for none
}{
	{"plain", plainHead, 1, ""},
	{"three in a row", plainHead + plainHead + plainHead, 3, ""},
	{"empty lines between", plainHead + "\r\n" + plainHead, 2, ""},
	{"length", "POST / HTTP/1.1\r\nHost: h\r\ncontent-LENGTH: 5\r\n\r\nab\r\ncGET / HTTP/1.1\r\n\r\n", 2, ""},
	{"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n" + plainHead, 2, ""},
	{"chunked in capitals", "POST / HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n" + plainHead, 2, ""},
	{"long header", "GET / HTTP/1.1\r\nCookie: " + strings.Repeat("x", 9000) + "\r\n\r\n" + plainHead, 2, ""},
	{"long target", "GET /" + strings.Repeat("x", 900) + " HTTP/1.1\r\n\r\n" + plainHead, 2, ""},
	{"long target with chunks", "POST /" + strings.Repeat("x", 900) + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1, ""},
	{"absolute target", "GET http://h:80/a HTTP/1.1\r\nHost: h:80\r\n\r\n", 1, ""},
	{"address in a query", "GET /?u=http://h/ HTTP/1.1\r\nHost: g\r\n\r\n", 1, ""},
	{"upgrade", "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n" + plainHead, 2, ""},
	{"half a head", "GET / HTTP/1.1\r\nHost: h\r\n", 0, ""},

	{"both framings", "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, "both"},
	{"both framings, other order", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 0, "both"},
	{"both framings, length 0", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 0, "both"},
	{"two equal lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", 0, "Content-Length"},
	{"list of lengths", "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na", 0, "Content-Length"},
	{"signed length", "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na", 0, "Content-Length"},
	{"empty length", "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", 0, "Content-Length"},
	{"huge length", "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 0, "Content-Length"},
	{"two codings", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, "Transfer-Encoding"},
	{"list of codings", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, "Transfer-Encoding"},
	{"identity", "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 0, "Transfer-Encoding"},
	{"coding with a vertical tab", "POST / HTTP/1.1\r\nTransfer-Encoding: \vchunked\r\n\r\n", 0, "Transfer-Encoding"},
	{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, "HTTP/1.1"},
	{"coding in HTTP/1.0 with a long target", "POST /" + strings.Repeat("x", 900) + " HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, "HTTP/1.1"},
	{"folded line", "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", 0, "folded"},
	{"folded length", "POST / HTTP/1.1\r\nContent-Length:\r\n 5\r\n\r\n", 0, ""},
	{"bare line feed", "GET / HTTP/1.1\nHost: h\n\n", 0, "CR LF"},
	{"bare line feed in a field", "GET / HTTP/1.1\r\nX: a\nContent-Length: 5\r\n\r\n", 0, "CR LF"},
	{"bare line feed after a long header", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 900) + "\n\r\n", 0, "CR LF"},
	{"bare line feed at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", 0, "CR LF"},
	{"carriage return within", "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", 0, "CR LF"},
	{"two carriage returns", "GET / HTTP/1.1\r\nX: a\r\r\n\r\n", 0, "CR LF"},
	{"no colon", "GET / HTTP/1.1\r\nX\r\n\r\n", 0, "colon"},
	{"other Host", "GET http://h/ HTTP/1.1\r\nHost: g\r\n\r\n", 0, "different hosts"},
	{"other port", "GET http://h:80/ HTTP/1.1\r\nHost: h\r\n\r\n", 0, "different hosts"},
	{"no Host", "GET http://h/ HTTP/1.1\r\n\r\n", 0, "different hosts"},
	{"empty Host", "GET http://h/ HTTP/1.1\r\nHost:\r\n\r\n", 0, "different hosts"},
	{"absolute without host", "GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", 0, "no host"},
	{"trailer", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", 1, "trailers"},
	{"chunk too long", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 1, "longer"},
	{"chunk without size", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", 1, "size"},
	{"chunk with 0x", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n", 1, "size"},
	{"negative chunk", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n", 1, "size"},
	{"huge chunk", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", 1, "size"},
	{"chunk ends with line feed", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n", 1, "CR LF"},
	{"after a fault", plainHead + "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n" + plainHead, 1, "folded"},
}

// TestWireFollows reads every case whole and torn in every way that reads can tear it.
func TestWireFollows(t *testing.T) {
	for _, tt := range wireCases {
		t.Run(tt.name, func(t *testing.T) {
			readers := map[string]io.Reader{
				"whole":     strings.NewReader(tt.bytes),
				"by bytes":  iotest.OneByteReader(strings.NewReader(tt.bytes)),
				"by halves": iotest.HalfReader(strings.NewReader(tt.bytes)),
			}
			for how, reader := range readers {
				w := watchConn(scriptConn{Reader: reader}).(*wire)
				var got bytes.Buffer
				if _, err := io.CopyBuffer(&got, struct{ io.Reader }{w}, make([]byte, 64)); err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if got.String() != tt.bytes {
					t.Errorf("%s: the wire changed the bytes", how)
				}
				fault := ""
				if f := w.fault.Load(); f != nil {
					fault = *f
				}
				if tt.name == "folded length" { // which of its two faults is found does not matter
					if fault == "" {
						t.Errorf("%s: no fault", how)
					}
					continue
				}
				if w.heads.Load() != tt.heads || (fault == "") != (tt.fault == "") || !strings.Contains(fault, tt.fault) {
					t.Errorf("%s: got %d heads, fault %q, want %d and %q", how, w.heads.Load(), fault, tt.heads, tt.fault)
				}
			}
		})
	}
}

func TestWireVerdict(t *testing.T) {
	w := watchConn(scriptConn{Reader: strings.NewReader(plainHead + plainHead)}).(*wire)
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{w}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, false, false} {
		if why := w.verdict(); (why == "") != want {
			t.Errorf("request %d: got %q, want accepted %v", i+1, why, want)
		}
	}
}

// FuzzWire: the wire and net/http agree about where requests begin and end, or the wire says that
// something is wrong.
func FuzzWire(f *testing.F) {
	for _, c := range wireCases {
		f.Add([]byte(c.bytes))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		w := watchConn(scriptConn{Reader: bytes.NewReader(sent)}).(*wire)
		r := bufio.NewReaderSize(struct{ io.Reader }{w}, 64)
		requests := int64(0)
		for {
			req, err := http.ReadRequest(r)
			if err == nil {
				requests++
				_, err = io.Copy(io.Discard, req.Body)
			}
			if w.fault.Load() != nil {
				return // refused from here on
			}
			if requests > w.heads.Load() {
				t.Fatalf("net/http reads %d requests of %q, the wire %d", requests, sent, w.heads.Load())
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return // net/http closes the connection
			}
		}
		if requests != w.heads.Load() {
			t.Fatalf("net/http reads %d requests of %q, the wire %d", requests, sent, w.heads.Load())
		}
	})
}
