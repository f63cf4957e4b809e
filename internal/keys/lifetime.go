package keys

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lifetime is how long from creation something lives: so many calendar months and then a duration,
// or until an instant. The zero value never ends.
type Lifetime struct {
	Months int
	For    time.Duration
	Until  time.Time
}

// No lifetime reaches beyond what RFC 3339 can write (year 9999).
const (
	maxLifetimeMonths = 12 * 1000
	maxLifetime       = 100_000 * 24 * time.Hour // 273 years; a duration holds 292
)

// lifetimeUnits are the units of durations, longest first, so that String finds the plainest.
var lifetimeUnits = [...]struct {
	name string
	unit time.Duration
}{
	{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond},
}

// ParseLifetime reads never, 90d, 12h, 6mo, 2y, a date such as 2027-01-31 (from its first instant
// in UTC on, it is over) or an RFC 3339 time.
func ParseLifetime(s string) (Lifetime, error) {
	bad := func(why string) (Lifetime, error) {
		return Lifetime{}, fmt.Errorf("read lifetime %q: %s; write for example never, 12h, 90d, 6mo, 2y, "+
			"2027-01-31 or 2027-01-31T18:00:00Z", s, why)
	}
	switch {
	case s == "never":
		return Lifetime{}, nil
	case s == "":
		return bad("it is empty")
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return Lifetime{Until: t}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return Lifetime{Until: t.UTC()}, nil
	}
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits == 0 {
		return bad("it is neither a number with a unit nor a date")
	}
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return bad("the number is too large")
	}
	if n == 0 {
		return bad("it must be longer than nothing")
	}
	switch unit := s[digits:]; unit {
	case "":
		return bad("the unit is missing")
	case "mo", "y":
		if n > maxLifetimeMonths {
			return bad("it is longer than 1000y")
		}
		if unit == "y" {
			n *= 12
		}
		if n > maxLifetimeMonths {
			return bad("it is longer than 1000y")
		}
		return Lifetime{Months: int(n)}, nil
	default:
		for _, u := range lifetimeUnits {
			if u.name != unit {
				continue
			}
			if n > int64(maxLifetime/u.unit) {
				return bad("it is longer than 100000d; use y")
			}
			return Lifetime{For: time.Duration(n) * u.unit}, nil
		}
		return bad(fmt.Sprintf("the unit %q is none of ms, s, m, h, d, mo, y", unit))
	}
}

// Never tells whether it has no end.
func (l Lifetime) Never() bool { return l.Months == 0 && l.For == 0 && l.Until.IsZero() }

// End returns the end for something created at t in UTC, zero for never. Months clamp to the month's
// last day: 31 January and one month is the last day of February.
func (l Lifetime) End(t time.Time) time.Time {
	if l.Never() {
		return time.Time{}
	}
	if !l.Until.IsZero() {
		return l.Until.UTC()
	}
	return addMonths(t.UTC(), l.Months).Add(l.For)
}

// Ago returns the instant that lies so long before t. It is false for never and for a point in time.
func (l Lifetime) Ago(t time.Time) (time.Time, bool) {
	if l.Never() || !l.Until.IsZero() {
		return time.Time{}, false
	}
	return addMonths(t.UTC(), -l.Months).Add(-l.For), true
}

func addMonths(t time.Time, months int) time.Time {
	if months == 0 {
		return t
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	last := time.Date(year, month+time.Month(months)+1, 0, 0, 0, 0, 0, t.Location()).Day()
	return time.Date(year, month+time.Month(months), min(day, last), hour, minute, second, t.Nanosecond(), t.Location())
}

// String writes the lifetime so that ParseLifetime reads it back.
func (l Lifetime) String() string {
	switch {
	case l.Never():
		return "never"
	case !l.Until.IsZero():
		if t := l.Until.UTC(); t.Equal(t.Truncate(24 * time.Hour)) {
			return t.Format(time.DateOnly)
		}
		return l.Until.UTC().Format(time.RFC3339Nano)
	case l.For == 0 && l.Months%12 == 0:
		return strconv.Itoa(l.Months/12) + "y"
	case l.For == 0:
		return strconv.Itoa(l.Months) + "mo"
	}
	s := l.For.String() // only for values that ParseLifetime does not make
	for _, u := range lifetimeUnits {
		if l.For%u.unit == 0 {
			s = strconv.FormatInt(int64(l.For/u.unit), 10) + u.name
			break
		}
	}
	if l.Months != 0 {
		return strconv.Itoa(l.Months) + "mo+" + s
	}
	return s
}

// MarshalText writes what ParseLifetime reads.
func (l Lifetime) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is ParseLifetime.
func (l *Lifetime) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLifetime(string(text))
	return err
}
