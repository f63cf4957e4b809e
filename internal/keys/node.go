package keys

import (
	"context"
	"encoding/hex"
	"errors"
	"regexp"
	"time"
)

// NodeID names a gateway of a fleet, see NodeIDForm. It stays over a restart.
type NodeID string

// NodeIDForm is what a node's id looks like.
var NodeIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Node is one run of a gateway, as the store knows it. Times are the database's own: they are compared
// across nodes, whose clocks may be wrong.
type Node struct {
	ID   NodeID
	Boot string // of this run: two runs under one id are two nodes
	// Place is what no two processes have at once, such as the lock of a data_dir; "" where there is
	// none. Whoever registers with it has proved that an earlier run there is over.
	Place     string
	StartedAt time.Time
	SeenAt    time.Time // when the last heartbeat was written
	Beats     int64     // heartbeats so far; tells that there was one where times are equal
	Applied   Seq       // every change up to here is in effect there; 0 before everything was loaded
	AppliedAt time.Time // when Applied was first reported
	MaxStale  time.Duration
	Version   string // of the program
	// Configuration tells configurations apart, and nothing else about them: see Vault.Fingerprint.
	Configuration string
	Pepper        uint32 // version of the pepper that is in force there
	Host          string
	Address       string // of the gateway's listener
	AdminURL      string
	Sees          []NodeID  // whose heartbeats it saw, itself among them, see NodeLease
	LeftAt        time.Time // when it deregistered; zero: it has not
}

// NodeStore is the ability of a Store to know the gateways that share it. None of its writes takes part
// in the order of changes. All times are written and read by the database's clock.
type NodeStore interface {
	// RegisterNode writes n as one that starts now, later than any other of its id, and has applied
	// nothing. It takes out what runs were registered from the same place.
	RegisterNode(ctx context.Context, n Node) error
	// Heartbeat writes what may change of n, from Applied on, and that it was seen now. Applied never
	// goes back. ErrNotFound: n is not registered, or has left.
	Heartbeat(ctx context.Context, n Node) error
	// DeregisterNode writes that n has left. It does nothing when n is not there.
	DeregisterNode(ctx context.Context, id NodeID, boot string) error
	// ForgetNode takes n out, unless it has beaten or registered anew since it was read: its Beats and SeenAt
	// are the ones that are stored.
	ForgetNode(ctx context.Context, n Node) error
	// Nodes returns all that are registered, by id and start, and the database's present time, in one
	// state of the database that is not older than the call.
	Nodes(ctx context.Context) ([]Node, time.Time, error)
}

// How long a silent node is reckoned with.
const (
	// NodeGrace is what a node counts for beyond its max_stale: it has stopped admitting by then, even
	// where its clock runs slower than the observer's.
	NodeGrace = 10 * time.Second
	// NodeLease is for how long a node that was heard of is taken for running.
	NodeLease = 10 * time.Second
	// nodesKept is how long a node that left, or does not count any more, is told of at least.
	nodesKept = 24 * time.Hour
)

// ErrNodeTaken says that another gateway runs under the same node id.
var ErrNodeTaken = errors.New("another gateway runs under this node id")

// SeenNode is a node with the time since its last heartbeat, as FleetWatch measures it.
type SeenNode struct {
	Node
	Age time.Duration
	// Watched is how much of Age passed before the observer's own eyes. Nobody's clock can make that
	// longer than it was.
	Watched time.Duration
}

// Counts tells whether the node may still admit by what it last knew: it has neither left nor been
// silent for longer than it trusts its own knowledge.
func (n *SeenNode) Counts() bool { return n.LeftAt.IsZero() && n.Age <= n.MaxStale+NodeGrace }

// Alive tells whether the node was heard of lately.
func (n *SeenNode) Alive() bool { return n.LeftAt.IsZero() && n.Age <= NodeLease }

// over tells whether the node may be forgotten: it left and its last heartbeat is older than kept, or it does not
// count any more for longer than that. Whoever takes a row out takes it from all observers, so for a node that did
// not leave the database's clock is not enough.
func (n *SeenNode) over(kept time.Duration) bool {
	if !n.LeftAt.IsZero() {
		return n.Age > kept
	}
	return n.Age > n.MaxStale+NodeGrace+kept && n.Watched > n.MaxStale+NodeGrace
}

// is tells whether both are the same run.
func (n *Node) is(other *Node) bool { return n.ID == other.ID && n.Boot == other.Boot }

// fingerprintLabel keeps fingerprints apart from whatever else is made with the same key.
const fingerprintLabel = "postern configuration 1"

// Fingerprint is a name for what is given, which tells nobody without the pepper what that is: 32
// hexadecimal digits. It is another one under the next pepper.
func (v *Vault) Fingerprint(what []byte) string {
	d := v.peppers[0].row.of(func(b []byte) []byte { return encodeText(encodeText(b, fingerprintLabel), what) })
	return hex.EncodeToString(d[:16])
}
