package keys

import (
	"slices"
	"strconv"
	"strings"
)

// longestName bounds how much of a given name is compared and quoted.
const longestName = 64

// nearest returns the name that was probably meant, "" when none is near: at most a third of the
// characters (one at least) may be wrong.
func nearest[T ~string](given T, names []T) T {
	var best T
	if len(given) > longestName {
		return best
	}
	least := max(1, len(given)/3) + 1
	for _, name := range names {
		if d := editDistance(string(given), string(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// editDistance is Levenshtein's: insertions, deletions and replacements of bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := diagonal
			if a[i-1] != b[j-1] {
				replace++
			}
			diagonal = row[j]
			row[j] = min(replace, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// unknown is the message for a name that the configuration does not have, with the nearest that it
// has, or all when they are few.
func unknown[T ~string](what string, given T, names []T) string {
	slices.Sort(names)
	msg := "there is no " + what + " " + quote(string(given))
	if near := nearest(given, names); near != "" {
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
