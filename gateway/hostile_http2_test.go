package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"postern/internal/keys"
)

// speaker2 speaks HTTP/2 frame by frame, also what no client would say.
type speaker2 struct {
	t       *testing.T
	conn    net.Conn
	framer  *http2.Framer
	decoder *hpack.Decoder
	next    uint32
}

// outcome2 is how a stream ended: with an answer, a reset, or the end of the connection.
type outcome2 struct {
	status  string
	code    string // of a problem
	id      string // X-Request-Id
	reset   bool
	refused bool // the connection ended
}

func (o outcome2) String() string {
	return fmt.Sprintf("status %q, code %q, reset %v, connection ended %v", o.status, o.code, o.reset, o.refused)
}

func speak2(t *testing.T, conn net.Conn) *speaker2 {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	s := &speaker2{t: t, conn: conn, framer: http2.NewFramer(conn, conn), decoder: hpack.NewDecoder(4096, nil), next: 1}
	s.framer.AllowIllegalWrites = true
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := s.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return s
}

// request2 is what one stream says. Trailers are sent after the body if there are any.
type request2 struct {
	fields   []hpack.HeaderField
	body     string
	trailers []hpack.HeaderField
	open     bool // never end the stream
}

// pseudo2 are the pseudo header fields and a credential.
func pseudo2(method, authority, path string) []hpack.HeaderField {
	return []hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: authority}, {Name: ":path", Value: path},
		{Name: "x-api-key", Value: goodKey},
	}
}

func fields2(names ...string) []hpack.HeaderField {
	var list []hpack.HeaderField
	for i := 0; i < len(names); i += 2 {
		list = append(list, hpack.HeaderField{Name: names[i], Value: names[i+1]})
	}
	return list
}

func get2(path string, more ...string) request2 {
	return request2{fields: append(pseudo2("GET", "gw", path), fields2(more...)...)}
}

func post2(body string, more ...string) request2 {
	return request2{fields: append(pseudo2("POST", "gw", "/a"), fields2(more...)...), body: body}
}

func encode2(fields []hpack.HeaderField) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range fields {
		_ = e.WriteField(f)
	}
	return b.Bytes()
}

// headers writes a header block in as many frames as it needs.
func (s *speaker2) headers(stream uint32, fields []hpack.HeaderField, end bool) {
	block := encode2(fields)
	const most = 16 << 10
	first := block[:min(len(block), most)]
	block = block[len(first):]
	err := s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(len(block), most)]
		block = block[len(part):]
		err = s.framer.WriteContinuation(stream, len(block) == 0, part)
	}
	if err != nil {
		s.t.Logf("write headers: %v", err) // the server may have hung up; what it says counts
	}
}

// do sends a request on a stream of its own and follows it to its end.
func (s *speaker2) do(q request2) outcome2 {
	s.t.Helper()
	stream := s.next
	s.next += 2
	s.headers(stream, q.fields, q.body == "" && q.trailers == nil && !q.open)
	if q.body != "" {
		_ = s.framer.WriteData(stream, q.trailers == nil && !q.open, []byte(q.body))
	}
	if q.trailers != nil {
		s.headers(stream, q.trailers, true)
	}
	var o outcome2
	var body bytes.Buffer
	for {
		f, err := s.framer.ReadFrame()
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				s.t.Fatalf("no answer: %v", o)
			}
			o.refused = true
			return o
		}
		end := false
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = s.framer.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			fields, err := s.decoder.DecodeFull(f.HeaderBlockFragment())
			if err != nil || f.StreamID != stream {
				s.t.Fatalf("odd headers on stream %d: %v", f.StreamID, err)
			}
			for _, field := range fields {
				switch field.Name {
				case ":status":
					o.status = field.Value
				case "x-request-id":
					o.id = field.Value
				}
			}
			end = f.StreamEnded()
		case *http2.DataFrame:
			body.Write(f.Data())
			end = f.StreamEnded()
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				o.reset = true
				end = true
			}
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				o.refused = true
				return o
			}
		}
		if end {
			var p struct{ Code string }
			_ = json.Unmarshal(body.Bytes(), &p)
			o.code = p.Code
			return o
		}
	}
}

