package config

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"postern/internal/keys"
)

// SetHeaders are headers set towards the upstream, by canonical name. The values are resolved.
type SetHeaders map[string]keys.Secret

var headerForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,128}$`)

// secretHeader finds headers whose value is a secret by their name.
var secretHeader = regexp.MustCompile(`(?i)authorization|cookie|token|secret|password|api-?key`)

// ownHeaders are set by Postern or by HTTP itself on each connection (RFC 9110 section 7.6.1), so
// that a configured value would be lost, or would let two parties see two requests.
var ownHeaders = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Host", "Content-Length", "Forwarded", "X-Request-Id",
}

// checkHeader complains about a name that is no header's, or one that is not ours to give away.
func checkHeader(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !headerForm.MatchString(name):
		return complaint{fmt.Sprintf("%s is not a header name", show(name)), "header names have A-Z, a-z, 0-9 and -"}
	case canonical == "Host":
		return complaint{"the Host header is decided by upstream.host", "write upstream: { host: keep }, or put the host into the target"}
	case slices.Contains(ownHeaders, canonical), strings.HasPrefix(canonical, "X-Postern-"), strings.HasPrefix(canonical, "X-Forwarded-"):
		return complaint{fmt.Sprintf("header %s is set by Postern itself", canonical), "use another name"}
	}
	return nil
}

func (h *SetHeaders) decode(d *decoder, n *node, p path) {
	*h = SetHeaders{}
	if n.kind == null || !d.isKind(n, mapping, p) {
		return
	}
	for _, e := range n.entries {
		at, name := p.to(e.key), http.CanonicalHeaderKey(e.key)
		if e.value.kind == broken {
			d.spoiled = append(d.spoiled, at)
			continue
		}
		if err := checkHeader(e.key); err != nil {
			d.accept(err, at, &node{at: e.at})
		} else if _, twice := (*h)[name]; twice {
			d.problem(e.at, at, fmt.Sprintf("header %s is set twice", name), "keep one")
		}
		in, ok := d.text(e.value, at)
		if !ok {
			d.mask(e.value)
			continue
		}
		value, err := d.headerValue(in, e.value)
		d.accept(err, at, e.value)
		if e.value.secret && secretHeader.MatchString(name) {
			d.warn(e.value.at, at, "the file holds a secret in the clear", "write env:NAME or file:PATH, and give this secret a successor")
		}
		(*h)[name] = keys.NewSecret(value)
	}
}

// headerValue resolves references. What it returns or complains about is never shown.
func (d *decoder) headerValue(in string, n *node) (string, error) {
	ref, isRef, err := d.reference(in)
	switch {
	case err != nil:
		return "", err
	case isRef:
		text, err := ref.read(d.env)
		if err != nil {
			return "", complaint{err.Error(), "set it where Postern runs, or correct the reference"}
		}
		in = strings.TrimRight(string(text), "\r\n")
	default:
		d.mask(n)
	}
	switch {
	case strings.ContainsFunc(in, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }):
		return "", complaint{"the value holds control characters", "a header's value is one line of text"}
	case strings.TrimSpace(in) == "":
		return "", complaint{"the value is empty", "write one, or remove the line"}
	}
	return strings.TrimSpace(in), nil
}
