package keys

import (
	"maps"
	"slices"
	"testing"
)

// TestJoined keeps what either configuration has, and the newer one's word where both have it.
func TestJoined(t *testing.T) {
	old := &Catalog{
		Plans: map[PlanName]*Plan{"standard": {Name: "standard"}, "gone": {Name: "gone"}},
		APIs:  map[APIName]API{"orders": {Scopes: map[Scope]string{"orders.read": "", "orders.old": ""}}, "bills": {Scopes: map[Scope]string{"bills.read": ""}}},
	}
	standard := &Plan{Name: "standard"}
	next := &Catalog{
		Plans: map[PlanName]*Plan{"standard": standard, "new": {Name: "new"}},
		APIs:  map[APIName]API{"orders": {Scopes: map[Scope]string{"orders.read": "", "orders.new": ""}}},
	}
	both := next.Joined(old)
	if got := slices.Sorted(maps.Keys(both.Plans)); !slices.Equal(got, []PlanName{"gone", "new", "standard"}) || both.Plans["standard"] != standard {
		t.Errorf("got plans %v", got)
	}
	if got := both.scopes(); !slices.Equal(got, []Scope{"bills.read", "orders.new", "orders.old", "orders.read"}) {
		t.Errorf("got scopes %v", got)
	}
	if len(next.APIs) != 1 || len(next.APIs["orders"].Scopes) != 2 || len(next.Plans) != 2 {
		t.Error("the new catalog itself was changed")
	}
}
