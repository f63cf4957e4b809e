package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// FleetOptions are the parts a Fleet is built from.
type FleetOptions struct {
	Store     NodeStore
	Directory *Directory
	// Self is this run: ID, Boot, Place and what else does not change. MaxStale is the Directory's,
	// which must have one.
	Self Node
	// Configuration is the fingerprint of the configuration in force; nil: "".
	Configuration func() string
	Log           *slog.Logger // nil: nothing is logged
}

// Fleet keeps this node registered among those that share the store, and knows the others. It is safe
// for concurrent use; Register, Run and Leave come in this order and not at once.
type Fleet struct {
	store         NodeStore
	directory     *Directory
	self          Node
	configuration func() string
	log           *slog.Logger
	every         time.Duration
	kept          time.Duration // nodesKept; tests keep less

	looking chan struct{} // holds one token, which whoever looks takes
	watch   FleetWatch    // by who has the token

	mu      sync.Mutex
	seen    fleetLook
	failing time.Time // since when no heartbeat was committed; zero: they are
	told    map[string]struct{}
}

// fleetLook is what a look at the store found.
type fleetLook struct {
	began, ended time.Time
	nodes        []SeenNode
}

// How often a node is heard of. Where nobody shares the store nobody has to hear, and a disk need not
// be written to each second.
const (
	beatShared = time.Second
	beatAlone  = 10 * time.Second
	// beatGap is the least time between heartbeats: many changes at once are reported together.
	beatGap = 20 * time.Millisecond
	// beatPatience bounds each call, so that one that hangs is made again.
	beatPatience = 5 * time.Second
)

// NewFleet returns the fleet of a directory with a store. Nothing is read or written yet.
func NewFleet(o FleetOptions) *Fleet {
	f := &Fleet{store: o.Store, directory: o.Directory, self: o.Self, configuration: o.Configuration, log: o.Log,
		every: beatAlone, kept: nodesKept, looking: make(chan struct{}, 1), told: map[string]struct{}{}}
	f.self.MaxStale = o.Directory.maxStale
	if o.Directory.shared {
		// Three may be lost before the directory has to fall silent.
		f.every = min(beatShared, f.self.MaxStale/4)
	}
	if f.configuration == nil {
		f.configuration = func() string { return "" }
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.looking <- struct{}{}
	return f
}

// Register enters this node among those that count. It comes before the directory is loaded: from then
// on nobody takes a change for confirmed before this node has it. ErrNodeTaken: a node of the same id
// runs elsewhere; it may take NodeLease to find out that it does not.
func (f *Fleet) Register(ctx context.Context) error {
	if f.directory.shared {
		if err := f.awaitSilence(ctx); err != nil {
			return fmt.Errorf("register node: %w", err)
		}
	}
	if err := f.enter(ctx); err != nil {
		return fmt.Errorf("register node: %w", err)
	}
	if !f.directory.shared {
		return nil
	}
	// Two that started at once have not seen each other until now. The later one goes.
	seen, err := f.look(ctx)
	if err != nil {
		return fmt.Errorf("register node: %w", err)
	}
	if other := f.earlier(seen); other != nil {
		return errors.Join(fmt.Errorf("register node: %w", taken(other)), f.Leave(ctx))
	}
	return nil
}

// enter writes the node's row.
func (f *Fleet) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatPatience)
	defer cancel()
	begun := f.directory.instant()
	if err := f.store.RegisterNode(ctx, f.present(begun)); err != nil {
		return err
	}
	f.directory.registered(begun, true)
	return nil
}

// awaitSilence returns when no other node of this id, from another place, was heard of for NodeLease.
// One whose process is known to be over need not be waited for: registering takes it out.
func (f *Fleet) awaitSilence(ctx context.Context) error {
	beats := map[string]int64{}
	for {
		seen, err := f.look(ctx)
		if err != nil {
			return err
		}
		waiting := false
		for i := range seen {
			n := &seen[i]
			if n.ID != f.self.ID || n.Place != "" && n.Place == f.self.Place || !n.Alive() {
				continue
			}
			before, known := beats[n.Boot]
			if known && n.Beats != before {
				return taken(n)
			}
			if !known {
				f.log.Info("a node of this id was heard of a moment ago; waiting whether it is gone", "node", n.ID, "host", n.Host)
			}
			beats[n.Boot], waiting = n.Beats, true
		}
		if !waiting {
			return nil
		}
		if err := pause(ctx, f.every/4); err != nil {
			return err
		}
	}
}

// earlier returns another node of this id that was heard of lately and started before this one.
func (f *Fleet) earlier(seen []SeenNode) *SeenNode {
	self := slices.IndexFunc(seen, func(n SeenNode) bool { return n.is(&f.self) })
	if self < 0 {
		return nil
	}
	for i := range seen {
		n := &seen[i]
		if n.ID != f.self.ID || n.is(&f.self) || !n.Alive() {
			continue
		}
		if c := n.StartedAt.Compare(seen[self].StartedAt); c < 0 || c == 0 && n.Boot < f.self.Boot {
			return n
		}
	}
	return nil
}

