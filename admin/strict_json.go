package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"postern/internal/keys"
)

// checkJSON refuses what encoding/json would let pass or report without a place: text that is not
// UTF-8, anything but one object, repeated keys (two readers may take different ones, RFC 8259
// section 4), broken text and numbers out of range. Types and names are checked after it.
func checkJSON(body []byte) error {
	if i := invalidUTF8(body); i >= 0 {
		return &problem{code: malformedJSON, detail: "The body is not valid UTF-8 at " + position(body, i) + "."}
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return &problem{code: malformedJSON, detail: fmt.Sprintf("The body is not JSON: %s at %s.", syntax.Error(), position(body, int(syntax.Offset)-1))}
		}
		return &problem{code: malformedJSON, detail: "The body is not JSON."}
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); trimmed[0] != '{' {
		return invalid("body", "expected object")
	}
	if wrong := walk(body); len(wrong) > 0 {
		return &problem{code: keys.ValidationFailed, detail: "The body has wrong fields.", fields: wrong}
	}
	return nil
}

// level is one open object or list of a walk.
type level struct {
	seen  map[string]bool // keys so far; nil for a list
	key   string          // the key whose value comes next
	atKey bool            // a key comes next
	index int             // the element that comes next
}

// walk visits every token of valid JSON and returns what is wrong, at most maxFieldErrors.
func walk(body []byte) []keys.FieldError {
	var wrong []keys.FieldError
	var open []level
	report := func(message string) {
		if message != "" && len(wrong) < maxFieldErrors {
			wrong = append(wrong, keys.FieldError{Field: pathOf(open), Message: message})
		}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // a number out of range is then ours to report, with its place
	for {
		token, err := dec.Token()
		if err != nil {
			return wrong // the end; the body is known to be valid
		}
		if n := len(open); n > 0 && open[n-1].atKey {
			if key, ok := token.(string); ok {
				top := &open[n-1]
				top.key, top.atKey = key, false
				if top.seen[key] {
					report("is given more than once")
				}
				top.seen[key] = true
				report(brokenText(key))
				continue
			}
		}
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{':
				open = append(open, level{seen: map[string]bool{}, atKey: true})
				continue
			case '[':
				open = append(open, level{})
				continue
			}
			open = open[:len(open)-1]
		case string:
			report(brokenText(t))
		case json.Number:
			if _, err := t.Float64(); err != nil {
				report("is out of range")
			}
		}
		if n := len(open); n > 0 {
			open[n-1].index++
			open[n-1].atKey = open[n-1].seen != nil
		}
	}
}

// pathOf writes where a walk is: owner.type, allowed_ips[1].
func pathOf(open []level) string {
	var b strings.Builder
	for _, l := range open {
		switch {
		case l.seen == nil:
			b.WriteString("[" + strconv.Itoa(l.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + l.key)
		default:
			b.WriteString(l.key)
		}
	}
	return b.String()
}

// position is a byte offset in the words of an editor, both counted from 1.
func position(body []byte, offset int) string {
	offset = min(max(offset, 0), len(body))
	line := 1 + bytes.Count(body[:offset], []byte{'\n'})
	column := 1 + utf8.RuneCount(body[bytes.LastIndexByte(body[:offset], '\n')+1:offset])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
