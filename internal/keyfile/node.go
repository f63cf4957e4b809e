package keyfile

import (
	"strconv"
	"strings"
)

// maxDepth is how deeply the value of one key may be nested.
const maxDepth = 32

// node is a value of JSON or YAML with its line.
type node struct {
	line    int
	kind    kind
	text    string // of a scalar, as written
	items   []*node
	entries []entry
}

type kind uint8

const (
	null kind = iota
	scalar
	list
	object
)

// entry is a name of an object and what it stands for.
type entry struct {
	name  string
	line  int
	value *node
}

// section is one name at the top of a file. Lists are handed over element by element, so that a file
// of a hundred thousand keys is never there as a tree.
type section struct {
	name  string // "" for a list that is the whole file
	line  int
	whole *node // what is no list; nil for its elements
	item  *node
}

// looksJSON tells whether a text begins as JSON does.
func looksJSON(text string) bool {
	trimmed := strings.TrimLeft(text, " \t\r\n")
	return strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[")
}

// scalarOf reads a text; ok is false, with the problem told, where something else stands. Null is "".
func (f *File) scalarOf(e entry) (text string, ok bool) {
	switch e.value.kind {
	case null:
		return "", true
	case scalar:
		return e.value.text, true
	}
	f.problem(e.line, "%s must be a text", e.name)
	return "", false
}

// textsOf reads a list of texts.
func (f *File) textsOf(e entry) []string {
	if e.value.kind == null {
		return nil
	}
	if e.value.kind != list {
		f.problem(e.line, "%s must be a list of texts", e.name)
		return nil
	}
	var out []string
	for i, item := range e.value.items {
		if item.kind != scalar {
			f.problem(item.line, "%s[%d] must be a text", e.name, i)
			continue
		}
		out = append(out, item.text)
	}
	return out
}

// mapOf reads an object of texts.
func (f *File) mapOf(e entry) map[string]string {
	if e.value.kind == null {
		return nil
	}
	if e.value.kind != object {
		f.problem(e.line, "%s must be an object of texts", e.name)
		return nil
	}
	out := map[string]string{}
	for _, one := range e.value.entries {
		if text, ok := f.scalarOf(entry{e.name + "." + one.name, one.line, one.value}); ok {
			out[one.name] = text
		}
	}
	return out
}

// boolOf reads true or false.
func (f *File) boolOf(e entry) (value, ok bool) {
	text, ok := f.scalarOf(e)
	if !ok {
		return false, false
	}
	value, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		f.problem(e.line, "%s must be true or false", e.name)
		return false, false
	}
	return value, true
}
