package admin

import "postern/internal/keys"

// didYouMean returns a clause that names the known word nearest to a mistaken one, or "" when none
// is near.
func didYouMean(word string, known []string) string {
	near := keys.Nearest(word, known)
	if near == "" {
		return ""
	}
	return "; did you mean " + near + "?"
}
