package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/keys"
	"postern/limiter"
)

// string decodes text. Text that YAML reads as a number or truth value wants quotes, because the
// reader of the file cannot know that Postern would have taken it.
func (d *decoder) string(v reflect.Value, n *node, f field, p path) {
	in, ok := d.text(n, p)
	switch {
	case !ok:
		return
	case slices.Contains(f.later, in):
		d.problem(n.at, p, in+" is not available in this version", "write "+strings.Join(f.enum, " or "))
	case len(f.enum) > 0 && !slices.Contains(f.enum, in):
		next := "write one of " + strings.Join(f.enum, ", ")
		if near := keys.Nearest(in, f.enum); near != "" {
			next = fmt.Sprintf("did you mean %s?", near)
		} else if len(f.enum) == 1 {
			next = "write " + f.enum[0]
		}
		d.problem(n.at, p, fmt.Sprintf("%s is not known here", show(in)), next)
	case len(f.enum) == 0 && n.looks != textLooks && n.looks != anyLooks:
		d.problem(n.at, p, fmt.Sprintf("must be text, but %s is read as %s", in, n.looks), fmt.Sprintf("write %q", in))
	default:
		v.SetString(in)
	}
}

func (d *decoder) bool(v reflect.Value, n *node, p path) {
	in, ok := d.text(n, p)
	switch {
	case !ok:
	case n.looks != textLooks && (in == "true" || in == "false"):
		v.SetBool(in == "true")
	default:
		next := "write true or false"
		switch strings.ToLower(in) {
		case "yes", "on", "true":
			next = "write true"
		case "no", "off", "false":
			next = "write false"
		}
		if n.looks == textLooks && (in == "true" || in == "false") {
			next += " without quotes"
		}
		d.problem(n.at, p, fmt.Sprintf("%s is not true or false", show(in)), next)
	}
}

func (d *decoder) int(v reflect.Value, n *node, f field, p path) {
	in, ok := d.text(n, p)
	if !ok {
		return
	}
	i, err := strconv.ParseInt(in, 10, 64)
	switch {
	case err != nil && errors.Is(err, strconv.ErrRange):
		d.problem(n.at, p, in+" is too large", "")
	case err != nil || n.looks == textLooks:
		d.problem(n.at, p, fmt.Sprintf("%s is not a whole number", show(in)), "write digits only, without quotes")
	default:
		v.SetInt(i)
		d.bounds(v, n, f, p)
	}
}

// bounds checks min and max of a number, duration or size.
func (d *decoder) bounds(v reflect.Value, n *node, f field, p path) {
	if f.min == "" && f.max == "" || d.broken(p...) {
		return
	}
	bound := func(tag string) int64 {
		b := reflect.New(v.Type())
		switch target := b.Interface().(type) {
		case textual:
			_ = target.parse(d, tag)
		case *time.Duration:
			_ = parseForeign(target, tag)
		default:
			i, _ := strconv.ParseInt(tag, 10, 64)
			return i
		}
		return b.Elem().Int()
	}
	unlimited := v.Type() == reflect.TypeFor[Size]() && v.Int() == int64(Unlimited)
	if f.min != "" && v.Int() < bound(f.min) && !unlimited {
		d.problem(n.at, p, n.text+" is too small", "the least is "+f.min)
	}
	if f.max != "" && v.Int() > bound(f.max) {
		d.problem(n.at, p, n.text+" is too large", "the most is "+f.max)
	}
}

// text returns a scalar's text, or complains.
func (d *decoder) text(n *node, p path) (string, bool) {
	switch {
	case holdsPassword(n.joined):
		d.mask(n)
		d.problem(n.at, p, "is read as a map, because it is not quoted in a list inside { }", "put it in quotes")
	case n.joined != "":
		d.problem(n.at, p, fmt.Sprintf("%s is read as a map, because it is not quoted in a list inside { }", n.joined), fmt.Sprintf("put it in quotes: %q", n.joined))
	case n.kind == null:
		d.problem(n.at, p, "has no value", "write one, or remove the line")
	case n.kind == list, n.kind == mapping:
		d.problem(n.at, p, fmt.Sprintf("must be a single value, not %s", n.kind), "")
	default:
		return n.text, n.kind == scalar
	}
	return "", false
}

// accept turns the error of a value into a problem.
func (d *decoder) accept(err error, p path, n *node) {
	if err == nil {
		return
	}
	var c complaint
	if !errors.As(err, &c) {
		c.what = err.Error()
	}
	d.problem(n.at, p, c.what, c.next)
}

// show quotes a value for a message, and only so much of it as helps.
func show(s string) string {
	s = secretShaped.ReplaceAllString(s, masked)
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}

// foreign tells whether parseForeign reads the type.
func foreign(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[*url.URL](), reflect.TypeFor[url.URL](),
		reflect.TypeFor[*time.Location](), reflect.TypeFor[time.Location](), reflect.TypeFor[keys.Lifetime](), reflect.TypeFor[limiter.Limit]():
		return true
	}
	return false
}

// parseForeign reads types of other packages.
func parseForeign(target any, in string) (err error) {
	switch t := target.(type) {
	case *time.Duration:
		*t, err = parseDuration(in)
	case *netip.Prefix:
		*t, err = keys.ParsePrefix(in)
		err = advice(err)
	case **url.URL:
		*t, err = parseTarget(in)
	case **time.Location:
		*t, err = parseZone(in)
	case *keys.Lifetime:
		*t, err = keys.ParseLifetime(in)
		err = advice(err)
	case *limiter.Limit:
		*t, err = parseLimit(in)
	}
	return err
}

func parseLimit(in string) (limiter.Limit, error) {
	l, err := limiter.ParseLimit(in)
	return l, advice(err)
}

// advice takes an error apart that tells the next step behind a semicolon.
func advice(err error) error {
	if err == nil {
		return nil
	}
	what, next, _ := strings.Cut(err.Error(), "; ")
	if near, _, guessed := strings.Cut(next, "?; "); guessed {
		next = near + "?"
	}
	return complaint{what, next}
}
