package gateway

import (
	"net/http"
	"slices"
	"strings"

	"postern/internal/keys"
)

// methodRule returns the scopes that a method needs on this route: its own entry, else that of
// "*", else method_not_allowed. HEAD counts as GET. A public route that says nothing about
// methods takes them all.
func (rt *route) methodRule(method string) ([]keys.Scope, *refusal) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if need, ok := rt.Scopes[method]; ok {
		return need, nil
	}
	if need, ok := rt.Scopes["*"]; ok {
		return need, nil
	}
	if rt.Public && len(rt.Scopes) == 0 {
		return nil, nil
	}
	x := refuse(keys.MethodNotAllowed)
	x.allow = rt.allow
	x.decision.Detail = "This route takes " + rt.allow + " only."
	if rt.allow == "" {
		x.decision.Detail = "This route takes no method at all."
	}
	return nil, x
}

// authorize tells whether rights hold the route's API and every scope that is needed.
// insufficient_scope names what is missing.
func (rt *route) authorize(need []keys.Scope, rights *keys.Rights) *refusal {
	apiMissing := rt.API != "" && !rights.HoldsAPI(rt.API)
	held := 0
	for _, s := range need {
		if rights.Has(s) {
			held++
		}
	}
	if !apiMissing && held == len(need) {
		return nil
	}
	x := refuse(keys.InsufficientScope)
	var names []string
	for _, s := range need {
		if !rights.Has(s) {
			x.scopes = append(x.scopes, s)
			names = append(names, string(s))
		}
	}
	var missing []string
	if apiMissing {
		x.api = rt.API
		missing = append(missing, "the API "+string(rt.API))
	}
	switch len(names) {
	case 0:
	case 1:
		missing = append(missing, "the scope "+names[0])
	default:
		missing = append(missing, "the scopes "+strings.Join(names, ", "))
	}
	x.decision.Detail = "The credential lacks " + strings.Join(missing, " and ") + "."
	return x
}

// allMethods are those that the guard lets pass.
var allMethods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// methodsOf lists what methodRule lets pass, in the order of allMethods.
func methodsOf(rt *Route) []string {
	_, any := rt.Scopes["*"]
	any = any || (rt.Public && len(rt.Scopes) == 0)
	return slices.DeleteFunc(slices.Clone(allMethods[:]), func(m string) bool {
		if m == http.MethodHead {
			m = http.MethodGet
		}
		_, named := rt.Scopes[m]
		return !any && !named
	})
}
