package config

import (
	"reflect"
	"slices"
	"strings"
)

// The structs of this package are the schema: their tags say everything that the reader needs to
// know about a setting.
//
//	yaml      its name; "-" for what is not a setting; ",inline" for settings of an embedded struct
//	default   its value when it is not written, as it would be written
//	required  it must be written, as in this example
//	enum      the values it may have, separated by |
//	later     further documented values, which this version does not have
//	min, max  its bounds, as they would be written
//	names     what its keys are, for maps: name (the default) or scope
//	reload    "no" for what is read at the start only, with everything in it

// field is one setting of a struct.
type field struct {
	name       string
	index      []int
	typ        reflect.Type
	fallback   string // default, if hasDefault
	hasDefault bool
	required   string
	enum       []string
	later      []string
	min, max   string
	names      string
	fixed      bool // read at the start only
}

// fields lists the settings of a struct type in the order of the source.
func fields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if option == "inline" {
			for _, inner := range fields(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				out = append(out, inner)
			}
			continue
		}
		if name == "-" || name == "" {
			continue
		}
		s := field{
			name: name, index: []int{i}, typ: f.Type,
			required: f.Tag.Get("required"),
			enum:     alternatives(f.Tag.Get("enum")), later: alternatives(f.Tag.Get("later")),
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), names: f.Tag.Get("names"),
			fixed: f.Tag.Get("reload") == "no",
		}
		s.fallback, s.hasDefault = f.Tag.Lookup("default")
		out = append(out, s)
	}
	return out
}

func alternatives(tag string) []string {
	if tag == "" {
		return nil
	}
	return strings.Split(tag, "|")
}

func fieldNames(fs []field) []string {
	var names []string
	for _, f := range fs {
		names = append(names, f.name)
	}
	return names
}

// textual is a type that reads itself from the text of a scalar. A complaint tells the next step.
type textual interface {
	parse(d *decoder, in string) error
}

// structural is a type that reads itself from a value of any kind, null included.
type structural interface {
	decode(d *decoder, n *node, p path)
}

func ownForm(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[textual]()) || p.Implements(reflect.TypeFor[structural]())
}

// section returns the struct type whose fields are settings that t holds, directly or behind a
// pointer; nil when t is read in another way.
func section(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || ownForm(t) || foreign(t) {
		return nil
	}
	return t
}

// named returns the struct type of a map by name, as routes is one, or nil.
func named(t reflect.Type) reflect.Type {
	if t.Kind() != reflect.Map || ownForm(t) {
		return nil
	}
	return section(t.Elem())
}

// setting finds what a path names within a struct type. When there is no such setting, unknown is
// the first part that is not known, and known what may stand there.
func setting(t reflect.Type, p path) (f field, ok bool, unknown string, known []string) {
	all := fields(t)
	i := slices.IndexFunc(all, func(f field) bool { return f.name == p[0] })
	if i < 0 {
		return field{}, false, p[0], fieldNames(all)
	}
	f, p = all[i], p[1:]
	if len(p) == 0 || f.typ == reflect.TypeFor[Later]() {
		return f, true, "", nil
	}
	if inner := section(f.typ); inner != nil {
		return setting(inner, p)
	}
	if elem := named(f.typ); elem != nil && validName(p[0]) {
		if len(p) == 1 {
			return field{name: p[0], typ: elem}, true, "", nil
		}
		return setting(elem, p[1:])
	}
	return field{}, false, p[0], nil
}

// homes lists where in the configuration a setting of this name exists, as in routes.<name>.
func homes(name string) []string {
	var found []string
	var visit func(t reflect.Type, at string)
	visit = func(t reflect.Type, at string) {
		for _, f := range fields(t) {
			if f.name == name && at != "" {
				found = append(found, at)
			}
			if inner := section(f.typ); inner != nil {
				visit(inner, strings.TrimPrefix(at+"."+f.name, "."))
			} else if elem := named(f.typ); elem != nil {
				visit(elem, strings.TrimPrefix(at+"."+f.name+".<name>", "."))
			}
		}
	}
	visit(reflect.TypeFor[Config](), "")
	return found
}
