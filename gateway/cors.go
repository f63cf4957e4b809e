package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cors is a CORS compiled (WHATWG Fetch, "CORS protocol"). A nil *cors is a route without.
type cors struct {
	any         bool // every origin
	origins     map[string]bool
	methods     string
	headers     string
	expose      string
	credentials bool
	maxAge      string // "" for none
}

// newCORS compiles the settings of a route that takes methods; nil without settings.
func newCORS(c *CORS, methods []string, carriers *carriers, legacy bool) (*cors, error) {
	if c == nil {
		return nil, nil
	}
	out := &cors{origins: make(map[string]bool), credentials: c.Credentials}
	for _, o := range c.Origins {
		out.any = out.any || o == "*"
		out.origins[o] = true
	}
	if len(c.Origins) == 0 {
		return nil, errors.New("cors names no origins")
	}
	if out.any && c.Credentials {
		return nil, errors.New(`cors allows credentials for the origin "*"; name the origins`)
	}
	if len(c.Methods) > 0 {
		methods = c.Methods
	}
	out.methods = strings.Join(methods, ", ")
	headers := c.Headers
	if len(headers) == 0 {
		headers = append(carriers.headerNames(), "Content-Type")
	}
	out.headers = strings.Join(headers, ", ")
	expose := slices.Clone(c.Expose)
	expose = append(expose, "X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy")
	if legacy {
		expose = append(expose, "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
	}
	out.expose = strings.Join(expose, ", ")
	if c.MaxAge > 0 {
		out.maxAge = strconv.FormatInt(int64(c.MaxAge/time.Second), 10)
	}
	return out, nil
}

// preflight answers r completely and returns true if it is a preflight. It comes before
// credentials, which browsers never send with one.
func (c *cors) preflight(w http.ResponseWriter, r *http.Request, requestID string) bool {
	if !c.isPreflight(r) {
		return false
	}
	h := w.Header()
	h.Set("X-Request-Id", requestID)
	h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	if c.origin(h, r) {
		h.Set("Access-Control-Allow-Methods", c.methods)
		h.Set("Access-Control-Allow-Headers", c.headers)
		if c.maxAge != "" {
			h.Set("Access-Control-Max-Age", c.maxAge)
		}
	}
	if r.ContentLength != 0 {
		boundBody(w, r)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (c *cors) isPreflight(r *http.Request) bool {
	return c != nil && r.Method == http.MethodOptions && first(r.Header["Origin"]) != "" &&
		first(r.Header["Access-Control-Request-Method"]) != ""
}

// decorate sets the CORS headers of an answer that is no preflight's. What the upstream said about
// origins is removed: the route's settings are the ones in force.
func (c *cors) decorate(h http.Header, r *http.Request) {
	if c == nil {
		return
	}
	for _, name := range [...]string{
		"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers",
		"Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age",
	} {
		delete(h, name)
	}
	if !c.any && !hasOption(h["Vary"], "Origin") && !hasOption(h["Vary"], "*") {
		h.Add("Vary", "Origin")
	}
	if c.origin(h, r) {
		h.Set("Access-Control-Expose-Headers", c.expose)
	}
}

// origin sets the headers that let r's origin read the answer, if it may.
func (c *cors) origin(h http.Header, r *http.Request) bool {
	origin := first(r.Header["Origin"])
	switch {
	case origin == "":
		return false
	case c.any:
		h.Set("Access-Control-Allow-Origin", "*")
		return true
	case !c.origins[origin]:
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if c.credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}