var hostileHTTP2 = []struct {
	name string
	request2
	want keys.Code // byParser: no request for the gateway at all
}{
	{"CONNECT", request2{fields: fields2(":method", "CONNECT", ":authority", "gw:80", "x-api-key", goodKey), body: smuggled}, keys.BadRequest},
	{"CONNECT, stream left open", request2{fields: fields2(":method", "CONNECT", ":authority", "gw", "x-api-key", goodKey), body: smuggled, open: true}, keys.BadRequest},
	{"CONNECT with path", request2{fields: pseudo2("CONNECT", "gw", "/a"), body: smuggled}, byParser},
	{"extended CONNECT", request2{fields: append(fields2(":protocol", "websocket"), pseudo2("CONNECT", "gw", "/ws/")...)}, byParser},
	{"TRACE", request2{fields: pseudo2("TRACE", "gw", "/a")}, keys.BadRequest},
	{"lower case method", request2{fields: pseudo2("get", "gw", "/a")}, keys.BadRequest},
	{"PRI", request2{fields: pseudo2("PRI", "gw", "/a")}, keys.BadRequest},
	{"unknown method", request2{fields: pseudo2("FOO", "gw", "/a")}, keys.BadRequest},
	{"method with a request in it", request2{fields: pseudo2("GET /admin/x HTTP/1.1\r\nHost: gw\r\n\r\nGET", "gw", "/a")}, byParser},
	{"empty method", request2{fields: pseudo2("", "gw", "/a")}, byParser},
	{"two methods", request2{fields: append(fields2(":method", "GET"), pseudo2("POST", "gw", "/a")...)}, byParser},
	{"two paths", request2{fields: append(fields2(":path", "/admin/a"), pseudo2("GET", "gw", "/a")...)}, byParser},
	{"pseudo after regular", request2{fields: append(pseudo2("GET", "gw", "/a"), fields2(":path", "/admin/a")...)}, byParser},
	{"unknown pseudo", request2{fields: append(fields2(":evil", "x"), pseudo2("GET", "gw", "/a")...)}, byParser},
	{"odd scheme", request2{fields: fields2(":method", "GET", ":scheme", "ftp", ":authority", "gw", ":path", "/a", "x-api-key", goodKey)}, byParser},

	{"no authority", request2{fields: fields2(":method", "GET", ":scheme", "https", ":path", "/a", "x-api-key", goodKey)}, keys.BadRequest},
	{"Host differs", get2("/a", "host", "evil"), keys.BadRequest},
	{"Host twice", get2("/a", "host", "gw", "host", "gw"), keys.BadRequest},
	{"Host twice without authority", request2{fields: fields2(":method", "GET", ":scheme", "https", ":path", "/a", "host", "gw", "host", "evil", "x-api-key", goodKey)}, keys.BadRequest},
	{"authority with user", request2{fields: pseudo2("GET", "u@gw", "/a")}, byParser},
	{"authority with path", request2{fields: pseudo2("GET", "gw/admin", "/a")}, keys.BadRequest},
	{"authority with line break", request2{fields: pseudo2("GET", "gw\r\nX-Evil: 1", "/a")}, byParser},
	{"authority list", request2{fields: pseudo2("GET", "gw,evil", "/a")}, keys.BadRequest},
	{"unknown host", request2{fields: pseudo2("GET", "evil", "/a")}, keys.RouteNotFound},

	{"absolute path", get2("http://gw/a"), keys.BadRequest},
	{"absolute path, other host", get2("https://evil/a"), keys.BadRequest},
	{"path without slash", get2("a"), byParser},
	{"empty path", get2(""), byParser},
	{"star", get2("*"), keys.BadRequest},
	{"options star", request2{fields: pseudo2("OPTIONS", "gw", "*")}, keys.BadRequest},
	{"path with a request in it", get2("/a HTTP/1.1\r\nHost: gw\r\n\r\nGET /admin/x"), byParser},
	{"path with space", get2("/a b"), keys.BadRequest},
	{"path with NUL", get2("/a\x00b"), byParser},
	{"dot dot", get2("/public/../admin/a"), keys.BadRequest},
	{"encoded dots", get2("/public/%2e%2E/admin/a"), keys.BadRequest},
	{"dots with parameter", get2("/public/..;x/admin/a"), keys.BadRequest},
	{"encoded slash", get2("/public%2fadmin"), keys.BadRequest},
	{"backslash", get2(`/public\..\admin`), keys.BadRequest},
	{"two slashes", get2("//evil/a"), keys.BadRequest},
	{"double encoding", get2("/public/%252e%252e/admin"), keys.BadRequest},
	{"fragment", get2("/public/#/../admin"), keys.BadRequest},
	{"query with space", get2("/a?b c"), keys.BadRequest},
	{"query with fragment", get2("/a?b#c"), keys.BadRequest},

	{"Connection", get2("/a", "connection", "close"), byParser},
	{"Upgrade", get2("/ws/", "upgrade", "websocket"), byParser},
	{"Transfer-Encoding", post2("0\r\n\r\n", "transfer-encoding", "chunked"), byParser},
	{"Keep-Alive", get2("/a", "keep-alive", "5"), byParser},
	{"Proxy-Connection", get2("/a", "proxy-connection", "close"), byParser},
	{"TE other than trailers", get2("/a", "te", "gzip"), byParser},
	{"HTTP2-Settings", get2("/a", "http2-settings", "AAMAAABk"), keys.BadRequest},
	{"length without body", get2("/a", "content-length", "3"), keys.BadRequest},
	{"lengths differ", post2("abc", "content-length", "3", "content-length", "4"), keys.BadRequest},
	{"length with sign", post2("abc", "content-length", "+3"), byParser},
	{"length not a number", post2("abc", "content-length", "3, 3"), byParser},
	{"announced trailer", request2{fields: post2("", "trailer", "x-t").fields, body: "abc", trailers: fields2("x-t", "v")}, keys.BadRequest},
	{"capital header", get2("/a", "X-Foo", "v"), byParser},
	{"header with line break", get2("/a", "x-foo", "a\r\nx-evil: 1"), byParser},
	{"header with NUL", get2("/a", "x-foo", "a\x00b"), byParser},
	{"header name with space", get2("/a", "x foo", "v"), byParser},
	{"header name with colon", get2("/a", "x-foo:evil", "v"), byParser},
	{"underscore", get2("/a", "x_postern_key_id", "key_1"), keys.BadRequest},
	{"dot", get2("/a", "x.postern.key.id", "key_1"), keys.BadRequest},
	{"two keys", get2("/a", "x-api-key", goodKey), keys.BadRequest},
	{"two authorizations", get2("/a", "authorization", "Bearer a", "authorization", "Bearer b"), keys.BadRequest},
	{"method override", get2("/reads", "x-http-method-override", "DELETE"), keys.BadRequest},
	{"expectation", post2("abc", "expect", "200-ok"), keys.BadRequest},
	{"method not taken", request2{fields: pseudo2("DELETE", "gw", "/reads")}, keys.MethodNotAllowed},
	{"33 KiB of headers", get2("/a", "cookie", strings.Repeat("x", 33<<10)), keys.HeadersTooLarge},
	{"200 KiB of headers", get2("/a", "cookie", strings.Repeat("x", 200<<10)), byParser},
	{"101 headers", func() request2 {
		q := get2("/a")
		for i := range 100 {
			q.fields = append(q.fields, hpack.HeaderField{Name: fmt.Sprintf("x-header-%d", i), Value: "v"})
		}
		return q
	}(), keys.HeadersTooLarge},
}

