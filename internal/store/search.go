package store

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// fold makes texts that differ in case alone equal, in every script and not only in ASCII as the
// database's own lower does. By way of the upper case, because some letters have two lower ones (σ, ς).
// It is what both the searched columns and the search text go through.
func fold(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	s = strings.ToLower(strings.ToUpper(strings.ToValidUTF8(s, "\uFFFD")))
	return strings.ReplaceAll(s, "\x00", "\uFFFD") // text ends at a NUL for LIKE
}

// ascii tells whether s is ASCII without NUL, which needs none of the care.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] == 0 || s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// escapeLike takes the meaning from the wildcards of LIKE … ESCAPE '\'.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// odd tells whether one of the texts holds a NUL or is no UTF-8. The query builder leaves NULs out of the
// texts it writes, so such a text must not reach it: it would stand for another one. And PostgreSQL keeps
// neither, so that nothing is like that in any database.
func odd(texts ...string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, "\x00") || !utf8.ValidString(s) })
}
