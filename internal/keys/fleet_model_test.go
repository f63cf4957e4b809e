package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestConfirmedMeansNobodyAdmits plays random interleavings of all that nodes of a fleet do, one of
// them in the middle of another: they start, load, read changes, beat, look, are cut off from the store
// for reading or writing, lose answers, stand still for longer than max_stale, leave and are killed.
// Whatever was confirmed as revoked is admitted by no node that still takes calls, from then on.
//
// The database's clock is only set where no node starts later, because a first look believes it: that a clock put
// forward has nobody forgotten is TestSilentNodesAreForgottenByWatchersOnly's.
func TestConfirmedMeansNobodyAdmits(t *testing.T) {
	runs := 300
	if long() {
		runs = 20_000
	}
	confirmed, admitted, unknown, forgotten := 0, 0, 0, 0
	for seed := range runs {
		m := newFleetModel(t, uint64(seed))
		for range 250 {
			m.act()
			m.check()
			if t.Failed() {
				t.Fatalf("seed %d:\n%s", seed, m.history())
			}
		}
		confirmed, admitted, unknown, forgotten = confirmed+m.confirmations, admitted+m.admitted, unknown+m.refusedStale, forgotten+m.forgotten
	}
	t.Logf("%d confirmations, %d admissions, %d refusals of nodes that could not know, %d nodes forgotten", confirmed, admitted, unknown, forgotten)
	if confirmed < runs || admitted < runs || unknown < runs || forgotten < runs/10 {
		t.Errorf("too little happened")
	}
}

// TestForgottenOnComingBack: two forget a node at the same time, and it registers anew between the two. The later one
// read a row with as many heartbeats, none, and must not take out the new one.
func TestForgottenOnComingBack(t *testing.T) {
	m := newFleetModel(t, 1)
	m.depth = 3 // nothing else happens in between
	ctx := context.Background()
	back, b, c := m.nodes[0], m.nodes[1], m.nodes[2]
	for _, n := range m.nodes {
		n.start()
	}
	there := func() bool { return back.row(&back.fleet.self) != nil }
	var early, late []SeenNode
	for range 100 {
		m.base = m.base.Add(time.Second)
		var err, other error
		early, err = b.fleet.look(ctx)
		late, other = c.fleet.look(ctx)
		if err := errors.Join(err, other); err != nil {
			t.Fatal(err)
		}
	}
	b.fleet.forget(ctx, early)
	if there() {
		t.Fatal("a node that was silent for 100 s is not forgotten")
	}
	if err := back.fleet.heartbeat(ctx); err != nil {
		t.Fatal(err)
	}
	c.fleet.forget(ctx, late)
	if !there() {
		t.Error("a node that had registered anew was forgotten")
	}
}

const (
	modelStale = time.Minute
	modelKeys  = 12
)

// fleetModel is a database with the gateways around it, all played by one goroutine.
type fleetModel struct {
	t      *testing.T
	rand   *rand.Rand
	vault  *Vault
	format Format
	base   time.Time     // true time
	step   time.Duration // by which the database's clock is wrong
	steps  bool          // it is set once all nodes run, and none starts later: a first look believes it
	began  bool          // all nodes that start at first have

	credentials []Credential
	changed     []Seq
	texts       []string
	seq         Seq
	rows        []Node
	nodes       []*modelNode
	depth       int
	log         []string

	revoked       []Seq // of each key; 0: not
	confirmed     Seq   // every change up to here is
	confirmations int
	admitted      int
	refusedStale  int
	forgotten     int
}

// modelNode is a process and its way to the store.
type modelNode struct {
	Store // none but what is overridden
	m     *fleetModel
	name  NodeID
	boot  int
	skew  time.Duration
	dir   *Directory
	fleet *Fleet

	serving, registered  bool // takes calls; its fleet runs
	reading, beating     bool // in the middle of it
	cutReads, cutWrites  bool
	loseAnswers, stopped bool
}

var errCut = errors.New("cut off")

func newFleetModel(t *testing.T, seed uint64) *fleetModel {
	m := &fleetModel{t: t, rand: rand.New(rand.NewPCG(seed, 9)), vault: modelVault, format: testFormat(t),
		base: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), steps: seed%3 == 0}
	for i := range modelKeys {
		m.seq++
		id, text, err := m.format.NewKey(nil, false)
		if err != nil {
			t.Fatal(err)
		}
		c := Credential{ID: CredentialID(id), Kind: APIKey, Tenant: DefaultTenant, Owner: Owner{Type: OwnerTenant, ID: "default"}, Status: Active, Plan: "standard", Version: 1,
			Secrets: []StoredSecret{{ID: SecretID(fmt.Sprintf("%012d", i)), Digest: m.vault.Digest(text.Reveal()), Pepper: 1}}}
		m.seal(&c)
		m.credentials, m.changed, m.texts = append(m.credentials, c), append(m.changed, m.seq), append(m.texts, text.Reveal())
		m.revoked = append(m.revoked, 0)
	}
	for i := range 3 {
		m.nodes = append(m.nodes, &modelNode{m: m, name: NodeID(fmt.Sprint("n", i)), stopped: true, skew: time.Duration(m.rand.IntN(7200)-3600) * time.Second})
	}
	if m.steps {
		for _, n := range m.nodes {
			n.start()
			m.base = m.base.Add(time.Second)
			n.run(&n.beating, func() { n.fleet.beat(context.Background(), n.now()) })
		}
	}
	m.began = true
	return m
}

