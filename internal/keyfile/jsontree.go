package keyfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// jsonReader reads JSON value by value and knows the line of each.
type jsonReader struct {
	dec     *json.Decoder
	text    string
	line    int // at offset
	offset  int
	problem func(line int, format string, args ...any)
}

// errTold ends the reading of a file whose problem was told.
var errTold = errors.New("told")

// walkJSON hands each section of a file to visit, and tells whether it was read to its end.
func walkJSON(f *File, text string, visit func(section)) bool {
	r := &jsonReader{dec: json.NewDecoder(strings.NewReader(text)), text: text, line: 1, problem: f.problem}
	r.dec.UseNumber()
	err := r.walk(visit)
	if err == nil {
		if _, err = r.dec.Token(); errors.Is(err, io.EOF) {
			return true
		}
		r.problem(r.at(), "something follows the end of the JSON")
		return false
	}
	if !errors.Is(err, errTold) {
		r.syntax(err)
	}
	return false
}

func (r *jsonReader) walk(visit func(section)) error {
	token, err := r.dec.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		return r.elements("", r.at(), visit)
	case json.Delim('{'):
	default:
		r.problem(r.at(), "the file must hold an object or a list")
		return errTold
	}
	seen := map[string]bool{}
	for r.dec.More() {
		name, err := r.name(seen)
		if err != nil {
			return err
		}
		line := r.at()
		value, err := r.dec.Token()
		if err != nil {
			return err
		}
		if value == json.Delim('[') {
			if err := r.elements(name, line, visit); err != nil {
				return err
			}
			continue
		}
		n, err := r.rest(value, 1)
		if err != nil {
			return err
		}
		visit(section{name: name, line: line, whole: n})
	}
	_, err = r.dec.Token()
	return err
}

// elements hands over the elements of a list that was begun, an empty list as a whole.
func (r *jsonReader) elements(name string, line int, visit func(section)) error {
	if !r.dec.More() {
		visit(section{name: name, line: line, whole: &node{line: line, kind: list}})
	}
	for r.dec.More() {
		item, err := r.value(1)
		if err != nil {
			return err
		}
		visit(section{name: name, line: line, item: item})
	}
	_, err := r.dec.Token()
	return err
}

func (r *jsonReader) value(depth int) (*node, error) {
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	return r.rest(token, depth)
}

// rest reads what is left of a value after its first token.
func (r *jsonReader) rest(token json.Token, depth int) (*node, error) {
	n := &node{line: r.at()}
	if depth > maxDepth {
		r.problem(n.line, "is nested deeper than %d levels", maxDepth)
		return nil, errTold
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			n.kind = list
			for r.dec.More() {
				item, err := r.value(depth + 1)
				if err != nil {
					return nil, err
				}
				n.items = append(n.items, item)
			}
		} else {
			n.kind = object
			seen := map[string]bool{}
			for r.dec.More() {
				name, err := r.name(seen)
				if err != nil {
					return nil, err
				}
				line := r.at()
				value, err := r.value(depth + 1)
				if err != nil {
					return nil, err
				}
				n.entries = append(n.entries, entry{name, line, value})
			}
		}
		_, err := r.dec.Token()
		return n, err
	case string:
		n.kind, n.text = scalar, t
	case json.Number:
		n.kind, n.text = scalar, t.String()
	case bool:
		n.kind, n.text = scalar, fmt.Sprint(t)
	}
	return n, nil
}

// name reads the next name of an object; two readers may take different ones of two equal names.
func (r *jsonReader) name(seen map[string]bool) (string, error) {
	token, err := r.dec.Token()
	if err != nil {
		return "", err
	}
	name, _ := token.(string)
	if seen[name] {
		r.problem(r.at(), "%s is written twice", show(name))
	}
	seen[name] = true
	return name, nil
}

// at is the line of the token last read.
func (r *jsonReader) at() int { return r.lineOf(int(r.dec.InputOffset())) }

func (r *jsonReader) lineOf(offset int) int {
	offset = min(max(offset, r.offset), len(r.text))
	r.line += strings.Count(r.text[r.offset:offset], "\n")
	r.offset = offset
	return r.line
}

func (r *jsonReader) syntax(err error) {
	var wrong *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		// The decoder has read up to the last good token; what is wrong begins after the spaces.
		at := int(r.dec.InputOffset())
		at += len(r.text[at:]) - len(strings.TrimLeft(r.text[at:], " \t\r\n"))
		r.problem(r.lineOf(at), "is not JSON: %s", wrong.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.problem(r.lineOf(len(r.text)), "the JSON ends too early")
	default:
		r.problem(r.at(), "is not JSON")
	}
}
