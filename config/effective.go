package config

import (
	"reflect"
	"strconv"
	"strings"
)

// masked is what is shown of a literal secret.
const masked = "[secret]"

// Effective is the configuration as it would be written if every setting were: the file with what
// overrides it, and the default of everything else. Settings are maps by name; values are texts,
// truth values, whole numbers, and lists of those. A reference such as env:NAME is shown, what it
// refers to is not, and a literal secret is shown as "[secret]". Each call makes a new one.
func (c *Config) Effective() map[string]any {
	return effective(reflect.TypeFor[Config](), c.written)
}

// effective shows a section; n is nil where nothing of it is written.
func effective(t reflect.Type, n *node) map[string]any {
	out := map[string]any{}
	for _, f := range fields(t) {
		var written *node
		if e := n.entry(f.name); e != nil {
			written = e.value
		}
		if v := effectiveSetting(f, written); v != nil {
			out[f.name] = v
		}
	}
	return out
}

// effectiveSetting shows one setting, nil where it is neither written nor has a default.
func effectiveSetting(f field, n *node) any {
	inner, elem := section(f.typ), named(f.typ)
	optional := inner != nil && f.typ.Kind() == reflect.Pointer
	switch {
	case f.typ == reflect.TypeFor[Later](), optional && (n == nil || n.empty()):
		return nil
	case inner != nil:
		return effective(inner, n)
	case elem != nil:
		out := map[string]any{}
		if n != nil {
			for _, e := range n.entries {
				out[e.key] = effective(elem, e.value)
			}
		}
		return out
	case n == nil && f.hasDefault:
		return plain(f.fallbackNode(), f.typ)
	case n == nil:
		return nil
	}
	return plain(n, f.typ)
}

// plain shows a value as it is written.
func plain(n *node, t reflect.Type) any {
	switch {
	case n.secret:
		return masked
	case n.joined != "":
		return n.joined
	}
	switch n.kind {
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = plain(item, t)
		}
		return out
	case mapping:
		out := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			out[e.key] = plain(e.value, t)
		}
		return out
	case scalar:
		return typed(secretShaped.ReplaceAllString(n.text, masked), n.looks, t)
	}
	return nil
}

// typed shows a number or truth value as one. What a variable or flag says has no looks of its own,
// so there the setting's type tells.
func typed(text string, looks looks, t reflect.Type) any {
	if looks == anyLooks {
		switch t.Kind() {
		case reflect.Bool:
			looks = booleanLooks
		case reflect.Int, reflect.Int64:
			looks = integerLooks
		}
	}
	switch looks {
	case booleanLooks:
		if v, err := strconv.ParseBool(text); err == nil {
			return v
		}
	case integerLooks:
		if v, err := strconv.ParseInt(text, 10, 64); err == nil {
			return v
		}
	}
	return text
}

// fallbackNode is the default as if it were written.
func (f field) fallbackNode() *node {
	n := &node{kind: scalar, text: f.fallback}
	if strings.HasPrefix(f.fallback, "[") {
		r := reader{origin: "default", complain: func(_ place, what, _ string) { panic("config: default of " + f.name + " " + what) }}
		n = r.read(f.fallback)
	}
	return n
}
