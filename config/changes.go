package config

import (
	"reflect"
	"slices"
)

// Changes compares two configurations and lists the settings that differ, as dotted paths in order:
// changed all of them, fixed those among them that are read at the start only, so that next has
// them in vain until a restart. Of settings by name, an entry that came or went is one change.
func (c *Config) Changes(next *Config) (changed, fixed []string) {
	diff := difference{report: func(p path, atStart bool) {
		changed = append(changed, p.String())
		if atStart {
			fixed = append(fixed, p.String())
		}
	}}
	diff.section(reflect.TypeFor[Config](), c.Effective(), next.Effective(), nil, false)
	slices.Sort(changed)
	slices.Sort(fixed)
	return changed, fixed
}

// difference walks two views of Effective side by side.
type difference struct {
	report func(p path, fixed bool)
}

func (d difference) section(t reflect.Type, a, b map[string]any, p path, fixed bool) {
	for _, f := range fields(t) {
		d.setting(f, a[f.name], b[f.name], p.to(f.name), fixed || f.fixed)
	}
}

func (d difference) setting(f field, a, b any, p path, fixed bool) {
	if reflect.DeepEqual(a, b) {
		return
	}
	one, _ := a.(map[string]any)
	two, _ := b.(map[string]any)
	switch inner, elem := section(f.typ), named(f.typ); {
	case one == nil || two == nil:
		d.report(p, fixed)
	case inner != nil:
		d.section(inner, one, two, p, fixed)
	case elem != nil:
		for name := range one {
			if _, stays := two[name]; !stays {
				d.report(p.to(name), fixed)
			}
		}
		for name := range two {
			if _, was := one[name]; !was {
				d.report(p.to(name), fixed)
			} else {
				d.section(elem, one[name].(map[string]any), two[name].(map[string]any), p.to(name), fixed)
			}
		}
	default:
		d.report(p, fixed)
	}
}