var modelVault = newEphemeralVault()

func (m *fleetModel) seal(c *Credential) {
	m.vault.SealCredential(c)
	for i := range c.Secrets {
		m.vault.SealSecret(c.ID, &c.Secrets[i])
	}
}

func (m *fleetModel) say(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf("%*s%s "+format, append([]any{2 * m.depth, "", m.base.Format("15:04:05.000")}, args...)...))
}

func (m *fleetModel) history() string {
	return fmt.Sprint(m.log[max(0, len(m.log)-120):])
}

// disturb lets others act in the middle of something.
func (m *fleetModel) disturb() {
	if m.depth >= 3 {
		return
	}
	m.depth++
	for m.rand.IntN(3) == 0 {
		m.act()
	}
	m.depth--
}

// act does one thing.
func (m *fleetModel) act() {
	n := m.nodes[m.rand.IntN(len(m.nodes))]
	ctx := context.Background()
	switch p := m.rand.IntN(100); {
	case p < 20:
		m.advance()
	case p < 45:
		n.run(&n.reading, func() {
			if n.dir.loaded.Load() {
				_ = n.dir.catchUp(ctx)
			}
		})
	case p < 68:
		n.run(&n.beating, func() {
			if n.registered {
				n.fleet.beat(ctx, n.now())
			}
		})
	case p < 80:
		n.run(&n.beating, func() { m.wait(n) })
	case p < 86:
		m.revoke()
	case p < 90:
		n.cutReads, n.cutWrites, n.loseAnswers = m.rand.IntN(3) == 0, m.rand.IntN(3) == 0, m.rand.IntN(4) == 0
	case p < 92 && m.steps && m.began:
		m.step += time.Duration(m.rand.IntN(400)-200) * time.Second
		m.say("the database's clock is set to %s", m.step)
	case n.stopped && !m.steps:
		n.start()
	case p < 95 && !n.stopped && !n.reading && !n.beating && !m.steps:
		n.end(m.rand.IntN(2) == 0)
	}
}

func (m *fleetModel) advance() {
	switch p := m.rand.IntN(20); {
	case p < 14:
		m.base = m.base.Add(time.Duration(m.rand.IntN(1500)) * time.Millisecond)
	case p < 18:
		m.base = m.base.Add(time.Duration(m.rand.IntN(20)) * time.Second)
	default:
		m.base = m.base.Add(time.Duration(m.rand.IntN(100)) * time.Second)
	}
}

func (m *fleetModel) revoke() {
	for i := range m.credentials {
		if m.revoked[i] != 0 || m.rand.IntN(4) != 0 {
			continue
		}
		m.seq++
		c := copyCredential(m.credentials[i])
		c.Status, c.Version = Revoked, c.Version+1
		m.seal(&c)
		m.credentials[i], m.changed[i], m.revoked[i] = c, m.seq, m.seq
		m.say("key %d is revoked by change %d", i, m.seq)
		return
	}
}

// wait looks once on behalf of whoever waits for all that the node has applied.
func (m *fleetModel) wait(n *modelNode) {
	if !n.dir.loaded.Load() {
		return
	}
	c := confirming{}
	c.seq, _ = n.dir.progress.at()
	seen, err := n.fleet.look(context.Background())
	if err != nil {
		return
	}
	if c.look(n.fleet.withSelf(seen)).Confirmed {
		m.say("%s: change %d is confirmed", n.name, c.seq)
		m.confirmed = max(m.confirmed, c.seq)
		m.confirmations++
		m.check()
	}
}

// check calls every node with every key.
func (m *fleetModel) check() {
	for _, n := range m.nodes {
		if n.stopped || !n.serving {
			continue
		}
		for i, text := range m.texts {
			_, code := n.dir.Authenticate(Presented{Text: text}, n.now())
			switch {
			case code == Admitted && m.revoked[i] != 0 && m.revoked[i] <= m.confirmed:
				m.t.Errorf("%s admits key %d, revoked by change %d, after change %d was confirmed", n.name, i, m.revoked[i], m.confirmed)
			case code == Admitted:
				m.admitted++
			case code == DirectoryUnavailable:
				m.refusedStale++
			}
		}
	}
}

func (n *modelNode) now() time.Time { return n.m.base.Add(n.skew) }

// run does something that is not done twice at once.
func (n *modelNode) run(busy *bool, fn func()) {
	if n.stopped || *busy {
		return
	}
	*busy = true
	fn()
	*busy = false
}

