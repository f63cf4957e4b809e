package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const reference = "../gateway.yaml"

// TestReferenceLoads loads the reference configuration as it is.
func TestReferenceLoads(t *testing.T) {
	c, warnings, err := Load(reference, LoadOptions{})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("got error %v, warnings %v", err, warnings)
	}
	if c.Routes["orders"] == nil || c.Plans["standard"] == nil {
		t.Errorf("got routes %v and plans %v, want the ones that the documentation names", names(c.Routes), names(c.Plans))
	}
}

// off finds a setting that is commented out: # and the indentation, two spaces a level.
var off = regexp.MustCompile(`(?m)^( *)#((?:  )*)([A-Za-z_-]+:(?: .*)?)$`)

// reachedThrough are the names under which the reference shows what stands under any name.
var reachedThrough = map[string]string{"apis": "orders", "plans": "standard", "tenant_plans": "business", "routes": "orders", "keys": "ci", "roles": "key_manager"}

// TestReferenceIsComplete compares the reference with the structs: every setting is shown, live or
// commented out, and what is shown is the default unless its line says otherwise.
func TestReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	src := regexp.MustCompile(`(?m)^( *[a-z_]+:) \{\}(.*\n(?: *#[^ ].*\n| *#  .*\n)*)`).ReplaceAllStringFunc(string(text), func(s string) string {
		if off.MatchString(s) { // the settings below stand in for the {}
			s = strings.Replace(s, " {}", "", 1)
		}
		return s
	})
	src = off.ReplaceAllString(src, "$1$2$3")
	written := lines(src)
	r := reader{complain: func(at place, what, next string) {
		t.Fatalf("with everything uncommented, line %d: %s: %s", at.line, what, strings.Join(written[max(0, at.line-2):at.line], "\n"))
	}}
	root := r.read(src)

	shown := 0
	var visit func(typ reflect.Type, n *node, p path)
	visit = func(typ reflect.Type, n *node, p path) {
		for _, f := range fields(typ) {
			at := p.to(f.name)
			if f.typ == reflect.TypeFor[Later]() {
				continue
			}
			e := n.entry(f.name)
			if e == nil {
				t.Errorf("%s is not shown", at)
				continue
			}
			shown++
			line := written[e.at.line-1]
			if inner := section(f.typ); inner != nil {
				visit(inner, e.value, at)
				continue
			}
			if elem := named(f.typ); elem != nil {
				name := reachedThrough[f.name]
				if e.value.entry(name) == nil {
					t.Errorf("%s is not shown", at.to(name))
					continue
				}
				visit(elem, e.value.entry(name).value, at.to(name))
				continue
			}
			value := flow(e.value)
			_, note, said := strings.Cut(line, "(default: ")
			note, _, _ = strings.Cut(note, ")")
			switch {
			case f.hasDefault && value == f.fallback && !said:
			case f.hasDefault && said && note == f.fallback && value != f.fallback:
			case f.hasDefault:
				t.Errorf("%s: shows %s, line says %q, and the default is %q", at, value, note, f.fallback)
			case f.required == "" && !said && value != "{}":
				t.Errorf("%s: its line says no (default: …)", at)
			}
		}
	}
	visit(reflect.TypeFor[Config](), root, nil)
	if shown < 90 {
		t.Errorf("only %d settings were compared", shown)
	}
}

// flow writes a value as a default tag has it.
func flow(n *node) string {
	switch n.kind {
	case scalar:
		return n.text
	case list:
		var items []string
		for _, i := range n.items {
			items = append(items, flow(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case mapping:
		var items []string
		for _, e := range n.entries {
			items = append(items, e.key+": "+flow(e.value))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return ""
}

// TestSchema makes sure that every setting's type can be read and every default is sound.
func TestSchema(t *testing.T) {
	c, _, err := Parse("schema.yaml", []byte("version: 1\nroutes: { a: { match: { path: / }, upstream: { targets: [\"http://a\"] }, public: true } }\n"), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Routes["a"].Timeout == 0 || c.MaxStale == 0 {
		t.Error("defaults are missing")
	}
	known := map[string]bool{"yaml": true, "default": true, "required": true, "enum": true, "later": true, "min": true, "max": true, "names": true, "reload": true}
	tag := regexp.MustCompile(`([a-z]+):"`)
	var visit func(typ reflect.Type)
	visit = func(typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			for _, m := range tag.FindAllStringSubmatch(regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllString(string(f.Tag), `"`), -1) {
				if !known[m[1]] {
					t.Errorf("%s.%s: unknown tag %s", typ, f.Name, m[1])
				}
			}
			if f.Tag.Get("yaml") == "" {
				t.Errorf("%s.%s has no yaml tag", typ, f.Name)
			}
			if f.Tag.Get("yaml") == "-" {
				continue
			}
			if inner := section(f.Type); inner != nil {
				visit(inner)
			} else if elem := named(f.Type); elem != nil {
				visit(elem)
			}
		}
	}
	visit(reflect.TypeFor[Config]())
}
