package config

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/keys"
)

// meant is the next step for a name that is not among the candidates.
func meant(name string, candidates []string) string {
	if n := keys.Nearest(name, candidates); n != "" {
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
