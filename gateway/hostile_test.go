package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"postern/internal/keys"
)

// reached records what arrives at the upstream of a hostile test.
type reached struct {
	mu   sync.Mutex
	seen []arrival
}

type arrival struct {
	method, target, host, body string
	header, trailer            http.Header
	torn                       bool // the body ended with an error
}

func (a arrival) String() string { return a.method + " " + a.host + a.target }

// ServeHTTP implements http.Handler.
func (u *reached) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	u.mu.Lock()
	u.seen = append(u.seen, arrival{r.Method, r.RequestURI, r.Host, string(body), r.Header.Clone(), r.Trailer.Clone(), err != nil})
	u.mu.Unlock()
	_, _ = io.WriteString(w, "upstream")
}

// take returns what arrived since it was last called.
func (u *reached) take() []arrival {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

// fortress is a gateway with routes of every kind that the guard's rules ask about, all of them to
// one recording upstream. The host routes and the credential are right in every hostile request, so
// that nothing but the rule at hand can stop it.
func fortress(t *testing.T) (*harness, *reached) {
	t.Helper()
	upstream := &reached{}
	h := start(t, upstream, func(o *Options) {
		base := o.Policy.Routes[0]
		add := func(name, path string, change func(*Route)) {
			r := base
			r.Name, r.Path = name, path
			change(&r)
			o.Policy.Routes = append(o.Policy.Routes, r)
		}
		o.Policy.Routes[0].Hosts = []string{"gw"}
		add("public", "/public/", func(r *Route) { r.Hosts, r.Public, r.Scopes = []string{"gw"}, true, nil })
		add("admin", "/admin/", func(r *Route) { r.Hosts = []string{"gw"} })
		add("slashes", "/open/", func(r *Route) { r.Hosts, r.AllowEncodedSlash = []string{"gw"}, true })
		add("sockets", "/ws/", func(r *Route) { r.Hosts, r.WebSocket = []string{"gw"}, true })
		add("reads", "/reads", func(r *Route) {
			r.Hosts, r.Scopes = []string{"gw"}, map[string][]keys.Scope{"GET": {}}
		})
	})
	return h, upstream
}

// testTLS is a configuration with httptest's certificate.
func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}
}

// serveTLS serves a harness's gateway a second time, with TLS, and returns the address.
func (h *harness) serveTLS() string {
	h.t.Helper()
	config := testTLS(h.t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	go func() { _ = h.gateway.Serve(l, config) }() // ended by the harness's Shutdown
	return l.Addr().String()
}

// dialTLS connects with the protocols named, trusting any certificate.
func dialTLS(t *testing.T, address string, protocols ...string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// lines joins request lines and adds a credential and the empty line.
func lines(l ...string) string {
	return strings.Join(l, "\r\n") + "\r\nX-API-Key: " + goodKey + "\r\n\r\n"
}

// get1 is a GET over HTTP/1.1 with more header lines.
func get1(target string, more ...string) string {
	return lines(append([]string{"GET " + target + " HTTP/1.1", "Host: gw"}, more...)...)
}

// post1 is a POST over HTTP/1.1 with framing lines and what follows the head.
func post1(rest string, more ...string) string {
	return lines(append([]string{"POST /a HTTP/1.1", "Host: gw"}, more...)...) + rest
}

func manyHeaders(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("X-Header-%d: v", i)
	}
	return list
}
