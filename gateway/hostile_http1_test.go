package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/keys"
)

const smuggled = "GET /admin/smuggled HTTP/1.1\r\nHost: gw\r\nX-API-Key: " + goodKey + "\r\n\r\n"

// A refusal by net/http itself: its parser never hands the request over.
const byParser keys.Code = "(parser)"

var hostileHTTP1 = []struct {
	name, raw string
	want      keys.Code
}{
	// Methods.
	{"CONNECT", lines("CONNECT gw:80 HTTP/1.1", "Host: gw:80") + smuggled, keys.BadRequest},
	{"CONNECT with path", lines("CONNECT /a HTTP/1.1", "Host: gw") + smuggled, keys.BadRequest},
	{"TRACE", lines("TRACE /a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"TRACK", lines("TRACK /a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"lower case", lines("get /a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"mixed case", lines("Get /a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"unknown method", lines("FOO /a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"WebDAV", lines("PROPFIND /a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", keys.BadRequest},
	{"PRI as a method", lines("PRI /a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"method override", get1("/reads", "X-HTTP-Method-Override: DELETE"), keys.BadRequest},
	{"method override, other name", get1("/reads", "X-HTTP-Method: DELETE"), keys.BadRequest},
	{"method override, third name", get1("/reads", "x-method-override: DELETE"), keys.BadRequest},
	{"method not taken", lines("DELETE /reads HTTP/1.1", "Host: gw"), keys.MethodNotAllowed},
	{"options star", lines("OPTIONS * HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"get star", get1("*"), byParser},

	// Authority.
	{"no Host", lines("GET /a HTTP/1.1"), byParser},
	{"two Hosts", get1("/a", "Host: gw"), byParser},
	{"two different Hosts", get1("/a", "Host: evil"), byParser},
	{"empty Host", lines("GET /a HTTP/1.1", "Host:"), keys.BadRequest},
	{"empty Host, HTTP/1.0", lines("GET /a HTTP/1.0"), keys.BadRequest},
	{"Host with user", lines("GET /a HTTP/1.1", "Host: gw@evil"), byParser},
	{"Host with slash", lines("GET /a HTTP/1.1", "Host: gw/evil"), byParser},
	{"Host list", lines("GET /a HTTP/1.1", "Host: gw,evil"), keys.BadRequest},
	{"Host with empty port", lines("GET /a HTTP/1.1", "Host: gw:"), keys.BadRequest},
	{"Host with odd port", lines("GET /a HTTP/1.1", "Host: gw:0x50"), keys.BadRequest},
	{"Host with port too high", lines("GET /a HTTP/1.1", "Host: gw:65536"), keys.BadRequest},
	{"Host with two ports", lines("GET /a HTTP/1.1", "Host: gw:80:81"), keys.BadRequest},
	{"Host ends with a dot", lines("GET /a HTTP/1.1", "Host: gw."), keys.BadRequest},
	{"Host with escape", lines("GET /a HTTP/1.1", "Host: g%77"), keys.BadRequest},
	{"unknown host", lines("GET /a HTTP/1.1", "Host: evil"), keys.RouteNotFound},
	{"absolute target, other host", lines("GET http://gw/a HTTP/1.1", "Host: evil"), keys.BadRequest},
	{"absolute target, other host behind", lines("GET http://evil/a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"absolute target without Host", lines("GET http://gw/a HTTP/1.1", "Host:"), keys.BadRequest},
	{"absolute target with user", lines("GET http://u@gw/a HTTP/1.1", "Host: u@gw"), byParser},
	{"absolute target, odd scheme", lines("GET ftp://gw/a HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"absolute target without path", lines("GET http://gw HTTP/1.1", "Host: gw"), keys.BadRequest},
	{"target without slash", lines("GET a HTTP/1.1", "Host: gw"), byParser},
	{"target is a name", lines("GET gw:80 HTTP/1.1", "Host: gw"), keys.BadRequest},

	// Paths.
	{"dot dot", get1("/public/../admin/a"), keys.BadRequest},
	{"encoded dots", get1("/public/%2e%2e/admin/a"), keys.BadRequest},
	{"dots with parameter", get1("/public/..;/admin/a"), keys.BadRequest},
	{"encoded slash", get1("/public%2fadmin"), keys.BadRequest},
	{"encoded slash with dots where allowed", get1("/open/..%2Fadmin/a"), keys.BadRequest},
	{"encoded slash in the prefix", get1("/open%2Fa"), keys.BadRequest},
	{"backslash", get1(`/public\..\admin`), keys.BadRequest},
	{"encoded backslash", get1("/public%5c..%5cadmin"), keys.BadRequest},
	{"two slashes", get1("//admin/a"), keys.BadRequest},
	{"two slashes, as a host", get1("//evil/a"), keys.BadRequest},
	{"NUL", get1("/a%00b"), keys.BadRequest},
	{"CR LF in the path", get1("/a%0d%0aX-Evil:%201"), keys.BadRequest},
	{"double encoding", get1("/public/%252e%252e/admin"), keys.BadRequest},
	{"invalid UTF-8", get1("/%c0%ae%c0%ae/admin"), keys.BadRequest},
	{"broken escape", get1("/a%zz"), byParser},
	{"fragment", get1("/public/#/../admin"), keys.BadRequest},
	{"parameters hide a route", get1("/admin;x/a"), keys.BadRequest},
	{"5 KiB of path", get1("/" + strings.Repeat("a", 5000)), keys.BadRequest},
	{"fragment in the query", get1("/a?b#c"), keys.BadRequest},
	{"UTF-8 in the query", get1("/a?b=\xc3\xa9"), keys.BadRequest},
	{"space in the target", get1("/a b"), byParser},
	{"tab in the target", get1("/a\tb"), byParser},

	// Framing.
	{"both framings", post1("0\r\n\r\n"+smuggled, "Content-Length: 4", "Transfer-Encoding: chunked"), keys.BadRequest},
	{"both framings, other order", post1("0\r\n\r\n"+smuggled, "Transfer-Encoding: chunked", "Content-Length: 4"), keys.BadRequest},
	{"lengths differ", post1("abcdef", "Content-Length: 3", "Content-Length: 6"), byParser},
	{"lengths agree", post1("abc", "Content-Length: 3", "Content-Length: 3"), keys.BadRequest},
	{"length list", post1("abc", "Content-Length: 3, 3"), byParser},
	{"length with sign", post1("abc", "Content-Length: +3"), byParser},
	{"length not a number", post1("abc", "Content-Length: 3x"), byParser},
	{"two codings", post1("0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), byParser},
	{"coding list", post1("0\r\n\r\n", "Transfer-Encoding: chunked, identity"), byParser},
	{"identity coding", post1(smuggled, "Transfer-Encoding: identity"), byParser},
	{"coding with vertical tab", post1("0\r\n\r\n", "Transfer-Encoding: \vchunked"), byParser},
	{"space before colon", post1("0\r\n\r\n", "Transfer-Encoding : chunked"), byParser},
	{"coding by underscore", post1("", "Transfer_Encoding: chunked"), keys.BadRequest},
	{"coding in HTTP/1.0", lines("POST /a HTTP/1.0", "Host: gw", "Connection: keep-alive", "Transfer-Encoding: chunked") + "0\r\n\r\n" + smuggled, keys.BadRequest},
	{"folded header", get1("/a", "X-Fold: a", " b"), keys.BadRequest},
	{"folded coding", post1("0\r\n\r\n", "Transfer-Encoding:", " chunked"), keys.BadRequest},
	{"bare line feeds", strings.ReplaceAll(get1("/a"), "\r\n", "\n"), keys.BadRequest},
	{"bare line feed within", get1("/a", "X-A: b\nContent-Length: 5"), keys.BadRequest},
	{"carriage return in a value", get1("/a", "X-A: b\rX-B: c"), byParser},
	{"NUL in a value", get1("/a", "X-A: b\x00c"), byParser},
	{"announced trailer", post1("0\r\nX-T: v\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-T"), keys.BadRequest},
	{"unannounced trailer", post1("3\r\nabc\r\n0\r\nX-T: v\r\n\r\n", "Transfer-Encoding: chunked"), keys.BadRequest},
	{"HTTP/0.9", "GET /a\r\n", byParser},
	{"HTTP/3", lines("GET /a HTTP/3.0", "Host: gw"), byParser},
	{"expectation", post1("", "Content-Length: 3", "Expect: 200-ok"), byParser},

	// Upgrades.
	{"h2c", get1("/ws/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"), keys.BadRequest},
	{"h2c alone", get1("/ws/", "Connection: Upgrade", "Upgrade: h2c"), keys.BadRequest},
	{"HTTP2-Settings alone", get1("/a", "HTTP2-Settings: AAMAAABk"), keys.BadRequest},
	{"upgrade list", get1("/ws/", "Connection: Upgrade", "Upgrade: websocket, h2c", "Sec-WebSocket-Key: x"), keys.BadRequest},
	{"two upgrades", get1("/ws/", "Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c", "Sec-WebSocket-Key: x"), keys.BadRequest},
	{"upgrade in capitals", get1("/ws/", "Connection: Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: x"), keys.BadRequest},
	{"upgrade without Connection", get1("/ws/", "Upgrade: websocket", "Sec-WebSocket-Key: x"), keys.BadRequest},
	{"upgrade without key", get1("/ws/", "Connection: Upgrade", "Upgrade: websocket"), keys.BadRequest},
	{"upgrade with a body", get1("/ws/", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Content-Length: 3") + "abc", keys.BadRequest},
	{"upgrade by POST", post1("", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"), keys.BadRequest},
	{"upgrade in HTTP/1.0", lines("GET /ws/ HTTP/1.0", "Host: gw", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"), keys.BadRequest},
	{"upgrade where not allowed", get1("/a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"), keys.UpgradeNotAllowed},
	{"upgrade to TLS", get1("/ws/", "Connection: Upgrade", "Upgrade: TLS/1.2"), keys.BadRequest},

	// Headers.
	{"underscore", get1("/a", "X_Postern_Key_Id: key_1"), keys.BadRequest},
	{"dot", get1("/a", "X.Postern.Key.Id: key_1"), keys.BadRequest},
	{"two keys", get1("/a", "X-API-Key: "+goodKey), keys.BadRequest},
	{"two authorizations", get1("/a", "Authorization: Bearer a", "Authorization: Bearer b"), keys.BadRequest},
	{"two client ids", get1("/a", "X-Client-Id: a", "X-Client-Id: b"), keys.BadRequest},
	{"two content types", get1("/a", "Content-Type: a/b", "Content-Type: c/d"), keys.BadRequest},
	{"Connection names a header", get1("/a", "Connection: close, X-Postern-Key-Id"), keys.BadRequest},
	{"101 headers", get1("/a", manyHeaders(100)...), keys.HeadersTooLarge},
	{"33 KiB of headers", get1("/a", "Cookie: "+strings.Repeat("x", 33<<10)), keys.HeadersTooLarge},
	{"33 KiB of query", get1("/a?" + strings.Repeat("x", 33<<10)), keys.HeadersTooLarge},
	{"80 KiB of headers", get1("/a", "Cookie: "+strings.Repeat("x", 80<<10)), byParser},
}

// TestHostileHTTP1 sends each request over a connection of its own. It is answered as the table
// says, nothing of it reaches the upstream, and the connection of an ambiguous request closes.
func TestHostileHTTP1(t *testing.T) {
	h, upstream := fortress(t)
	secure := h.serveTLS()
	transports := []struct {
		name string
		dial func(*testing.T) net.Conn
	}{
		{"plain", func(*testing.T) net.Conn { return h.dial() }},
		{"TLS", func(t *testing.T) net.Conn { return dialTLS(t, secure, "http/1.1") }},
		{"TLS without ALPN", func(t *testing.T) net.Conn { return dialTLS(t, secure) }},
	}
	for _, over := range transports {
		t.Run(over.name, func(t *testing.T) {
			for _, tt := range hostileHTTP1 {
				t.Run(tt.name, func(t *testing.T) {
					testHostileHTTP1(t, over.dial(t), tt.raw, tt.want)
					for _, a := range upstream.take() {
						t.Errorf("reached the upstream: %v %v", a, a.header)
					}
				})
			}
		})
	}
}

func testHostileHTTP1(t *testing.T, conn net.Conn, raw string, want keys.Code) {
	t.Helper()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = io.WriteString(conn, raw) }() // the answer may come before all is sent
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		if want != byParser {
			t.Fatalf("read answer: %v", err)
		}
		return // the parser hung up without a word
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	a := makeAnswer(res, body)
	if want == byParser {
		if a.StatusCode < 400 || a.StatusCode == http.StatusUnauthorized {
			t.Errorf("got %d, want a refusal by the parser; %s", a.StatusCode, body)
		}
		return
	}
	wantCode(t, a, want)
	if a.Header.Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
	if want != keys.BadRequest && want != keys.HeadersTooLarge {
		return
	}
	if rest, _ := io.ReadAll(r); len(rest) > 0 || !a.Close {
		t.Errorf("the connection did not close (Connection: %v), %d more bytes", a.Header["Connection"], len(rest))
	}
}

// TestHarmlessHTTP1 is the other half: what looks odd but has one reading arrives, and arrives as
// it was decided about.
func TestHarmlessHTTP1(t *testing.T) {
	h, upstream := fortress(t)
	for _, tt := range []struct{ name, raw, want string }{
		{"plain", get1("/a?b=c&d"), "GET /a?b=c&d"},
		{"capital host with port", lines("GET /a HTTP/1.1", "Host: GW:8080"), "GET /a"},
		{"absolute target", lines("GET http://gw/a?b HTTP/1.1", "Host: gw"), "GET /a?b"},
		{"absolute target with port", lines("GET http://gw:80/a HTTP/1.1", "Host: gw:80"), "GET /a"},
		{"odd query", get1("/a?x=1;y=%zz&&=&"), "GET /a?x=1;y=%zz&&=&"},
		{"needless escapes", get1("/%61/%7e"), "GET /a/~"},
		{"encoded slash where allowed", get1("/open/a%2fb"), "GET /open/a%2Fb"},
		{"parameters", get1("/a;v=1"), "GET /a;v=1"},
		{"HTTP/1.0", lines("GET /a HTTP/1.0", "Host: gw"), "GET /a"},
		{"GET with a body", get1("/a", "Content-Length: 3") + "abc", "GET /a abc"},
		{"chunks", post1("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "POST /a abc"},
		{"length", post1("abc", "Content-Length: 3"), "POST /a abc"},
		{"expectation", post1("abc", "Content-Length: 3", "Expect: 100-continue"), "POST /a abc"},
		{"Connection options", get1("/a", "Connection: keep-alive, Upgrade, TE"), "GET /a"},
		{"99 headers", get1("/a", manyHeaders(98)...), "GET /a"},
		{"spoofed identity", get1("/a", "X-Postern-Tenant: root", "X-Forwarded-For: 10.0.0.1", "Forwarded: for=x",
			"X-Real-IP: 10.0.0.1", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "Proxy: evil"), "GET /a"},
		{"spoofed identity on a public route", get1("/public/a", "X-Postern-Tenant: root", "x-postern-anything: x",
			"X-Forwarded-Host: evil"), "GET /public/a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := h.dial()
			if _, err := io.WriteString(conn, tt.raw); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			a := readAnswer(t, r)
			for a.StatusCode == http.StatusContinue { // ours, and then the upstream's
				a = readAnswer(t, r)
			}
			wantStatus(t, a, http.StatusOK)
			seen := upstream.take()
			if len(seen) != 1 {
				t.Fatalf("arrived %d times, want once", len(seen))
			}
			came := seen[0]
			if got := strings.TrimSpace(came.method + " " + came.target + " " + came.body); got != tt.want {
				t.Errorf("arrived as %q, want %q", got, tt.want)
			}
			for name, values := range came.header {
				for _, v := range values {
					if strings.Contains(v, "root") || strings.Contains(v, "evil") || strings.Contains(v, "10.0.0.1") ||
						strings.Contains(v, goodKey) && !strings.HasPrefix(tt.want, "GET /public") || v == "/admin" {
						t.Errorf("%s: %s arrived", name, v)
					}
				}
			}
		})
	}
}

// TestConnectionAfterTrailers: trailers that come when the request has been let through already are
// not passed on, and nothing more is taken from its connection.
func TestConnectionAfterTrailers(t *testing.T) {
	h, upstream := fortress(t)
	conn := h.dial()
	r := bufio.NewReader(conn)
	head := post1("", "Transfer-Encoding: chunked", "Expect: 100-continue")
	for _, step := range []struct {
		send   string
		status int
	}{{head, http.StatusContinue}, {"0\r\nX-T: v\r\n\r\n", http.StatusOK}} {
		if _, err := io.WriteString(conn, step.send); err != nil {
			t.Fatal(err)
		}
		a := readAnswer(t, r)
		for step.status != http.StatusContinue && a.StatusCode == http.StatusContinue {
			a = readAnswer(t, r) // the upstream's
		}
		wantStatus(t, a, step.status)
	}
	if seen := upstream.take(); len(seen) != 1 || len(seen[0].trailer) > 0 {
		t.Errorf("arrived as %v, want one request without trailers", seen)
	}
	if _, err := io.WriteString(conn, get1("/a")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, readAnswer(t, r), keys.BadRequest)
	if seen := upstream.take(); len(seen) > 0 {
		t.Errorf("reached the upstream: %v", seen)
	}
}

// TestConnectionIsKept: refusals that say nothing about the connection leave it open, and requests
// that follow each other or a small body are told apart.
func TestConnectionIsKept(t *testing.T) {
	h, upstream := fortress(t)
	for name, conn := range map[string]net.Conn{
		"plain": h.dial(), "TLS": dialTLS(t, h.serveTLS(), "http/1.1"),
	} {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReader(conn)
			unknown := strings.Replace(post1("abc", "Content-Length: 3"), goodKey, "unknown", 1)
			pipelined := unknown + post1("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked") +
				get1("/a") + strings.Replace(get1("/a"), "gw", "evil", 1) + get1("/b")
			if _, err := io.WriteString(conn, pipelined); err != nil {
				t.Fatal(err)
			}
			for i, want := range []int{401, 200, 200, 404, 200} {
				if a := readAnswer(t, r); a.StatusCode != want {
					t.Fatalf("answer %d: got %d, want %d; %s", i+1, a.StatusCode, want, a.body)
				}
			}
			if n := len(upstream.take()); n != 3 {
				t.Errorf("%d requests arrived, want 3", n)
			}
		})
	}
}
