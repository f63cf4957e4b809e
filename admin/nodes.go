package admin

import (
	"context"
	"net/http"
	"time"

	"postern/internal/keys"
)

const listNodesDoc = "Lists the gateways that share the database: those that run, and those that left or fell silent, for a day at least. " +
	"Times are the database's. A node that counts may still admit what it does not know to be revoked; wait=fleet waits for each of these."

// Fleet is what the REST API asks of the gateways that share the store; keys.Fleet implements it.
type Fleet interface {
	Nodes(ctx context.Context) ([]keys.NodeState, error)
	// Wait returns when everything that is in effect here is in effect everywhere, or the time is over.
	Wait(ctx context.Context, most time.Duration) keys.Confirmation
}

// Node is a gateway, in one of its runs.
type Node struct {
	ID             string     `json:"id" doc:"The node's id: node.id, or made once for its data_dir." example:"gw-1"`
	Boot           string     `json:"boot" doc:"Tells runs of the node apart." example:"4V7KQ2MB3D9XW1RT"`
	Self           bool       `json:"self" doc:"It is the node that answers." example:"true"`
	State          string     `json:"state" enum:"running,loading,silent,gone,left" doc:"running; loading: it has not read the keys yet; silent: not heard of for 10 s, and it may still admit; gone: silent for longer than its max_stale, so that it admits nobody any more; left: it stopped in good order." example:"running"`
	Counts         bool       `json:"counts" doc:"A change is confirmed only when this node has it." example:"true"`
	Seq            int64      `json:"seq" doc:"Number of the newest change that is in effect there." example:"4711"`
	StartedAt      time.Time  `json:"started_at" doc:"When this run began." example:"2026-11-21T10:00:00Z"`
	LastSeen       time.Time  `json:"last_seen" doc:"When its last heartbeat was stored." example:"2026-11-21T10:00:00Z"`
	LeftAt         *time.Time `json:"left_at" doc:"When it stopped in good order; null: it has not." example:"2026-11-21T10:00:00Z"`
	MaxStale       string     `json:"max_stale" doc:"How long it goes on without the database." example:"1h0m0s"`
	Version        string     `json:"version" doc:"Version of its program." example:"1.2.3"`
	Configuration  string     `json:"configuration" doc:"Equal where the configuration in force is, as far as it should be the same everywhere." example:"9f86d081884c7d659a2feaa0c55ad015"`
	ConfigDiffers  bool       `json:"configuration_differs" doc:"Its configuration is not the answering node's." example:"false"`
	PepperVersion  int64      `json:"pepper_version" doc:"The version of the pepper that is in force there." example:"1"`
	PepperDiffers  bool       `json:"pepper_differs" doc:"That is not the answering node's; then configurations cannot be compared." example:"false"`
	DuplicateID    bool       `json:"duplicate_id" doc:"Another gateway runs under the same id." example:"false"`
	Host           string     `json:"host" doc:"Name of its machine." example:"gw-1.example.com"`
	GatewayAddress string     `json:"gateway_address" doc:"Where its gateway listens." example:"10.0.0.5:8080"`
	AdminURL       string     `json:"admin_url" doc:"Where its admin API is; empty where nobody can tell." example:"https://gw-1.example.com:8081"`
	Sees           []string   `json:"sees" doc:"The nodes that it had heard of within 10 s at its last heartbeat, itself among them." example:"gw-1"`
}

// NodeList is every node; there are no pages.
type NodeList struct {
	Items []Node  `json:"items" doc:"The nodes, by id and start."`
	Next  *string `json:"next" doc:"Always null." example:"null"`
}

type nodeListOutput struct{ Body NodeList }

// fleetRoutes tell of the gateways that share the store.
func (s *server) fleetRoutes() []route {
	return []route{
		{http.MethodGet, "/v1/nodes", "list-nodes", needs(keys.NodesRead), act(s.listNodes), "List nodes", listNodesDoc},
	}
}

func (s *server) listNodes(ctx context.Context, a keys.Actor, _ *declaredInput) (*nodeListOutput, error) {
	if a.Tenant != "" {
		return nil, &problem{code: keys.PermissionDenied, detail: "Only the provider's people may see the nodes."}
	}
	states, err := s.Fleet.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	out := NodeList{Items: make([]Node, len(states))}
	for i := range states {
		out.Items[i] = makeNode(&states[i])
	}
	return &nodeListOutput{Body: out}, nil
}

func makeNode(n *keys.NodeState) Node {
	return Node{
		ID: string(n.ID), Boot: n.Boot, Self: n.Self, State: nodeState(n), Counts: n.Counts(), Seq: int64(n.Applied),
		StartedAt: n.StartedAt.UTC(), LastSeen: n.SeenAt.UTC(), LeftAt: instant(n.LeftAt), MaxStale: n.MaxStale.String(), Version: n.Version,
		Configuration: n.Configuration, ConfigDiffers: n.OtherConfig, PepperVersion: int64(n.Pepper), PepperDiffers: n.OtherPepper, DuplicateID: n.Duplicate,
		Host: n.Host, GatewayAddress: n.Address, AdminURL: n.AdminURL, Sees: texts(n.Sees),
	}
}

func nodeState(n *keys.NodeState) string {
	switch {
	case !n.LeftAt.IsZero():
		return "left"
	case !n.Counts():
		return "gone"
	case !n.Alive() && !n.Self:
		return "silent"
	case n.Applied == 0:
		return "loading"
	}
	return "running"
}
