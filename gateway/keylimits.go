package gateway

import (
	"fmt"

	"postern/internal/keys"
)

// Limits tells where the limits of a credential stand: its plan's, and those that routes add for each
// credential. It wraps keys.ErrNotFound when there is none of that id. It is safe for concurrent use.
func (g *Gateway) Limits(id keys.CredentialID) ([]keys.LimitState, error) {
	find, ok := g.directory.(finder)
	if !ok {
		return nil, errCannotExplain
	}
	who, _ := find.ByID(id, g.now())
	if who == nil {
		if err := g.directory.Ready(g.now()); err != nil {
			return nil, fmt.Errorf("limits of %s: %w: %w", id, keys.ErrStoreUnavailable, err)
		}
		return nil, fmt.Errorf("limits of %s: %w", id, keys.ErrNotFound)
	}
	plan := who.Plan()
	if plan == nil {
		return nil, nil
	}
	c := g.newCall()
	c.snapshot, c.principal, c.now = g.snapshot.Load(), who, g.now()
	sets := []*limitSet{(&limitSets{route: &route{}, tenantCounters: c.snapshot.tenantCounters}).of(plan)}
	for _, rt := range c.snapshot.routes {
		if !rt.Public && len(rt.Limits) > 0 {
			sets = append(sets, rt.sets.of(plan))
		}
	}
	var all []keys.LimitState
	for i, set := range sets {
		if err := c.peek(set, 1); err != nil {
			return nil, fmt.Errorf("limits of %s: %w", id, err)
		}
		for _, l := range c.limitStates() {
			if l.Route != "" || i == 0 {
				all = append(all, l)
			}
		}
	}
	return all, nil
}
