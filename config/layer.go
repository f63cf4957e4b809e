package config

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"postern/internal/keys"
)

// File, variables and flags are merged by koanf, and it does nothing else here. Its leaves are
// handles into a table of nodes, so that each value keeps the place it came from; lists are one
// leaf and replace each other. Defaults come last, when the values are decoded: routes and plans
// have defaults too, and only then are their names known.

// layers merges trees of nodes, later ones over earlier ones.
type layers struct {
	koanf *koanf.Koanf
	nodes []*node
	keys  map[string]place // by path: where a key was first written
	maps  map[string]place // by path: where a map was first written
}

func newLayers() *layers {
	return &layers{koanf: koanf.New(delimiter), keys: map[string]place{}, maps: map[string]place{}}
}

// add puts a value at a path over what is there.
func (l *layers) add(p path, n *node) error {
	tree := l.pack(p, n)
	for i := len(p) - 1; i >= 0; i-- {
		first(l.keys, p[:i+1], n.at)
		first(l.maps, p[:i], n.at)
		tree = map[string]any{p[i]: tree}
	}
	root, ok := tree.(map[string]any)
	if !ok {
		return fmt.Errorf("merge %s: not a map", p)
	}
	return l.koanf.Load(confmap.Provider(root, ""), nil)
}

func first(places map[string]place, p path, at place) {
	if _, there := places[p.id()]; !there {
		places[p.id()] = at
	}
}

// pack turns maps into koanf's and everything else into handles.
func (l *layers) pack(p path, n *node) any {
	if n.kind != mapping || n.joined != "" {
		l.nodes = append(l.nodes, n)
		return len(l.nodes) - 1
	}
	first(l.maps, p, n.at)
	out := make(map[string]any, len(n.entries))
	for _, e := range n.entries {
		at := p.to(e.key)
		first(l.keys, at, e.at)
		out[e.key] = l.pack(at, e.value)
	}
	return out
}

// merged returns the result, entries in the order in which they were written.
func (l *layers) merged() *node { return l.unpack(nil, l.koanf.Raw()) }

func (l *layers) unpack(p path, v any) *node {
	if handle, ok := v.(int); ok {
		return l.nodes[handle]
	}
	out := &node{kind: mapping, at: l.maps[p.id()]}
	for key, inner := range v.(map[string]any) {
		at := p.to(key)
		out.entries = append(out.entries, entry{key: key, at: l.keys[at.id()], value: l.unpack(at, inner)})
	}
	slices.SortFunc(out.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at.origin, b.at.origin), cmp.Compare(a.at.line, b.at.line),
			cmp.Compare(a.at.column, b.at.column), cmp.Compare(a.key, b.key))
	})
	return out
}

const envPrefix = "POSTERN_"

// clientVariables begin with POSTERN_ too, but belong to the client commands.
var clientVariables = []string{"POSTERN_ADMIN_URL", "POSTERN_ADMIN_TOKEN", "POSTERN_ADMIN_CA"}

// addEnv puts the POSTERN_ variables over the file: POSTERN_LISTEN__GATEWAY is listen.gateway. A
// list or map is written as YAML, as in [bearer, basic]. Unknown variables are warnings, because
// Kubernetes invents some for each service.
func (d *decoder) addEnv(l *layers) error {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(d.env)), func(name string) bool {
		return !strings.HasPrefix(name, envPrefix) || slices.Contains(clientVariables, name)
	})
	outerFirst(names, "__")
	for _, name := range names {
		at := place{origin: "environment variable " + name}
		p := path(strings.Split(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__"))
		f, ok, unknown, known := setting(reflect.TypeFor[Config](), p)
		if !ok {
			next := ""
			if near := keys.Nearest(unknown, known); near != "" {
				better := slices.Clone(p)
				better[slices.Index(p, unknown)] = near
				next = fmt.Sprintf("did you mean %s?", envPrefix+strings.ToUpper(strings.Join(better, "__")))
			}
			d.warn(at, nil, "is no setting of Postern and is ignored", next)
			continue
		}
		if err := l.add(p, d.given(d.env[name], f, p, at)); err != nil {
			return err
		}
	}
	return nil
}

// given makes a node of the text of a variable or flag: as it stands for single values, by YAML
// for lists and maps.
func (d *decoder) given(in string, f field, p path, at place) *node {
	if singleValue(f.typ) && !bracketed(in, f.typ) {
		return &node{kind: scalar, text: in, at: at}
	}
	sound := true
	r := reader{origin: at.origin, complain: func(_ place, what, next string) {
		sound = false
		d.problem(at, p, what, next)
	}}
	switch n := r.read(in); {
	case !sound:
		return &node{kind: broken, at: at}
	case n == nil:
		return &node{kind: null, at: at}
	default:
		return n
	}
}

// singleValue tells whether a setting is written as one scalar.
func singleValue(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[textual]()) || foreign(t) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	}
	return false
}

// bracketed tells whether a text is a YAML list or map for a setting that may be one, such as the
// limiter's backend.
func bracketed(in string, t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[structural]()) && strings.HasPrefix(strings.TrimSpace(in), "{")
}

// addFlags puts flags over everything else. A path that is no setting is the program's mistake or
// the user's, and a problem in either case.
func (d *decoder) addFlags(l *layers, flags map[string]any) error {
	paths := slices.Collect(maps.Keys(flags))
	outerFirst(paths, ".")
	for _, name := range paths {
		at := place{origin: "flag " + name}
		p := path(strings.Split(name, "."))
		f, ok, unknown, known := setting(reflect.TypeFor[Config](), p)
		if !ok {
			d.problem(at, nil, "is no setting", meant(unknown, known))
			continue
		}
		value := literal(flags[name], at)
		if in, isText := flags[name].(string); isText {
			value = d.given(in, f, p, at)
		}
		if err := l.add(p, value); err != nil {
			return err
		}
	}
	return nil
}

// outerFirst sorts so that a whole section comes before the settings in it and cannot undo them.
func outerFirst(names []string, separator string) {
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, separator), strings.Count(b, separator)), cmp.Compare(a, b))
	})
}

// literal makes a node of a value that a program hands over.
func literal(v any, at place) *node {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice, reflect.Array:
		out := &node{kind: list, at: at}
		for i := range r.Len() {
			out.items = append(out.items, literal(r.Index(i).Interface(), at))
		}
		return out
	case reflect.Map:
		out := &node{kind: mapping, at: at}
		for _, key := range r.MapKeys() {
			out.entries = append(out.entries, entry{key: fmt.Sprint(key.Interface()), at: at, value: literal(r.MapIndex(key).Interface(), at)})
		}
		slices.SortFunc(out.entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
		return out
	case reflect.Invalid:
		return &node{kind: null, at: at}
	case reflect.Bool:
		return &node{kind: scalar, text: strconv.FormatBool(r.Bool()), at: at}
	}
	return &node{kind: scalar, text: fmt.Sprint(v), at: at}
}
