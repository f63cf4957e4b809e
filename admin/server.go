package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/internal/keys"
)

// server answers one listener. It is immutable after New but for the failures it counts.
type server struct {
	Options
	mux      *http.ServeMux
	origins  *http.CrossOriginProtection
	failures *keys.Failures
	document []byte // /openapi.json
}

// New returns the admin listener's handler. It fails when an option that is required is missing or
// a row of the route table is incomplete. The handler is safe for concurrent use.
func New(o Options) (http.Handler, error) {
	s, err := newServer(o)
	if err != nil {
		return nil, err
	}
	if s.document, err = mount(s, s.allRoutes()); err != nil {
		return nil, fmt.Errorf("build admin API: %w", err)
	}
	return s, nil
}

// Probes returns a handler of /livez, /readyz and /metrics alone, for a listener of their own.
// It needs Health and Metrics and panics without them.
func Probes(o Options) http.Handler {
	s, err := newServer(o)
	if err == nil {
		_, err = mount(s, s.probeRoutes())
	}
	if err != nil {
		panic(fmt.Sprintf("build probes: %v", err))
	}
	return s
}

func newServer(o Options) (*server, error) {
	if o.Health == nil || o.Metrics == nil {
		return nil, errors.New("admin options: Health and Metrics are required")
	}
	if o.Registry != nil && o.Fleet == nil {
		return nil, errors.New("admin options: with a Registry, Fleet is required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Contact == nil {
		o.Contact = func() keys.Contact { return keys.Contact{} }
	}
	if o.Client == nil {
		o.Client = peer
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &server{
		Options:  o,
		mux:      http.NewServeMux(),
		origins:  http.NewCrossOriginProtection(),
		failures: keys.NewFailures(maxFailures),
	}
	s.mux.HandleFunc("/", s.nowhere)
	return s, nil
}

// ServeHTTP gives the request its id, keeps the promises that hold for every answer (headers, a
// problem instead of a torn connection when a handler panics, one log line) and hands it on.
func (s *server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	start := s.Now()
	c := &call{id: newRequestID(), address: s.Client(r), contact: s.Contact()}
	c.session, _ = sessionText(r) // where several are refused, signIn does
	r = r.WithContext(withCall(r.Context(), c))
	w := &recorder{ResponseWriter: rw}
	setHeaders(w.Header(), c.id)
	expectBody(w, r)
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				s.log(r, c, w.status, start)
				panic(v)
			}
			c.cause = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			if w.status != 0 {
				s.log(r, c, w.status, start)
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
			writeProblem(w, r, &problem{code: internalError})
		}
		s.log(r, c, w.status, start)
	}()
	s.serve(w, r)
}

// serve is what happens before a route is chosen.
//
// What a browser sends by itself is bound to our host: its cookie by the prefix and SameSite, changes by
// CrossOriginProtection, and both by the check of Host against DNS rebinding, see hosted. A request with
// an admin token needs none of it: no page holds one that is not ours.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if err := s.origins.Check(r); err != nil {
		writeProblem(w, r, &problem{code: crossOrigin, detail: "A page of another origin may not change anything here."})
		return
	}
	if !s.hosted(r) {
		writeProblem(w, r, &problem{code: crossOrigin, detail: "The request names a host that is not this server's.",
			hint: "Use the address under admin.public_url, and let a proxy before it pass the Host header on."})
		return
	}
	if limit := bodyLimit(r); r.ContentLength > limit {
		writeProblem(w, r, bodyTooLarge(limit))
		return
	}
	// ServeMux would redirect an unclean path; a client that sends one is mistaken, and a
	// redirected POST loses its body.
	if !clean(r.URL.Path) {
		s.nowhere(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// expectBody lets nobody hold a connection open with a body that does not come: it has bodyTimeout
// to arrive, and an answer given before it was read is sent at once and ends the connection.
// (net/http would otherwise wait for the body before it sends the answer.) readBody takes both back.
func expectBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	if r.ProtoMajor == 1 { // HTTP/2 resets the stream alone
		w.Header().Set("Connection", "close")
	}
	// Best effort: a writer without deadlines is a test's.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
}

// nowhere answers what no route matches: 405 when the path has other methods, else 404.
func (s *server) nowhere(w http.ResponseWriter, r *http.Request) {
	var allow []string
	if clean(r.URL.Path) {
		for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			probe := *r
			probe.Method = m
			if _, pattern := s.mux.Handler(&probe); pattern != "/" && pattern != "" {
				allow = append(allow, m)
			}
		}
	}
	if len(allow) > 0 && !slices.Contains(allow, r.Method) {
		w.Header().Set("Allow", strings.Join(allow, ", "))
		writeProblem(w, r, &problem{code: methodNotAllowed, detail: "This path does not take the method.", hint: "It takes " + strings.Join(allow, ", ") + "."})
		return
	}
	p := &problem{code: notFound, detail: "There is nothing at this path.", hint: "/openapi.json lists what is here."}
	if s.Registry == nil && (r.URL.Path == "/v1" || strings.HasPrefix(r.URL.Path, "/v1/")) {
		p.detail = "Keys are declared in the file; there is no admin API with store: none."
		p.hint = "Edit the file, which is then read again, or set store: sqlite:postern.db and restart."
	}
	writeProblem(w, r, p)
}

// clean tells whether ServeMux takes the path as it is.
func clean(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	c := path.Clean(p)
	if c != "/" && strings.HasSuffix(p, "/") {
		c += "/"
	}
	return c == p
}

// setHeaders sets what every answer carries. Nothing here is for display in a browser, so nothing
// may be loaded, framed, sniffed, cached or told to other sites.
func setHeaders(h http.Header, id string) {
	h.Set("X-Request-Id", id)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// log writes one line: at debug for what went as it should, with the cause where we failed. It
// names the route, never the path or query, because people paste secrets into both.
func (s *server) log(r *http.Request, c *call, status int, start time.Time) {
	level, message := slog.LevelDebug, "admin request"
	if c.cause != nil && r.Context().Err() == nil {
		level, message = slog.LevelError, "admin request failed"
	}
	attrs := []slog.Attr{
		slog.String("request_id", c.id),
		slog.String("method", r.Method),
		slog.String("route", r.Pattern),
		slog.Int("status", status),
		slog.Duration("duration", s.Now().Sub(start)),
		slog.String("address", c.address.String()),
	}
	if c.actor.ID != "" {
		attrs = append(attrs, slog.String("actor", c.actor.ID))
	}
	if c.cause != nil {
		attrs = append(attrs, slog.String("cause", c.cause.Error()))
	}
	s.Log.LogAttrs(r.Context(), level, message, attrs...)
}

// newRequestID returns a time-ordered UUID. An id sent by the client is not taken over: it would
// stand in the audit trail.
func newRequestID() string { return uuid.Must(uuid.NewV7()).String() }

// peer returns the address of the other end of the connection; the zero Addr where there is none.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// recorder remembers the status that was sent.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