// start is what the program does at its start. It gives up when the store cannot be reached.
func (n *modelNode) start() {
	n.boot++
	n.m.say("%s starts as %d", n.name, n.boot)
	n.dir = NewDirectory(DirectoryOptions{Store: n, Vault: n.m.vault, Format: n.m.format, Catalog: testCatalog(), Now: n.now, MaxStale: modelStale, Shared: true})
	n.dir.batch = 2
	n.fleet = NewFleet(FleetOptions{Store: n, Directory: n.dir, Self: Node{ID: n.name, Boot: fmt.Sprint(n.boot), Place: string(n.name)}, Log: slog.New(slog.DiscardHandler)})
	n.fleet.kept = 5 * time.Second
	n.stopped, n.registered, n.reading, n.beating = false, false, true, true
	err := n.fleet.Register(context.Background())
	if err == nil {
		n.registered, n.beating, n.serving = true, false, true
		err = n.dir.Load(context.Background())
	}
	n.reading, n.beating = false, false
	if err != nil {
		n.m.say("%s fails to start: %v", n.name, err)
		n.stopped, n.serving = true, false
	}
}

func (n *modelNode) end(clean bool) {
	n.serving = false
	n.beating = true
	if clean {
		err := n.fleet.Leave(context.Background())
		n.m.say("%s leaves: %v", n.name, err)
	} else {
		n.m.say("%s is killed", n.name)
	}
	n.beating, n.stopped = false, true
}

// Load and Changes implement Store.
func (n *modelNode) Load(_ context.Context, v LoadVisitor) (Seq, error) {
	n.m.disturb()
	if n.cutReads {
		return 0, errCut
	}
	seq, all := n.m.seq, slices.Clone(n.m.credentials)
	n.m.disturb()
	if err := v.Tenant(Tenant{ID: DefaultTenant, Version: 1}); err != nil {
		return 0, err
	}
	for _, c := range all {
		if err := v.Credential(copyCredential(c)); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

func (n *modelNode) Changes(_ context.Context, after Seq, most int) ([]Change, error) {
	n.m.disturb()
	if n.cutReads {
		return nil, errCut
	}
	var changes []Change
	for i, c := range n.m.credentials {
		if n.m.changed[i] > after {
			c = copyCredential(c)
			changes = append(changes, Change{Seq: n.m.changed[i], Credential: &c})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return int(a.Seq - b.Seq) })
	n.m.disturb()
	return changes[:min(most, len(changes))], nil
}

// write does what a node writes, unless it is cut off, and may lose the answer.
func (n *modelNode) write(fn func(now time.Time) error) error {
	n.m.disturb()
	if n.cutWrites {
		return errCut
	}
	lost := n.loseAnswers
	err := fn(n.m.base.Add(n.m.step))
	n.m.disturb()
	if lost {
		return errCut
	}
	return err
}

func (n *modelNode) RegisterNode(_ context.Context, row Node) error {
	return n.write(func(now time.Time) error {
		n.m.rows = slices.DeleteFunc(n.m.rows, func(r Node) bool { return r.Place == row.Place })
		row.StartedAt, row.SeenAt, row.AppliedAt, row.Applied, row.Beats = now, now, now, 0, 0
		n.m.rows = append(n.m.rows, row)
		return nil
	})
}

func (n *modelNode) row(row *Node) *Node {
	for i := range n.m.rows {
		if r := &n.m.rows[i]; r.is(row) && r.LeftAt.IsZero() {
			return r
		}
	}
	return nil
}

func (n *modelNode) Heartbeat(_ context.Context, row Node) error {
	return n.write(func(now time.Time) error {
		r := n.row(&row)
		if r == nil {
			return ErrNotFound
		}
		r.SeenAt, r.Beats, r.Sees, r.Configuration = now, r.Beats+1, row.Sees, row.Configuration
		if row.Applied > r.Applied {
			r.Applied, r.AppliedAt = row.Applied, now
		}
		n.m.say("%s beats with %d", n.name, row.Applied)
		return nil
	})
}

func (n *modelNode) DeregisterNode(_ context.Context, id NodeID, boot string) error {
	return n.write(func(now time.Time) error {
		if r := n.row(&Node{ID: id, Boot: boot}); r != nil {
			r.LeftAt = now
		}
		return nil
	})
}

func (n *modelNode) ForgetNode(_ context.Context, row Node) error {
	return n.write(func(time.Time) error {
		n.m.rows = slices.DeleteFunc(n.m.rows, func(r Node) bool {
			gone := r.is(&row) && r.Beats == row.Beats && r.SeenAt.Equal(row.SeenAt)
			if gone {
				n.m.forgotten++
				n.m.say("%s forgets %s", n.name, r.ID)
			}
			return gone
		})
		return nil
	})
}

func (n *modelNode) Nodes(context.Context) ([]Node, time.Time, error) {
	n.m.disturb()
	if n.cutReads {
		return nil, time.Time{}, errCut
	}
	rows, now := slices.Clone(n.m.rows), n.m.base.Add(n.m.step)
	n.m.disturb()
	return rows, now, nil
}
