//go:build realservers

package main

import (
	"fmt"
	"strings"
)

const (
	missing = "missing_credentials"
	odd     = "bad_request"
)

// request11 writes a request with a Host; a body needs its own framing headers.
func request11(method, target, body string, headers ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: api.example.com\r\n" + headerLines(headers) + "\r\n" + body
}

func headerLines(headers []string) string {
	if len(headers) == 0 {
		return ""
	}
	return strings.Join(headers, "\r\n") + "\r\n"
}

func withLength(body string) string { return fmt.Sprintf("Content-Length: %d", len(body)) }

// replay is the mix of requests: what callers of a running API send, who know nothing of a gateway.
func replay() []replayed {
	var all []replayed
	add := func(name, would, raw string) { all = append(all, replayed{name: name, raw: raw, would: would}) }
	on := func(route, name, would, raw string) {
		all = append(all, replayed{name: name, raw: raw, route: route, would: would})
	}
	once := func(route, name, raw string) {
		all = append(all, replayed{name: name, raw: raw, route: route, once: true})
	}
	get := func(name, would, target string, headers ...string) {
		add(name, would, request11("GET", target, "", headers...))
	}

	for _, path := range []string{
		"/say/", "/say/a", "/say/a/b/c", "/say/a.b", "/say/.hidden", "/say/a..b", "/say/...", "/say/a;v=1/b", "/say/caf%C3%A9", "/say/%7euser", "/say/%41",
		"/say/a%20b", "/say/a+b", "/say/a%2Bb", "/say/!$&'()*,=:@", "/say/{id}", `/say/"quoted"`, "/say/a|b", "/say/caf\u00e9", "/say/100%25", "/say/a%3Fb",
		"/say/[1]", "/say/^x", "/say/<x>", "/say/a`b", "/files/a.txt", "/files/b.html", "/files/empty.txt", "/files/sub", "/files/sub/", "/files/none",
		"/files/with%20space.txt", "/files/caf%C3%A9.txt", "/files/plus+.txt", "/moved", "/found", "/nothing", "/teapot", "/broken",
		"/secret/x", "/untyped/x", "/limits/x", "/", "/" + strings.Repeat("long/", 500),
	} {
		get("path "+path, missing, path)
	}
	for _, query := range []string{
		"", "?", "?a", "?a=", "?=b", "?a=b&a=c", "?a=1;b=2", "?a=%zz", "?a=b?c=d", "?/../x", "?a=%00", "?a=//b", "?a[]=1&a[]=2", "?q={\"a\":1}", "?a+b", "?&&",
		"?" + strings.Repeat("x", 2000),
	} {
		get("query "+query, missing, "/say/q"+query)
	}
	for _, query := range []string{"?a=b#c", "?#", "?q=caf\u00e9", "?q=\xff"} {
		get("query "+query, odd, "/say/q"+query)
	}
	for _, path := range []string{
		"/say/../say/x", "/say/./x", "/say/a/..", "/say/a/.", "/say/%2e%2e/say/y", "/say/.%2E/say/z", "/../say/x", "/../../etc/passwd", "/%2e%2e/", "//", "//say//x", "/say//x",
		"/say/x//", "///say/x", "/say/a%2Fb", "/say/a%2fb", "/say%2Fx", "/say/a%2F%2Fb", "/say/..%2Fx", "/say/..;/x", "/say/.;/x", "/say/..;a=b/x", "/say/..%3B/x",
		`/say/a\b`, `/say\x`, "/say/a%5Cb", "/say/..%5C..%5Cx", "/say/%00", "/say/a%00.html", "/say/a%0Ab", "/say/a%0D%0AX:%20y", "/say/%09", "/say/%7F", "/say/a#b", "/say/#",
		"/say/#/../x", "/say/%252e%252e/x", "/say/%252Fx", "/say/%2541", "/say/%25u002e", "/say/%FF", "/say/%C0%AE%C0%AE/x", "/say/%ED%A0%80", "/say/\xff\xfe", "/say/%C2%85",
		"/say/..%20/x", "/say/\uff0e\uff0e/x", "/files/a%252fb.txt", "/files/../files/a.txt", "/files//a.txt", "/files/sub/../a.txt", "/files/sub/..", "/files/./a.txt",
		"/say/" + strings.Repeat("long/", 900), `/say//{id}`, "/say/../say/caf\u00e9",
	} {
		get("odd path "+path, odd, path)
	}
	for _, path := range []string{"/files/a.txt", "/files/../files/a.txt", "/files//a.txt", "/files/none", "/moved", "/files/sub", "/say/x", "/gz/a.txt"} {
		would := missing
		if strings.Contains(path, "//") || strings.Contains(path, "..") {
			would = odd
		}
		add("HEAD "+path, would, request11("HEAD", path, ""))
	}

	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		body := `{"method":"` + method + `"}`
		add(method+" with a length", missing, request11(method, "/echo/x", body, withLength(body), "Content-Type: application/json"))
		add(method+" in chunks", missing, request11(method, "/echo/x", "3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
		add(method+" to a file", missing, request11(method, "/files/a.txt", ""))
		add(method+" with a body that nobody reads", missing, request11(method, "/say/x", body, withLength(body)))
	}
	for _, method := range []string{"PROPFIND", "REPORT", "LOCK", "MKCOL", "SEARCH", "PURGE", "LINK", "QUERY", "VERSION-CONTROL", "X_CUSTOM"} {
		add(method, odd, request11(method, "/say/dav", ""))
	}
	add("PROPFIND with a body", odd, request11("PROPFIND", "/echo/dav", "<x/>", withLength("<x/>")))
	add("long body", "body_too_large", request11("POST", "/echo/long", strings.Repeat("x", 1025), "Content-Length: 1025"))
	add("long body in chunks", missing, request11("POST", "/echo/long", "800\r\n"+strings.Repeat("y", 2048)+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
	add("long body in chunks with a key", "body_too_large", request11("POST", "/echo/long", "800\r\n"+strings.Repeat("y", 2048)+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "X-API-Key: KEY"))
	add("expectation", missing, request11("POST", "/echo/e", "abc", "Content-Length: 3", "Expect: 100-continue"))

	for _, h := range []string{"bytes=0-9", "bytes=5-", "bytes=-7", "bytes=0-0", "bytes=990-2000", "bytes=5000-", "bytes=x", "lines=1-2"} { // one range each: of several, nginx makes up the boundary
		get("range "+h, missing, "/files/a.txt", "Range: "+h)
	}
	get("range of an odd path", odd, "/files//a.txt", "Range: bytes=1-3")
	get("range with If-Range", missing, "/files/a.txt", "Range: bytes=1-3", `If-Range: "nothing"`)
	for _, h := range []string{
		"If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT", "If-Modified-Since: Thu, 01 Jan 2026 03:04:05 GMT", "If-Unmodified-Since: Thu, 01 Jan 2026 03:04:05 GMT",
		`If-None-Match: "x"`, "If-None-Match: *", `If-Match: "x"`, "If-Match: *", "If-Modified-Since: nonsense",
	} {
		get("conditional "+h, missing, "/files/a.txt", h)
	}
	get("gzip", missing, "/gz/a.txt", "Accept-Encoding: gzip")
	get("no gzip", missing, "/gz/a.txt")
	get("gzip and trailers", missing, "/gz/a.txt", "Accept-Encoding: gzip", "TE: trailers", "Connection: TE")
	get("gzip of an odd path", odd, "/gz/./a.txt", "Accept-Encoding: gzip")

	for name, headers := range map[string][]string{
		"their own bearer":      {"Authorization: Bearer their-token"},
		"their own basic":       {"Authorization: Basic dXNlcjpwYXNz"},
		"their own key":         {"X-API-Key: their-key"},
		"their own scheme":      {"Authorization: Digest username=x"},
		"cookies":               {"Cookie: a=b; c=d"},
		"two cookies":           {"Cookie: a=b", "Cookie: c=d"},
		"no agent":              {"Accept: */*"},
		"agent":                 {"User-Agent: curl/8"},
		"empty header":          {"X-Empty:"},
		"close":                 {"Connection: close"},
		"keep-alive":            {"Connection: keep-alive", "Keep-Alive: timeout=5"},
		"spaces around a value": {"X-A:    b   "},
	} {
		would := missing
		switch name {
		case "their own bearer", "their own basic", "their own key":
			would = "invalid_credentials"
		}
		get(name, would, "/say/h", headers...)
	}
	get("claimed identity", missing, "/files/a.txt", "X-Postern-Key-Id: key_forged")
	get("their own request id and trace", missing, "/theirs/x", "X-Request-Id: their-id", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	get("their own request id and a broken trace", missing, "/theirs/x", "X-Request-Id: their id", "traceparent: nonsense")
	for name, headers := range map[string][]string{
		"underscore":               {"X_Foo: a"},
		"dot":                      {"X.Foo: a"},
		"other characters":         {"X~Foo: a", "X!Bar: b"},
		"identity with underscore": {"X_Postern_Key_Id: key_forged"},
		"identity with tilde":      {"X~Postern~Key~Id: key_forged"},
		"two keys":                 {"X-API-Key: a", "X-API-Key: b"},
		"two content types":        {"Content-Type: a/b", "Content-Type: c/d"},
		"method override":          {"X-HTTP-Method-Override: DELETE"},
		"two credentials":          {"X-API-Key: KEY", "Authorization: Bearer KEY"},
	} {
		get(name, odd, "/files/a.txt", headers...)
	}
	many := make([]string, 110)
	for i := range many {
		many[i] = fmt.Sprintf("X-Header-%d: v", i)
	}
	get("110 headers", "headers_too_large", "/say/h", many...)

	add("HTTP/1.0", missing, "GET /say/old HTTP/1.0\r\nHost: api.example.com\r\n\r\n")
	add("HTTP/1.0 kept", missing, "GET /files/a.txt HTTP/1.0\r\nHost: api.example.com\r\nConnection: keep-alive\r\n\r\n")
	add("HTTP/1.0 with a body", missing, "POST /echo/old HTTP/1.0\r\nHost: api.example.com\r\nContent-Length: 3\r\n\r\nabc")
	add("HTTP/1.0 without Host", odd, "GET /files/a.txt HTTP/1.0\r\n\r\n")
	add("HTTP/1.0 without Host, odd path", odd, "GET /files//a.txt HTTP/1.0\r\n\r\n")
	add("HEAD in HTTP/1.0", missing, "HEAD /files/a.txt HTTP/1.0\r\nHost: api.example.com\r\n\r\n")
	add("absolute target", missing, "GET http://api.example.com/files/a.txt HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	add("absolute target, odd path", odd, "GET http://api.example.com/files/./a.txt HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
	add("host with port and capitals", missing, "GET /say/host HTTP/1.1\r\nHost: API.example.com:8080\r\n\r\n")
	add("upgrade", "upgrade_not_allowed", request11("GET", "/files/a.txt", "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"))

	get("good key", "", "/files/a.txt", "X-API-Key: KEY")
	get("good key as bearer", "", "/files/b.html", "Authorization: Bearer KEY")
	get("good key, their limits", "", "/limits/x", "X-API-Key: KEY")
	get("good key, odd path", odd, "/files//a.txt", "X-API-Key: KEY")
	get("revoked key", "credential_revoked", "/files/a.txt", "X-API-Key: GONE")
	add("scope missing", "insufficient_scope", request11("POST", "/echo/x", "abc", "Content-Length: 3", "X-API-Key: READER"))
	add("method not taken", "method_not_allowed", request11("DELETE", "/files/a.txt", "", "X-API-Key: KEY"))
	for _, step := range []string{"first", "second"} {
		once("main", "limit, "+step, request11("GET", "/files/a.txt", "", "X-API-Key: TINY"))
		get("limit, odd after the "+step, odd, "/files//a.txt", "X-API-Key: TINY")
	}
	get("limit, third", "rate_limited", "/files/a.txt", "X-API-Key: TINY")
	on("elsewhere", "no key, other address", missing, request11("GET", "/files/far/index.html", ""))
	on("elsewhere", "other address", "ip_not_allowed", request11("GET", "/files/far/", "", "User-Agent: x", "X-API-Key: READER", "X-A: b"))
	once("open", "public, first", request11("GET", "/say/open/x", ""))
	once("open", "public, second", request11("GET", "/say/open/x", ""))
	on("open", "public, third", "rate_limited", request11("GET", "/say/open/x", ""))
	on("cross", "preflight", "", request11("OPTIONS", "/cross/x", "", "Origin: https://theirs.example", "Access-Control-Request-Method: POST"))
	on("cross", "of an origin", "", request11("GET", "/cross/x", "", "Origin: https://theirs.example"))
	return all
}
