package keys

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of what people may write. Lengths are in characters.
const (
	maxName          = 100
	maxDescription   = 1000
	maxReason        = 1000
	maxExternalID    = 200
	maxMetadata      = 50
	maxMetadataName  = 40
	maxMetadataValue = 500
	maxRedirectURIs  = 20
	maxURI           = 2000
	maxAllowedIPs    = 100
	maxGranted       = 1000 // APIs, scopes or roles of one credential
)

// fieldErrors collects what is wrong with an input, so that all of it is told at once.
type fieldErrors []FieldError

func (e *fieldErrors) add(field, format string, args ...any) {
	*e = append(*e, FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// refusal returns nil when nothing is wrong.
func (e fieldErrors) refusal() error {
	if len(e) == 0 {
		return nil
	}
	return &Refusal{
		Code:   ValidationFailed,
		Detail: "Some fields cannot be accepted.",
		Hint:   "Correct the fields listed and send the whole input again.",
		Fields: e,
	}
}

// line checks a text of one line and returns it without spaces around it.
func (e *fieldErrors) line(field, s string, longest int) string {
	s = strings.TrimSpace(s)
	e.text(field, s, longest, func(r rune) bool { return unicode.IsControl(r) })
	return s
}

// lines checks a text that may have several lines.
func (e *fieldErrors) lines(field, s string, longest int) string {
	e.text(field, s, longest, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' })
	return s
}

func (e *fieldErrors) text(field, s string, longest int, forbidden func(rune) bool) {
	if !utf8.ValidString(s) {
		e.add(field, "is no valid UTF-8")
		return
	}
	if n := utf8.RuneCountInString(s); n > longest {
		e.add(field, "has %d characters; at most %d are possible", n, longest)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return forbidden(r) || reorders(r) }); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		e.add(field, "has a character that cannot be seen, %U", r)
	}
}

// reorders tells whether a character makes text look like another text.
func reorders(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x2028 || r == 0x2029
}

// metadata checks names and values; the map is copied.
func (e *fieldErrors) metadata(field string, m map[string]string) map[string]string {
	if len(m) > maxMetadata {
		e.add(field, "has %d entries; at most %d are possible", len(m), maxMetadata)
		return nil
	}
	out := make(map[string]string, len(m))
	for _, name := range sortedKeys(m) {
		at := field + "[" + quote(name) + "]"
		if strings.TrimSpace(name) != name || name == "" {
			e.add(at, "the name must not be empty, nor start or end with a space")
		}
		e.text(at, name, maxMetadataName, unicode.IsControl)
		out[name] = e.lines(at, m[name], maxMetadataValue)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// allowedIPs reads addresses and prefixes, in canonical form, sorted, without duplicates.
func (e *fieldErrors) allowedIPs(field string, texts []string) []netip.Prefix {
	if len(texts) > maxAllowedIPs {
		e.add(field, "has %d entries; at most %d are possible", len(texts), maxAllowedIPs)
		return nil
	}
	var out []netip.Prefix
	for i, text := range texts {
		p, err := ParsePrefix(text)
		if err != nil {
			e.add(field+"["+strconv.Itoa(i)+"]", "%v", err)
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// redirectURIs checks exact https URIs, or http ones on the loopback for programs on a desk.
func (e *fieldErrors) redirectURIs(field string, uris []string) []string {
	if len(uris) > maxRedirectURIs {
		e.add(field, "has %d entries; at most %d are possible", len(uris), maxRedirectURIs)
		return nil
	}
	var out []string
	for i, text := range uris {
		if why := badRedirectURI(text); why != "" {
			e.add(field+"["+strconv.Itoa(i)+"]", "%s", why)
			continue
		}
		out = append(out, text)
	}
	return sortedSet(out)
}

func badRedirectURI(text string) string {
	u, err := url.Parse(text)
	switch {
	case len(text) > maxURI:
		return fmt.Sprintf("is longer than %d bytes", maxURI)
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return fmt.Sprintf("%s is no absolute URI with a host", quote(text))
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '*' || r == '\\' }):
		return "must be exact and in ASCII: no spaces, wildcards or backslashes"
	case u.User != nil:
		return "must not hold a user name"
	case strings.Contains(text, "#"):
		return "must not have a fragment"
	case u.Scheme == "https":
		return ""
	case u.Scheme != "http":
		return fmt.Sprintf("has the scheme %s; it must be https, or http on the loopback", quote(u.Scheme))
	}
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); host == "localhost" || err == nil && a.IsLoopback() {
		return ""
	}
	return "must be https; http is for 127.0.0.1, [::1] and localhost only"
}

// names checks that each name is one that the configuration has; the list comes back sorted and
// without duplicates.
func names[T ~string](e *fieldErrors, field, what string, given, known []T) []T {
	if len(given) > maxGranted {
		e.add(field, "has %d entries; at most %d are possible", len(given), maxGranted)
		return nil
	}
	for i, name := range given {
		if !slices.Contains(known, name) {
			e.add(field+"["+strconv.Itoa(i)+"]", "%s", unknown(what, name, slices.Clone(known)))
		}
	}
	return sortedSet(given)
}

// sortedSet returns a sorted copy without duplicates, nil when it is empty.
func sortedSet[T ~string](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// join writes a list of names as people read it.
func join[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
