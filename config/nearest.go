package config

import (
	"fmt"
	"slices"
	"strings"
)

// nearest returns the candidate that name was most likely meant to be, or "" when none is close:
// at most one edit for each three characters of the longer of the two.
func nearest(name string, candidates []string) string {
	if len(name) > maxName {
		return ""
	}
	best, least := "", maxName
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := distance(plain(name), plain(c)); d < least && d <= max(1, max(len(name), len(c))/3) {
			best, least = c, d
		}
	}
	return best
}

// plain drops what people confuse most: case, and which of - _ and space stands between words.
func plain(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
}

// distance counts the edits between two texts: characters inserted, removed, replaced, or two
// neighbours swapped.
func distance(a, b string) int {
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

// meant is the next step for a name that is not among the candidates.
func meant(name string, candidates []string) string {
	if n := nearest(name, candidates); n != "" {
		return fmt.Sprintf("did you mean %s?", n)
	}
	switch {
	case len(candidates) == 0:
		return ""
	case len(candidates) <= 12:
		return "known here: " + strings.Join(slices.Sorted(slices.Values(candidates)), ", ")
	}
	return ""
}
