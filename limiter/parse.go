package limiter

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// slidingUnits are the units a sliding window is written in, shortest first.
var slidingUnits = [...]struct {
	name   string
	length time.Duration
}{
	{"ms", time.Millisecond},
	{"s", time.Second},
	{"min", time.Minute},
	{"h", time.Hour},
}

const forms = "write N/[k](ms|s|min|h) for a sliding window (2/s, 100/10s, 1000/24h), N/day or N/month for a calendar period"

// ParseLimit reads the limit grammar: N/[k](ms|s|min|h) slides (2/s, 100/10s, 1000/24h), N/day and
// N/month follow the calendar. N is 1 to MaxUnits, the window MinWindow to MaxWindow. Numbers are
// plain digits without leading zeros, and there are no spaces. An error says what is wrong, what
// was probably meant, and which forms there are.
func ParseLimit(s string) (Limit, error) {
	l, why := parse(s)
	if why == "" {
		return l, nil
	}
	msg := fmt.Sprintf("limit %s: %s", quote(s), why)
	if near := nearest(s); len(near) > 0 {
		msg += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return Limit{}, errors.New(msg + "; " + forms)
}

// parse returns why s is not a limit, or "".
func parse(s string) (l Limit, why string) {
	number, per, found := strings.Cut(s, "/")
	if !found {
		return l, "a number, a slash and a time are needed"
	}
	n, why := parseCount(number, MaxUnits)
	if why != "" {
		return l, "the number before the slash " + why
	}
	switch per {
	case "day":
		return Limit{N: n, Unit: Day}, ""
	case "month":
		return Limit{N: n, Unit: Month}, ""
	case "":
		return l, "the time after the slash is missing"
	}
	unit := strings.TrimLeft(per, "0123456789")
	k := int64(1)
	if digits := per[:len(per)-len(unit)]; digits != "" {
		if k, why = parseCount(digits, math.MaxInt64); why != "" {
			return l, "the number after the slash " + why
		}
	}
	for _, u := range slidingUnits {
		if u.name != unit {
			continue
		}
		if k > int64(MaxWindow/u.length) {
			return l, fmt.Sprintf("the window is longer than %d days", MaxWindow/(24*time.Hour))
		}
		return Limit{N: n, Window: time.Duration(k) * u.length}, ""
	}
	switch unit {
	case "":
		return l, "the unit after the slash is missing"
	case "day", "month":
		return l, "a calendar limit counts one " + unit + " at a time"
	}
	return l, "unknown unit " + quote(unit)
}

// parseCount reads plain digits, 1 to most, and says what is wrong as the end of a sentence.
func parseCount(s string, most int64) (n int64, why string) {
	switch {
	case s == "":
		return 0, "is missing"
	case strings.Trim(s, "0123456789") != "":
		return 0, "must be plain digits"
	case strings.Trim(s, "0") == "":
		return 0, "must be at least 1"
	case s[0] == '0':
		return 0, "must not start with 0"
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > most {
		return 0, fmt.Sprintf("must be at most %d", most)
	}
	return n, ""
}

// spellings are what people write for a unit, with the units probably meant. A factor turns days
// and longer into the hours of a window that slides.
var spellings = []struct {
	words  string
	means  []string
	factor int64
}{
	{"ms msec msecs milli millis millisecond milliseconds", []string{"ms"}, 1},
	{"s sec secs second seconds", []string{"s"}, 1},
	{"min mins minute minutes", []string{"min"}, 1},
	{"m", []string{"min", "month"}, 1},
	{"h hr hrs hour hours hourly", []string{"h"}, 1},
	{"d day days daily", []string{"day"}, 24},
	{"w wk week weeks weekly", []string{"h"}, 7 * 24},
	{"mo mon mth month months monthly", []string{"month"}, 30 * 24},
	{"y yr year years yearly", []string{"h"}, 365 * 24},
}

// nearest guesses which limits were meant by s. Whatever it returns parses.
func nearest(s string) []string {
	if len(s) > 64 {
		return nil
	}
	s = strings.ToLower(s)
	s = strings.Replace(s, " per ", "/", 1)
	s = strings.NewReplacer(" ", "", "\t", "", "_", "", ",", "", "'", "", "-", "", "+", "").Replace(s)
	number, per, found := strings.Cut(s, "/")
	if !found {
		// 2s was perhaps meant as 2/s.
		per = strings.TrimLeft(number, "0123456789")
		number = number[:len(number)-len(per)]
	}
	number = strings.TrimLeft(number, "0")
	if rest, ok := strings.CutSuffix(number, "k"); ok {
		number = rest + "000"
	}
	word := strings.TrimLeft(per, "0123456789")
	k := int64(1)
	if digits := per[:len(per)-len(word)]; digits != "" {
		var err error
		if k, err = strconv.ParseInt(digits, 10, 32); err != nil {
			return nil
		}
	}
	var out []string
	means, factor := meaning(word)
	for _, unit := range means {
		label := unit
		calendar := unit == "day" || unit == "month"
		switch {
		case calendar && k > 1 || !calendar && factor > 1:
			label = strconv.FormatInt(k*factor, 10) + "h"
		case k != 1:
			label = strconv.FormatInt(k, 10) + unit
		}
		if l, why := parse(number + "/" + label); why == "" {
			out = append(out, l.String())
		}
	}
	return out
}

// meaning finds the units that word stands for, allowing a typing error or two in longer words.
func meaning(word string) (units []string, factor int64) {
	best := 3
	for _, s := range spellings {
		for known := range strings.FieldsSeq(s.words) {
			d := distance(word, known)
			if d > 0 && (len(known) < 4 || d > (len(known)+1)/3) {
				continue
			}
			if d < best {
				best, units, factor = d, s.means, s.factor
			}
		}
	}
	return units, factor
}

// distance is the number of single-byte insertions, deletions and replacements between a and b.
// The domain measures words too, but nothing here may import it: limiter imports nothing of ours.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// quote keeps what a stranger wrote readable and short.
func quote(s string) string {
	if len(s) > 40 {
		return strconv.Quote(s[:40]) + "…"
	}
	return strconv.Quote(s)
}
