package keys

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// NodeState is a node as another one sees it.
type NodeState struct {
	SeenNode
	Self        bool // it is the one that tells
	OtherConfig bool // its configuration is not the teller's
	OtherPepper bool // the pepper in force there is another version than the teller's; then configurations cannot be compared
	Duplicate   bool // another node goes by its id
}

// Nodes returns the nodes that are registered, for a day at least those that left or fell silent too.
func (f *Fleet) Nodes(ctx context.Context) ([]NodeState, error) {
	seen, err := f.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	return f.states(f.withSelf(seen)), nil
}

func (f *Fleet) states(seen []SeenNode) []NodeState {
	states := make([]NodeState, len(seen))
	config, pepper := f.configuration(), f.directory.vault.PepperVersion()
	for i, n := range seen {
		s := &states[i]
		s.SeenNode, s.Self = n, n.is(&f.self)
		if !n.Alive() {
			continue
		}
		s.OtherPepper = n.Pepper != pepper
		s.OtherConfig = !s.OtherPepper && !s.Self && n.Configuration != config
		s.Duplicate = slices.ContainsFunc(seen, func(o SeenNode) bool { return o.ID == n.ID && o.Boot != n.Boot && o.Alive() })
	}
	return states
}

// tell logs, once each, what should not be so among the nodes that live.
func (f *Fleet) tell(seen []SeenNode) {
	for _, s := range f.states(seen) {
		if s.Self || !s.Alive() {
			continue
		}
		f.tellOf(&s, s.OtherConfig, "configuration "+s.Configuration,
			"another gateway runs another configuration: what is decided depends on which one a call reaches; GET /v1/nodes tells which")
		f.tellOf(&s, s.OtherPepper, fmt.Sprint("pepper ", s.Pepper),
			"another gateway is under another version of the pepper: give all the same file and restart those that have the older one")
		f.tellOf(&s, s.Duplicate && s.ID == f.self.ID, "id", "another gateway runs under this one's node id: give each a node.id and a data_dir of its own")
	}
}

// mostTold bounds what is remembered of what was told.
const mostTold = 1000

func (f *Fleet) tellOf(s *NodeState, is bool, what, text string) {
	key := s.Boot + " " + what
	f.mu.Lock()
	_, told := f.told[key]
	if is && !told && len(f.told) < mostTold {
		f.told[key] = struct{}{}
	}
	f.mu.Unlock()
	if is && !told {
		f.log.Warn(text, "node", s.ID, "host", s.Host)
	}
}

// Degraded says what is not as it should be, by the last look.
func (f *Fleet) Degraded() []string {
	var out []string
	f.mu.Lock()
	failing := f.failing
	f.mu.Unlock()
	if !failing.IsZero() {
		text := fmt.Sprintf("the heartbeat of this node could not be stored for %s", f.directory.now().Sub(failing).Round(time.Second))
		if f.directory.shared {
			text += fmt.Sprintf("; after max_stale, %s, it admits nobody", f.self.MaxStale)
		}
		out = append(out, text)
	}
	var config, pepper []string
	twice := false
	for _, s := range f.states(f.known()) {
		if s.Self || !s.Alive() {
			continue
		}
		if s.OtherConfig {
			config = append(config, string(s.ID))
		}
		if s.OtherPepper {
			pepper = append(pepper, string(s.ID))
		}
		twice = twice || s.ID == f.self.ID
	}
	if len(config) > 0 {
		out = append(out, "another configuration runs on "+strings.Join(config, ", "))
	}
	if len(pepper) > 0 {
		out = append(out, "another version of the pepper is in force on "+strings.Join(pepper, ", "))
	}
	if twice {
		out = append(out, fmt.Sprintf("another gateway runs under this one's node id, %s", f.self.ID))
	}
	return out
}
