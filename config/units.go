package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"postern/internal/keys"
)

// Quantities are a whole number and a unit, and the unit is always written: 30 could be
// milliseconds to one reader and minutes to another.

// complaint is what is wrong with one value, and the next step.
type complaint struct{ what, next string }

func (c complaint) Error() string { return c.what }

var quantity = regexp.MustCompile(`^([0-9]+) ?([a-zA-Z]*)$`)

// split takes a quantity apart. A wrong form is told with the example.
func split(s, example string) (n int64, unit string, err error) {
	m := quantity.FindStringSubmatch(s)
	if m == nil {
		return 0, "", complaint{fmt.Sprintf("%q is not a whole number with a unit", s), "write it as in " + example}
	}
	n, err = strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, "", complaint{fmt.Sprintf("%s is too large", s), ""}
	}
	return n, m[2], nil
}

// parseDuration reads 250ms, 30s, 5m, 12h or 7d.
func parseDuration(s string) (time.Duration, error) {
	n, unit, err := split(s, "30s; the units are ms, s, m, h and d")
	if err != nil {
		return 0, err
	}
	var each time.Duration
	switch unit {
	case "ms":
		each = time.Millisecond
	case "s":
		each = time.Second
	case "m":
		each = time.Minute
	case "h":
		each = time.Hour
	case "d":
		each = 24 * time.Hour
	case "":
		return 0, complaint{fmt.Sprintf("%s has no unit", s), fmt.Sprintf("write %ss for seconds; the units are ms, s, m, h and d", s)}
	case "min":
		return 0, complaint{fmt.Sprintf("%q has an unknown unit", s), fmt.Sprintf("write %dm for minutes", n)}
	default:
		return 0, complaint{fmt.Sprintf("%q has an unknown unit", s), "the units are ms, s, m, h and d"}
	}
	if n > math.MaxInt64/int64(each) {
		return 0, complaint{fmt.Sprintf("%s is too long", s), ""}
	}
	return time.Duration(n) * each, nil
}

// Size is a number of bytes, or Unlimited.
type Size int64

// Unlimited is the Size of what has no bound.
const Unlimited Size = -1

func (s *Size) parse(_ *decoder, in string) error {
	if in == "unlimited" {
		*s = Unlimited
		return nil
	}
	n, err := parseSize(in)
	*s = Size(n)
	return err
}

// parseSize reads 512B, 64KiB, 10MiB, 2GiB or 1TiB.
func parseSize(in string) (int64, error) {
	n, unit, err := split(in, "10MiB; the units are B, KiB, MiB, GiB and TiB")
	if err != nil {
		return 0, err
	}
	shift, known := map[string]uint{"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[unit]
	switch {
	case unit == "":
		return 0, complaint{fmt.Sprintf("%s has no unit", in), fmt.Sprintf("write %sB for bytes; the units are B, KiB, MiB, GiB and TiB", in)}
	case !known:
		next := "the units are B, KiB, MiB, GiB and TiB"
		if near := nearestUnit(unit); near != "" {
			next = fmt.Sprintf("write %d%s", n, near)
		}
		return 0, complaint{fmt.Sprintf("%q has an unknown unit", in), next}
	case n > math.MaxInt64>>shift:
		return 0, complaint{fmt.Sprintf("%s is too large", in), ""}
	}
	return n << shift, nil
}

// nearestUnit finds MiB for M, MB, mb and mib.
func nearestUnit(unit string) string {
	switch strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(unit), "b"), "i") {
	case "":
		return "B"
	case "k":
		return "KiB"
	case "m":
		return "MiB"
	case "g":
		return "GiB"
	case "t":
		return "TiB"
	}
	return ""
}

// Cap is a largest number, 1 to 1000, or keys.Unlimited.
type Cap int

func (c *Cap) parse(_ *decoder, in string) error {
	if in == "unlimited" {
		*c = keys.Unlimited
		return nil
	}
	n, err := strconv.Atoi(in)
	if err != nil || n < 1 || n > 1000 {
		return complaint{fmt.Sprintf("%s is not a number from 1 to 1000", in), "write a number from 1 to 1000, or unlimited"}
	}
	*c = Cap(n)
	return nil
}