// TestHostileHTTP2 sends each request over a connection of its own. It is refused, by the parser
// or by the guard, and nothing of it reaches the upstream.
func TestHostileHTTP2(t *testing.T) {
	h, upstream := fortress(t)
	address := h.serveTLS()
	for _, tt := range hostileHTTP2 {
		t.Run(tt.name, func(t *testing.T) {
			o := speak2(t, dialTLS(t, address, "h2")).do(tt.request2)
			if tt.want == byParser {
				if !o.reset && !o.refused && (len(o.status) != 3 || o.status[0] != '4' || o.status == "401") {
					t.Errorf("got %v, want a refusal by the parser", o)
				}
			} else if o.status != fmt.Sprint(tt.want.Status()) || o.code != string(tt.want) || o.id == "" {
				t.Errorf("got %v, want %d %q with an id", o, tt.want.Status(), tt.want)
			}
			for _, a := range upstream.take() {
				t.Errorf("reached the upstream: %v %v", a, a.header)
			}
		})
	}
}

// TestTornHTTP2: a body that is not as long as its length said may have begun to flow upstream when
// that is found; it never looks complete there.
func TestTornHTTP2(t *testing.T) {
	for name, q := range map[string]request2{
		"shorter than its length": post2("abc", "content-length", "5"),
		"longer than its length":  post2("abcdef"+smuggled, "content-length", "3"),
	} {
		t.Run(name, func(t *testing.T) {
			h, upstream := fortress(t)
			if o := speak2(t, dialTLS(t, h.serveTLS(), "h2")).do(q); !o.reset && !o.refused && o.status != "400" {
				t.Errorf("got %v, want a refusal", o)
			}
			h.upstream.Close() // waits for what is under way
			for _, a := range upstream.take() {
				if !a.torn || strings.Contains(a.body, "smuggled") {
					t.Errorf("arrived as if complete: %v %q", a, a.body)
				}
			}
		})
	}
}

