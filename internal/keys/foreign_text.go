package keys

import (
	"fmt"
	"strings"
)

// What a key of another gateway must be like to be let in here.
const (
	leastText    = 16   // characters
	longestText  = 4096 // bytes; a header has room for more, nobody's key does
	leastLetters = 5    // different characters
	leastSteps   = 5    // different steps from one character to the next: 1234… and aaaa… have few
	previewFrom  = 20   // characters; a shorter text shows none of them
	previewLen   = 4
)

// unfit returns why a text cannot be a key of somebody's, "" when it can. It never repeats the text.
// It cannot tell a guessable text that looks random.
func (f Format) unfit(text string) string {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return fmt.Sprintf("has a character that headers cannot carry unchanged, at place %d; keys are visible ASCII without spaces", i+1)
		}
	}
	switch t := f.Parse(text); {
	case t.Kind == ClientSecretText:
		return "is a client secret of Postern, which is worth nothing without its client"
	case t.Kind == TokenText:
		return "is an admin token of Postern, not a key"
	case t.Kind == NotOurs && f.looksOurs(text):
		return "looks like a key of this installation, but its checksum is wrong: a character is mistyped or missing"
	case len(text) > longestText:
		return fmt.Sprintf("has %d characters; at most %d are possible", len(text), longestText)
	case len(text) < leastText:
		return fmt.Sprintf("has %d characters, too few to be safe from guessing: at least %d are needed; give its holder a new key", len(text), leastText)
	case guessable(text):
		return "is too regular to be safe from guessing; give its holder a new key"
	}
	return ""
}

// looksOurs tells whether a text has the form of one of ours but for a wrong or missing end.
func (f Format) looksOurs(text string) bool {
	rest, ok := strings.CutPrefix(text, f.prefix)
	if !ok || f.prefix == "" {
		return false
	}
	for _, kind := range []string{"_live_", "_test_", "s_", "a_"} {
		id, tail, parted := strings.Cut(strings.TrimPrefix(rest, kind), "_")
		if strings.HasPrefix(rest, kind) && parted && len(id) == idLen && isBase62(id) && isBase62(tail) {
			return true
		}
	}
	return false
}

// guessable tells whether a text has so little variety that somebody may come upon it.
func guessable(text string) bool {
	var letters, steps [256]bool
	different, ways := 0, 0
	for i := range len(text) {
		if !letters[text[i]] {
			letters[text[i]] = true
			different++
		}
		if i == 0 {
			continue
		}
		if step := text[i] - text[i-1]; !steps[step] {
			steps[step] = true
			ways++
		}
	}
	return different < leastLetters || ways < leastSteps
}

// importPreview returns what may be shown of an imported text.
func (f Format) importPreview(text string) string {
	switch {
	case f.Parse(text).Kind == KeyText:
		return preview(text)
	case len(text) >= previewFrom:
		return text[:previewLen]
	}
	return ""
}
