package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"postern/internal/keys"
)

// Rules of this file: it is the one place where "no" becomes HTTP. Every refusal is a problem of
// RFC 9457, is never cached, and tells the next step. What is said depends on the code and on what
// the caller sent or proved himself, never on what exists here.

// refusal is a "no". Zero fields mean that there is nothing to say. A refusal that was handed out
// is not changed any more.
type refusal struct {
	decision   keys.Decision // Detail and Hint "" mean the usual texts of the code
	closeConn  bool
	retryAfter time.Duration // for 429 and 503
	allow      string        // for 405
	scopes     []keys.Scope  // what is missing, for insufficient_scope
	api        keys.APIName  // likewise
	limits     []limitState  // for 429: the limits that have no room
}

// limitState is one limit that has no room.
type limitState struct {
	name       string // level-window, as in credential-day
	limit      int64
	window     string // as in s, 10s, day
	used       int64
	retryAfter time.Duration
}

// refuse makes the refusal of a code with its usual texts.
func refuse(code keys.Code) *refusal {
	return &refusal{decision: keys.Decision{Code: code}}
}

// refuser writes refusals. It is immutable and safe for concurrent use.
type refuser struct {
	contact keys.Contact // who can help with what a caller may not change himself
}

// problem is the body (RFC 9457 section 3). The members from code on are ours.
type problem struct {
	Type         string         `json:"type"`
	Title        string         `json:"title"`
	Status       int            `json:"status"`
	Detail       string         `json:"detail,omitempty"`
	Instance     string         `json:"instance,omitempty"`
	Code         keys.Code      `json:"code"`
	RequestID    string         `json:"request_id"`
	Hint         string         `json:"hint,omitempty"`
	MissingAPI   keys.APIName   `json:"missing_api,omitempty"`
	MissingScope []keys.Scope   `json:"missing_scopes,omitempty"`
	RetryAfterMS *int64         `json:"retry_after_ms,omitempty"`
	Limits       []problemLimit `json:"limits,omitempty"`
	Contact      *contact       `json:"contact,omitempty"`
}

type problemLimit struct {
	Name         string `json:"name"`
	Limit        int64  `json:"limit"`
	Window       string `json:"window"`
	Used         int64  `json:"used"`
	RetryAfterMS int64  `json:"retry_after_ms"`
}

type contact struct {
	Text string `json:"text,omitempty"`
	URL  string `json:"url,omitempty"`
}

// write answers r with x, completely. rt is the route, nil before routing: challenges, hints and
// CORS come from it. Headers that w holds already stay, but for those that describe another body.
func (f *refuser) write(w http.ResponseWriter, r *http.Request, requestID string, rt *route, x *refusal) {
	code := x.decision.Code
	status := code.Status()
	words := wordsOf(code)
	p := problem{
		Type:         "urn:postern:problem:" + string(code),
		Title:        words.title,
		Status:       status,
		Detail:       orElse(x.decision.Detail, words.detail),
		Instance:     instance(r),
		Code:         code,
		RequestID:    requestID,
		Hint:         orElse(x.decision.Hint, words.hint),
		MissingAPI:   x.api,
		MissingScope: x.scopes,
	}
	h := w.Header()
	for _, name := range [...]string{"Content-Encoding", "Content-Range", "Etag", "Last-Modified", "Trailer", "Transfer-Encoding"} {
		delete(h, name)
	}
	if rt != nil {
		rt.cors.decorate(h, r)
	}
	switch status {
	case http.StatusUnauthorized:
		if rt != nil {
			h["Www-Authenticate"] = challengesFor(rt.challenges, code)
			if code == keys.MissingCredentials && x.decision.Hint == "" {
				p.Hint = rt.howTo
			}
		}
	case http.StatusForbidden:
		if code == keys.InsufficientScope && rt != nil && rt.carriers.bearer {
			h.Set("Www-Authenticate", scopeChallenge(x.scopes))
		}
	case http.StatusMethodNotAllowed:
		h.Set("Allow", x.allow)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", retrySeconds(x.retryAfter))
		if status == http.StatusTooManyRequests || x.retryAfter > 0 {
			ms := milliseconds(x.retryAfter)
			p.RetryAfterMS = &ms
		}
		for _, l := range x.limits {
			p.Limits = append(p.Limits, problemLimit{l.name, l.limit, l.window, l.used, milliseconds(l.retryAfter)})
		}
	}
	if words.contact && (f.contact.Text != "" || f.contact.URL != nil) {
		c := contact{Text: f.contact.Text}
		if f.contact.URL != nil {
			c.URL = f.contact.URL.String()
		}
		p.Contact = &c
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)               // hints are read by people in a terminal: <key>, not \u003ckey\u003e
	if err := encoder.Encode(&p); err != nil { // strings and numbers always can be
		text.Reset()
		text.WriteString(`{"title":"Internal error","status":500,"code":"internal_error"}`)
		status = http.StatusInternalServerError
	}
	body := text.Bytes()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", requestID)
	if r.ProtoMajor == 1 && x.closeConn {
		h.Set("Connection", "close")
	}
	if r.ContentLength != 0 {
		boundBody(w, r)
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the caller is gone; the access line says what he was told
	}
}

// What a refused caller may still send: net/http reads an unread body up to 256 KiB to its end, so
// that the connection can be used again, and waits for it. Small bodies that come at once are
// worth that; everything else costs the connection.
const (
	smallBody     = 64 << 10
	smallBodyTime = time.Second
)

// boundBody keeps an unread body from holding the connection.
func boundBody(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 {
		return // the stream is reset, the connection lives on
	}
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		w.Header().Set("Connection", "close")
	}
	// An error means a test's recorder; the listener's own connections can all do it.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(smallBodyTime))
}

// instance is the path as the caller sent it, without query, as a URI reference.
func instance(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == "" || path[0] != '/' {
		return "" // a target with a host or none; not repeated
	}
	const most = 512
	if len(path) > most {
		path = path[:most]
	}
	clean := true
	for i := 0; i < len(path) && clean; i++ {
		clean = isPathByte(path[i]) || path[i] == '%'
	}
	if clean {
		return path
	}
	b := make([]byte, 0, len(path)+16)
	for i := 0; i < len(path); i++ {
		if c := path[i]; isPathByte(c) || c == '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// challengesFor adds to Bearer why the credential was refused (RFC 6750 section 3.1).
func challengesFor(challenges []string, code keys.Code) []string {
	if code == keys.MissingCredentials {
		return challenges
	}
	out := make([]string, len(challenges))
	for i, c := range challenges {
		if strings.HasPrefix(c, "Bearer ") {
			c += `, error="invalid_token"`
		}
		out[i] = c
	}
	return out
}

func scopeChallenge(missing []keys.Scope) string {
	c := `Bearer realm="postern", error="insufficient_scope"`
	if len(missing) == 0 {
		return c
	}
	names := make([]string, len(missing))
	for i, s := range missing {
		names[i] = string(s)
	}
	return c + `, scope="` + strings.Join(names, " ") + `"`
}

// retrySeconds is Retry-After: whole seconds, rounded up, at least 1.
func retrySeconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// milliseconds rounds up, so that waiting that long is enough.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

func orElse(s, usual string) string {
	if s == "" {
		return usual
	}
	return s
}