func taken(n *SeenNode) error {
	return fmt.Errorf("%w: %s on host %q started at %s and was heard of %s ago; give each gateway a node.id and a data_dir of its own",
		ErrNodeTaken, n.ID, n.Host, n.StartedAt.UTC().Format(time.RFC3339), n.Age.Round(time.Millisecond))
}

// present is the node as it is now.
func (f *Fleet) present(at instantRead) Node {
	n := f.self
	n.Applied, _ = f.directory.progress.at()
	n.Configuration, n.Pepper = f.configuration(), f.directory.vault.PepperVersion()
	n.Sees = []NodeID{n.ID}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.seen.nodes {
		s := f.seen.nodes[i]
		s.Age += max(0, at.at.Sub(f.seen.ended))
		if s.Alive() && !slices.Contains(n.Sees, s.ID) {
			n.Sees = append(n.Sees, s.ID)
		}
	}
	slices.Sort(n.Sees)
	return n
}

// Run keeps the node registered until ctx ends. Where the store is shared, what the directory applied
// is reported at once. An outage is logged when it begins and when it ends.
func (f *Fleet) Run(ctx context.Context) {
	for {
		_, moved := f.directory.progress.at()
		begun := f.directory.now()
		f.beat(ctx, begun)
		if !f.directory.shared {
			moved = nil
		}
		timer := time.NewTimer(f.every)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-moved:
			_ = pause(ctx, beatGap-f.directory.now().Sub(begun)) // its end is looked at below
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// beat looks at the others if it is time to, and writes one heartbeat.
func (f *Fleet) beat(ctx context.Context, now time.Time) {
	f.mu.Lock()
	due := now.Sub(f.seen.began) >= f.every*3/4
	f.mu.Unlock()
	var seen []SeenNode
	if due {
		// Should it fail, the heartbeat does too, or the next look tells.
		if looked, err := f.look(ctx); err == nil {
			seen = looked
			f.tell(seen)
		}
	}
	err := f.heartbeat(ctx)
	if ctx.Err() != nil {
		return
	}
	f.note(err)
	if err == nil {
		f.forget(ctx, seen) // after what others wait for
	}
}

// forget takes out the nodes that are over. What fails is tried again after the next look; a store that takes
// heartbeats takes this too.
func (f *Fleet) forget(ctx context.Context, seen []SeenNode) {
	ctx, cancel := context.WithTimeout(ctx, beatPatience)
	defer cancel()
	for i := range seen {
		n := &seen[i]
		if n.is(&f.self) || !n.over(f.kept) {
			continue
		}
		if err := f.store.ForgetNode(ctx, n.Node); err != nil {
			f.log.Debug("a node that is gone could not be taken out of the list", "node", n.ID, "error", err)
			return
		}
	}
}

func (f *Fleet) heartbeat(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, beatPatience)
	defer cancel()
	begun := f.directory.instant()
	err := f.store.Heartbeat(call, f.present(begun))
	if errors.Is(err, ErrNotFound) {
		f.log.Warn("this node's registration was gone from the store; it registers anew", "node", f.self.ID)
		return f.enter(ctx)
	}
	if err != nil {
		return err
	}
	f.directory.registered(begun, false)
	return nil
}

// note remembers since when heartbeats fail.
func (f *Fleet) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.directory.now()
	switch {
	case err != nil && f.failing.IsZero():
		f.failing = now
		f.log.Error("the heartbeat of this node cannot be stored", "error", err, "max_stale", f.self.MaxStale)
	case err == nil && !f.failing.IsZero():
		f.log.Info("the heartbeat of this node is stored again", "after", now.Sub(f.failing).Round(time.Millisecond))
		f.failing = time.Time{}
	}
}

// Leave takes the node out of those that count. By then nothing may be admitted any more; where the
// store is shared, the directory answers nothing from now on.
func (f *Fleet) Leave(ctx context.Context) error {
	f.directory.deregister()
	ctx, cancel := context.WithTimeout(ctx, beatPatience)
	defer cancel()
	if err := f.store.DeregisterNode(ctx, f.self.ID, f.self.Boot); err != nil {
		return fmt.Errorf("deregister node: %w", err)
	}
	return nil
}

// look returns what a look at the store finds that begins after the call. Those who ask at once share
// one.
func (f *Fleet) look(ctx context.Context) ([]SeenNode, error) {
	asked := f.directory.now()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-f.looking:
		defer func() { f.looking <- struct{}{} }()
	}
	f.mu.Lock()
	last := f.seen
	f.mu.Unlock()
	if last.began.After(asked) {
		return last.nodes, nil
	}
	ctx, cancel := context.WithTimeout(ctx, beatPatience)
	defer cancel()
	began := f.directory.instant()
	nodes, now, err := f.store.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	ended := f.directory.instant()
	f.directory.readClock(now, began, ended)
	next := fleetLook{began: began.at, ended: ended.at, nodes: f.watch.Look(nodes, now, began.at, ended.at)}
	f.mu.Lock()
	f.seen = next
	f.mu.Unlock()
	return next.nodes, nil
}
