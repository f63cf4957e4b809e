package keys

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// longestName bounds how much of a given name is compared and quoted.
const longestName = 64

// Nearest returns the name that was most likely meant, "" when none is close: at most one edit for
// each three characters of the longer of the two, one at least. Case and which of - _ and space
// stands between words do not count. It is for messages; names from outside cost little.
func Nearest[T ~string](given T, names []T) T {
	var best T
	if len(given) > longestName {
		return best
	}
	least, wanted := longestName, plain(string(given))
	for _, name := range slices.Sorted(slices.Values(names)) {
		d := editDistance(wanted, plain(string(name)))
		if d < least && d <= max(1, max(len(given), len(name))/3) {
			best, least = name, d
		}
	}
	return best
}

// plain drops what people confuse most.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// editDistance counts the edits between two texts: characters inserted, removed, replaced, or two
// neighbours swapped.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

// unknown is the message for a name that the configuration does not have, with the nearest that it
// has, or all when they are few.
func unknown[T ~string](what string, given T, names []T) string {
	slices.Sort(names)
	msg := "there is no " + what + " " + quote(string(given))
	if near := Nearest(given, names); near != "" {
		return msg + "; did you mean " + quote(string(near)) + "?"
	}
	if len(names) == 0 {
		return msg + "; the configuration declares none"
	}
	if len(names) <= 8 {
		msg += "; there are"
		for i, name := range names {
			if i > 0 {
				msg += ","
			}
			msg += " " + string(name)
		}
	}
	return msg
}

// quote shows what somebody wrote, shortened and without anything that a terminal would obey.
func quote(s string) string {
	if len(s) > longestName {
		s = strings.ToValidUTF8(s[:longestName], "") + "…"
	}
	return strconv.Quote(s)
}
