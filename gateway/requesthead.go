package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// requestHead is scratch in which a request's head is put together.
type requestHead struct {
	text   []byte
	fields []headField
}

type headField struct {
	name   string
	values []string
}

// Errors of requests that must not be written. Names, not values, stand in errors: a value may be
// secret.
var (
	errControlInTarget = errors.New("request target has a control character")
	errBadMethod       = errors.New("request method is no token")
)

// write puts the head of a request without a body together, byte for byte as http.Transport does (a
// test compares). It refuses what http.Transport refuses.
func (h *requestHead) write(out *http.Request) error {
	if !httpguts.ValidHeaderFieldName(out.Method) {
		return errBadMethod
	}
	target := out.URL.RequestURI()
	if hasControl(target) {
		return errControlInTarget
	}
	host, err := hostField(out)
	if err != nil {
		return err
	}
	b := append(h.text[:0], out.Method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	if agent := first(out.Header["User-Agent"]); agent != "" {
		b = appendField(b, "User-Agent", agent)
	}
	switch out.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch: // servers expect it of these
		b = append(b, "Content-Length: 0\r\n"...)
	}
	if err := h.collect(out.Header); err != nil {
		return err
	}
	for _, f := range h.fields {
		for _, value := range f.values {
			b = appendField(b, f.name, value)
		}
	}
	h.text = append(b, "\r\n"...)
	return nil
}

// collect checks all fields and sorts those that are written by name.
func (h *requestHead) collect(header http.Header) error {
	h.fields = h.fields[:0]
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("invalid header name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("invalid value of header %q", name)
			}
		}
		switch name {
		case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer": // written, or not, by themselves
		default:
			h.fields = append(h.fields, headField{name, values})
		}
	}
	slices.SortFunc(h.fields, func(a, b headField) int { return cmp.Compare(a.name, b.name) })
	return nil
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, textproto.TrimString(value)...)
	return append(b, "\r\n"...)
}

// hostField is the value of Host: the request's own or the target's, in ASCII, without an IPv6 zone,
// and empty rather than invalid.
func hostField(out *http.Request) (string, error) {
	host := out.Host
	if host == "" {
		host = out.URL.Host
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil {
		return "", err
	}
	if !httpguts.ValidHostHeader(host) {
		return "", nil
	}
	if bracket := strings.LastIndexByte(host, ']'); bracket > 0 && host[0] == '[' {
		if zone := strings.LastIndexByte(host[:bracket], '%'); zone >= 0 {
			host = host[:zone] + host[bracket:]
		}
	}
	return host, nil
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// requestHeads lends scratch. A head may hold secrets and be large, so connections do not keep it.
type requestHeads struct{ pool sync.Pool }

// largeHead is more than is kept for the next request.
const largeHead = 8 << 10

func (p *requestHeads) get() *requestHead {
	if h, ok := p.pool.Get().(*requestHead); ok {
		return h
	}
	return &requestHead{text: make([]byte, 0, 1<<10), fields: make([]headField, 0, 32)}
}

func (p *requestHeads) put(h *requestHead) {
	if cap(h.text) <= largeHead {
		clear(h.fields)
		p.pool.Put(h)
	}
}
