package config

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"postern/internal/keys"
)

// decoder turns nodes into the structs and goes on after each problem, so that all are told at
// once. koanf's and goccy's own decoders were tried: one drops unknown keys silently, the other
// stops at the first.
type decoder struct {
	report
	root    *node
	dir     string            // where relative paths start, absolute
	env     map[string]string // for env: references
	spoiled []path            // values that the reader has complained about
}

// broken tells whether something is wrong with a setting, below it, or with what holds it, so that
// nothing that follows from it is worth saying.
func (d *decoder) broken(p ...string) bool {
	return slices.ContainsFunc(d.spoiled, func(s path) bool { return s.touches(p) }) ||
		slices.ContainsFunc(d.problems, func(f finding) bool { return f.path.touches(p) })
}

// wrong adds a problem at a setting's value, or where it would stand.
func (d *decoder) wrong(p path, what, next string) { d.problem(d.place(p), p, what, next) }

// wrongKey adds a problem at a setting's name.
func (d *decoder) wrongKey(p path, what, next string) { d.problem(d.keyPlace(p), p, what, next) }

// place is where a setting's value stands; the key of what would hold it when it is not written.
func (d *decoder) place(p path) place {
	value, _ := d.find(p)
	return value
}

func (d *decoder) keyPlace(p path) place {
	_, key := d.find(p)
	return key
}

func (d *decoder) find(p path) (value, key place) {
	n := d.root
	value, key = place{line: 1, column: 1}, place{line: 1, column: 1}
	for _, part := range p {
		next, at := n.child(part)
		if next == nil {
			return key, key
		}
		n, key, value = next, at, next.at
		if value.nowhere() {
			value = key
		}
	}
	return value, key
}

// node is a setting's value as it is written, or nil.
func (d *decoder) node(p path) *node {
	n := d.root
	for _, part := range p {
		if n, _ = n.child(part); n == nil {
			return nil
		}
	}
	return n
}

// written tells whether a setting is written anywhere, as opposed to its default.
func (d *decoder) written(p ...string) bool { return d.node(p) != nil }

// value decodes one value into v.
func (d *decoder) value(v reflect.Value, n *node, f field, p path) {
	if n.kind == broken {
		d.spoiled = append(d.spoiled, p)
		return
	}
	target := v.Addr().Interface()
	if own, ok := target.(structural); ok {
		own.decode(d, n, p)
		return
	}
	if own, ok := target.(textual); ok {
		if in, ok := d.text(n, p); ok {
			d.accept(own.parse(d, in), p, n)
			d.bounds(v, n, f, p)
		}
		return
	}
	if foreign(v.Type()) {
		if in, ok := d.text(n, p); ok {
			if _, isURL := target.(**url.URL); isURL && holdsPassword(in) {
				d.mask(n)
			}
			d.accept(parseForeign(target, in), p, n)
			d.bounds(v, n, f, p)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.section(v, n, p)
	case reflect.Pointer:
		if n.kind == null || n.kind == mapping && len(n.entries) == 0 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		d.value(v.Elem(), n, f, p)
	case reflect.Map:
		d.byName(v, n, f, p)
	case reflect.Slice:
		d.list(v, n, f, p)
	case reflect.String:
		d.string(v, n, f, p)
	case reflect.Bool:
		d.bool(v, n, p)
	case reflect.Int, reflect.Int64:
		d.int(v, n, f, p)
	default:
		panic("config: no way to read " + v.Type().String())
	}
}

// section decodes a map of settings into a struct, and fills in the defaults of those missing.
func (d *decoder) section(v reflect.Value, n *node, p path) {
	if n.kind != null && !d.isKind(n, mapping, p) {
		n = &node{kind: broken}
	}
	all := fields(v.Type())
	for _, e := range n.entries {
		d.known(e, all, p)
	}
	for _, f := range all {
		at, inner := p.to(f.name), v.FieldByIndex(f.index)
		e := n.entry(f.name)
		switch {
		case e != nil:
			d.value(inner, e.value, f, at)
		case f.hasDefault:
			d.fallback(inner, f, at)
		case f.required != "" && n.kind != broken:
			d.problem(d.keyPlace(p), at, "is missing", "write it as in "+f.required)
		case section(f.typ) != nil && f.typ.Kind() == reflect.Struct:
			missing := &node{kind: null}
			if n.kind == broken {
				missing.kind = broken
			}
			d.section(inner, missing, at)
		}
	}
}

// known complains about a key that is no setting.
func (d *decoder) known(e entry, all []field, p path) {
	for _, f := range all {
		if f.name == e.key {
			return
		}
	}
	d.mask(e.value) // nobody knows what it is: perhaps a secret under a misspelt name
	here, next := fieldNames(all), ""
	if keys.Nearest(e.key, here) == "" {
		if at := homes(e.key); len(at) > 0 {
			next = fmt.Sprintf("%s belongs in %s", e.key, strings.Join(at, " or "))
		}
	}
	if next == "" {
		next = meant(e.key, here)
	}
	d.problem(e.at, p.to(e.key), "unknown setting", next)
}

// fallback decodes a default as if it were written.
func (d *decoder) fallback(v reflect.Value, f field, p path) {
	d.value(v, f.fallbackNode(), f, p)
}

// byName decodes a map whose keys the user chooses.
func (d *decoder) byName(v reflect.Value, n *node, f field, p path) {
	v.Set(reflect.MakeMap(v.Type()))
	if n.kind == null || !d.isKind(n, mapping, p) {
		return
	}
	for _, e := range n.entries {
		at := p.to(e.key)
		switch {
		case f.names == "scope" && !validScope(e.key):
			c := badScope(e.key)
			d.problem(e.at, at, c.what, c.next)
		case f.names == "" && !validName(e.key):
			c := badName(e.key)
			d.problem(e.at, at, c.what, c.next)
		}
		inner := reflect.New(v.Type().Elem()).Elem()
		if inner.Kind() == reflect.Pointer { // an entry is there even when nothing is said in it
			inner.Set(reflect.New(inner.Type().Elem()))
			d.value(inner.Elem(), e.value, field{}, at)
		} else {
			d.value(inner, e.value, field{}, at)
		}
		v.SetMapIndex(reflect.ValueOf(e.key), inner)
	}
}

func (d *decoder) list(v reflect.Value, n *node, f field, p path) {
	if !d.isKind(n, list, p) {
		return
	}
	item := f
	item.typ = v.Type().Elem()
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, one := range n.items {
		d.value(out.Index(i), one, item, p.to(index(i)))
	}
	v.Set(out)
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// isKind complains when n is something else.
func (d *decoder) isKind(n *node, want kind, p path) bool {
	switch {
	case n.kind == want:
		return true
	case n.kind == broken:
	case n.kind == null:
		d.problem(n.at, p, "has no value", "write one, or remove the line")
	case want == list && n.kind == scalar:
		d.problem(n.at, p, fmt.Sprintf("must be %s, not %s", want, n.kind), "write it in brackets, as in [a, b]")
	default:
		d.problem(n.at, p, fmt.Sprintf("must be %s, not %s", want, n.kind), "")
	}
	return false
}
