package config

import (
	"slices"
	"strconv"
	"strings"
)

// node is one value of the configuration before anything is known about types: the same for a
// value from the file, from a variable and from a flag.
type node struct {
	kind    kind
	text    string // scalars: the text, unquoted
	looks   looks  // scalars: what YAML takes the text for
	entries []entry
	index   map[string]int // of entries by key, made when first needed
	items   []*node
	at      place
	width   int    // characters that the value takes on its first line, to mask it
	joined  string // "http://a:1" where a list inside braces made the map {http://a: 1} of it
	secret  bool   // not to be shown: a literal secret, or what may be one
}

// entry is one key of a map, in the order of the file.
type entry struct {
	key   string
	at    place
	value *node
}

// kind tells scalars, lists, maps, missing and unreadable values apart.
type kind uint8

const (
	null kind = iota
	scalar
	list
	mapping
	broken // has been complained about; says nothing more
)

// looks is what a scalar looks like to YAML. Text from a variable or a flag has no looks: it is
// taken for whatever the setting wants.
type looks uint8

const (
	anyLooks looks = iota
	textLooks
	integerLooks
	numberLooks
	booleanLooks
)

// place is where something was written. The zero place is nowhere: a default.
type place struct {
	origin string // "" for the file, else the variable or flag
	line   int    // from 1 in the file, 0 elsewhere
	column int    // in characters from 1
}

func (p place) nowhere() bool { return p == place{} }

// child returns the value under a key, or at an index written [0], and where its name stands; nil
// when there is none.
func (n *node) child(part string) (*node, place) {
	if inner, ok := strings.CutPrefix(part, "["); ok && n != nil && n.kind == list {
		i, err := strconv.Atoi(strings.TrimSuffix(inner, "]"))
		if err != nil || i >= len(n.items) {
			return nil, place{}
		}
		return n.items[i], n.items[i].at
	}
	if e := n.entry(part); e != nil {
		return e.value, e.at
	}
	return nil, place{}
}

func (n *node) entry(key string) *entry {
	if n == nil {
		return nil
	}
	if n.index == nil { // thousands of keys may be declared, and each is looked up several times
		n.index = make(map[string]int, len(n.entries))
		for i, e := range n.entries {
			n.index[e.key] = i
		}
	}
	if i, ok := n.index[key]; ok {
		return &n.entries[i]
	}
	return nil
}

// empty tells whether nothing is said: a missing value, "", and lists and maps of nothing else.
func (n *node) empty() bool {
	switch n.kind {
	case scalar:
		return n.text == ""
	case list:
		return !slices.ContainsFunc(n.items, func(i *node) bool { return !i.empty() })
	case mapping:
		return !slices.ContainsFunc(n.entries, func(e entry) bool { return !e.value.empty() })
	}
	return true
}

// path names a setting: keys, and list indexes written [0].
type path []string

// to returns the path extended. It never shares memory with another extension of p.
func (p path) to(parts ...string) path {
	return append(slices.Clip(p), parts...)
}

// touches tells whether one of the paths is the other, or holds it. The empty path is the file as a
// whole and touches nothing.
func (p path) touches(q path) bool {
	n := min(len(p), len(q))
	return n > 0 && slices.Equal(p[:n], q[:n])
}

// String is the path as people write it, as in routes.orders.scopes."*"[0].
func (p path) String() string {
	var b strings.Builder
	for i, part := range p {
		index := strings.HasPrefix(part, "[")
		if i > 0 && !index {
			b.WriteByte('.')
		}
		if index || plainKey(part) {
			b.WriteString(part)
		} else {
			b.WriteString(`"` + part + `"`)
		}
	}
	return b.String()
}

func plainKey(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// id is the path as a map key. No key holds the delimiter: the reader refuses control characters.
func (p path) id() string { return strings.Join(p, delimiter) }

const delimiter = "\x1f"

func (k kind) String() string {
	return [...]string{"nothing", "a single value", "a list", "a map", "an unreadable value"}[k]
}

func (l looks) String() string {
	return [...]string{"anything", "text", "a number", "a number", "a truth value"}[l]
}
