package admin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"postern/internal/keys"
)

const (
	maxBody        = 256 << 10        // bytes of a request body
	maxImportBody  = 8 << 20          // of one that imports keys
	bodyTimeout    = 10 * time.Second // for all of a body to arrive
	maxFieldErrors = 50               // reported of one request
	maxFieldName   = 100              // characters of a sender's own words in an answer
)

// inputShape is what an operation takes, read from its documentation.
type inputShape struct {
	query        map[string]bool     // by name: may the value be empty
	body         bool                // takes one
	bodyRequired bool                // and must have it
	fields       map[string][]string // known names by path of the object that has them
}

// admit takes a request as far as its handler: who asks, may he, is the input readable. In this
// order, so that a stranger learns nothing about inputs and a body is read for nobody.
func (s *server) admit(w http.ResponseWriter, r *http.Request, a access, shape *inputShape) error {
	if !a.everyone {
		actor, err := s.signIn(r.Context(), r)
		if err != nil {
			return err
		}
		callOf(r.Context()).actor = actor
		if err := permit(actor, a); err != nil {
			return err
		}
	}
	if err := shape.checkQuery(r); err != nil {
		return err
	}
	return shape.readBody(w, r)
}

// checkQuery refuses parameters that are unknown, repeated or broken, and leaves the query in its
// one canonical form, so that later readers see what was checked.
func (shape *inputShape) checkQuery(r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &problem{code: badRequest, detail: "The query string is malformed.", hint: "Percent-encode the values."}
	}
	known := make([]string, 0, len(shape.query))
	for name := range shape.query {
		known = append(known, name)
	}
	var wrong []keys.FieldError
	for name, vs := range values {
		mayBeEmpty, ok := shape.query[name]
		message := ""
		switch {
		case !ok:
			message = "unknown parameter" + didYouMean(name, known)
		case len(vs) > 1:
			message = "is given more than once"
		case vs[0] == "" && !mayBeEmpty:
			message = "is empty; leave it out instead"
		default:
			message = brokenText(vs[0])
		}
		if message != "" {
			wrong = append(wrong, keys.FieldError{Field: name, Message: message})
		}
	}
	if len(wrong) > 0 {
		slices.SortFunc(wrong, func(a, b keys.FieldError) int { return strings.Compare(a.Field, b.Field) })
		return &problem{code: keys.ValidationFailed, detail: "The query has wrong parameters.", fields: wrong}
	}
	r.URL.RawQuery = values.Encode()
	return nil
}

// readBody reads and checks the whole body and puts it back for the decoder. What expectBody set
// against slow bodies ends here.
func (shape *inputShape) readBody(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength == 0 && !shape.bodyRequired {
		identify(r, nil)
		return nil
	}
	limit := bodyLimit(r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return bodyTooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{code: requestTimeout, detail: "The body took too long to arrive."}
	case err != nil:
		return &problem{code: badRequest, detail: "The body could not be read to its end."}
	}
	w.Header().Del("Connection")
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	switch {
	case len(body) == 0 && shape.bodyRequired:
		return &problem{code: malformedJSON, detail: "The body is empty; a JSON object is expected."}
	case len(body) > 0 && !shape.body:
		return &problem{code: badRequest, detail: "This endpoint takes no body."}
	case len(body) > 0:
		if err := checkMedia(r); err != nil {
			return err
		}
		if err := checkJSON(body); err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json") // huma compares it as it stands
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	identify(r, body)
	return nil
}

// identify notes what tells one request from another one that its sender gave the same name.
func identify(r *http.Request, body []byte) {
	callOf(r.Context()).request = sha256.Sum256(slices.Concat([]byte(r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery+"\n"), body))
}

// bodyLimit is how many bytes the body of a request may have.
func bodyLimit(r *http.Request) int64 {
	if r.URL.Path == importPath {
		return maxImportBody
	}
	return maxBody
}

func bodyTooLarge(limit int64) *problem {
	return &problem{code: tooLarge, detail: fmt.Sprintf("The body is larger than %d KiB.", limit>>10)}
}

// checkMedia accepts application/json, in UTF-8 and not compressed. A missing type is refused too:
// a page of another site can send one without asking (Fetch, section 2.2.2). A PATCH may call itself
// what it is, application/merge-patch+json (RFC 7396).
func checkMedia(r *http.Request) error {
	h := r.Header
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset := params["charset"]
	switch {
	case err != nil || len(h.Values("Content-Type")) > 1 ||
		media != "application/json" && (media != "application/merge-patch+json" || r.Method != http.MethodPatch):
		return &problem{code: unsupportedMedia, detail: "The body must be sent as application/json."}
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
		return &problem{code: unsupportedMedia, detail: "The body must be in UTF-8."}
	case h.Get("Content-Encoding") != "" && !strings.EqualFold(h.Get("Content-Encoding"), "identity"):
		return &problem{code: unsupportedMedia, detail: "The body must not be compressed.", hint: "Leave Content-Encoding out."}
	}
	return nil
}

// brokenText returns what is wrong with a text that cannot be meant: a NUL, bytes that are not
// UTF-8, or what is left of a lone surrogate after decoding. "" for good text.
func brokenText(s string) string {
	switch {
	case strings.ContainsRune(s, 0):
		return "contains a NUL character"
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.ContainsRune(s, utf8.RuneError):
		return "contains U+FFFD, the mark of broken text"
	}
	return ""
}

// unknownField says that a field is not known, and which one may have been meant. shape may be nil.
func (shape *inputShape) unknownField(path string) string {
	if shape == nil {
		return "unknown field"
	}
	parent, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, name = path[:i], path[i+1:]
	}
	parent = anyIndex.ReplaceAllString(parent, "[]")
	return "unknown field" + didYouMean(name, shape.fields[parent])
}

// anyIndex is the place of an element in a list, which all have the same fields.
var anyIndex = regexp.MustCompile(`\[\d+\]`)

// join appends a name to a JSON path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// shorten keeps a sender's own words from filling the answer.
func shorten(s string) string {
	if utf8.RuneCountInString(s) <= maxFieldName {
		return s
	}
	return string([]rune(s)[:maxFieldName]) + "…"
}
