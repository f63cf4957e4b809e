package keys

import (
	"slices"
	"strings"
)

// Rights are the APIs and scopes of a credential under the present catalog. Immutable; many
// principals share one. A nil *Rights holds nothing.
type Rights struct {
	APIs   []APIName
	Scopes []Scope // effective: the APIs' and the extra ones, sorted
	Header string  // Scopes joined by single spaces

	partly []APIName // APIs of which at least one scope is held, and those in APIs; sorted
}

// Has tells whether the scope is among the effective ones.
func (r *Rights) Has(s Scope) bool {
	if r == nil {
		return false
	}
	_, ok := slices.BinarySearch(r.Scopes, s)
	return ok
}

// HoldsAPI tells whether the whole API was granted, or at least one scope of it is held.
func (r *Rights) HoldsAPI(a APIName) bool {
	if r == nil {
		return false
	}
	_, ok := slices.BinarySearch(r.partly, a)
	return ok
}

// rightsUnder works out what grants of APIs and extra scopes come to under a catalog. Scopes that
// no API of the catalog has any more are left out until one has them again.
func rightsUnder(cat *Catalog, apis []APIName, extra []Scope) *Rights {
	r := &Rights{APIs: slices.Clone(apis), partly: slices.Clone(apis)}
	for _, a := range apis {
		for s := range cat.APIs[a].Scopes {
			r.Scopes = append(r.Scopes, s)
		}
	}
	for _, s := range extra {
		for _, a := range cat.APIs {
			if _, ok := a.Scopes[s]; ok {
				r.Scopes = append(r.Scopes, s)
				break
			}
		}
	}
	slices.Sort(r.Scopes)
	r.Scopes = slices.Compact(r.Scopes)
	for name, a := range cat.APIs {
		for s := range a.Scopes {
			if r.Has(s) {
				r.partly = append(r.partly, name)
				break
			}
		}
	}
	slices.Sort(r.partly)
	r.partly = slices.Compact(r.partly)
	words := make([]string, len(r.Scopes))
	for i, s := range r.Scopes {
		words[i] = string(s)
	}
	r.Header = strings.Join(words, " ")
	return r
}
