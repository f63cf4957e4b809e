package config

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	nameForm  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	scopeForm = regexp.MustCompile(`^[a-z][a-z0-9_.:-]*$`)
)

const maxName = 64 // of names and scopes, in characters

// validName tells whether s can name an API, plan, route or key. Two underscores are out because
// they separate levels in the names of variables.
func validName(s string) bool {
	return len(s) <= maxName && nameForm.MatchString(s) && !strings.Contains(s, "__")
}

func validScope(s string) bool {
	return len(s) <= maxName && scopeForm.MatchString(s)
}

// badName is what to say about a name that is not valid.
func badName(s string) complaint {
	next := "names start with a letter and have a-z, 0-9 and single _"
	if better := repair(s); validName(better) {
		next = fmt.Sprintf("write %s", better)
	}
	if len(s) > maxName {
		return complaint{fmt.Sprintf("the name is longer than %d characters", maxName), ""}
	}
	return complaint{fmt.Sprintf("%q is not a valid name", s), next}
}

func badScope(s string) complaint {
	if len(s) > maxName {
		return complaint{fmt.Sprintf("the scope is longer than %d characters", maxName), ""}
	}
	next := "scopes start with a letter and have a-z, 0-9 and _ . : -"
	if better := strings.ToLower(s); validScope(better) {
		next = fmt.Sprintf("write %s", better)
	}
	return complaint{fmt.Sprintf("%q is not a valid scope", s), next}
}

// repair makes of My-Name what was probably meant.
func repair(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == ' ' {
			return '_'
		}
		return r
	}, strings.ToLower(s))
	for strings.Contains(s, "__") {
		s = strings.ReplaceAll(s, "__", "_")
	}
	return strings.Trim(s, "_")
}