func TestHarmlessHTTP2(t *testing.T) {
	h, upstream := fortress(t)
	s := speak2(t, dialTLS(t, h.serveTLS(), "h2"))
	for _, tt := range []struct {
		name string
		request2
		want string
	}{
		{"plain", get2("/a?b=c"), "GET /a?b=c"},
		{"authority with port", request2{fields: pseudo2("GET", "GW:443", "/a")}, "GET /a"},
		{"Host beside an equal authority", get2("/a", "host", "gw"), "GET /a"},
		{"Host without authority", request2{fields: fields2(":method", "GET", ":scheme", "https", ":path", "/a", "host", "gw", "x-api-key", goodKey)}, "GET /a"},
		{"body", post2("abc"), "POST /a abc"},
		{"body with length", post2("abc", "content-length", "3"), "POST /a abc"},
		{"cookies apart", get2("/a", "cookie", "a=b", "cookie", "c=d"), "GET /a"},
		{"TE trailers", get2("/a", "te", "trailers"), "GET /a"},
		{"trailers nobody announced", request2{fields: post2("").fields, body: "abc", trailers: fields2("x-t", "v")}, "POST /a abc"},
		{"spoofed identity", get2("/a", "x-postern-tenant", "root", "x-real-ip", "10.0.0.1"), "GET /a"},
		{"encoded slash where allowed", get2("/open/a%2fb"), "GET /open/a%2Fb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if o := s.do(tt.request2); o.status != fmt.Sprint(http.StatusOK) {
				t.Fatalf("got %v, want 200", o)
			}
			seen := upstream.take()
			if len(seen) != 1 {
				t.Fatalf("arrived %d times, want once", len(seen))
			}
			a := seen[0]
			if got := strings.TrimSpace(a.method + " " + a.target + " " + a.body); got != tt.want {
				t.Errorf("arrived as %q, want %q", got, tt.want)
			}
			if a.header.Get("X-Real-Ip")+a.header.Get("X-T")+a.trailer.Get("X-T") != "" || a.header.Get("X-Postern-Tenant") == "root" {
				t.Errorf("arrived with %v %v", a.header, a.trailer)
			}
		})
	}
}

// TestHTTP2InTheClear: without TLS nobody speaks HTTP/2, neither by prior knowledge nor by upgrade.
func TestHTTP2InTheClear(t *testing.T) {
	h, upstream := fortress(t)
	conn := h.dial()
	s := speak2(t, conn)
	if o := s.do(get2("/a")); !o.refused && o.status != "400" {
		t.Errorf("got %v, want a refusal", o)
	}
	if seen := upstream.take(); len(seen) > 0 {
		t.Errorf("reached the upstream: %v", seen)
	}
}
