package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"postern/internal/keys"
)

// How long a call waits for the fleet: unless it says, and at most.
const (
	usualWait = 2 * time.Second
	mostWait  = time.Minute
)

// waitDoc is what operations that can wait say of it.
const waitDoc = " With wait=fleet it answers 200 when the change is in effect on every gateway that could still admit the key, " +
	"and 202 when that was not known by the timeout; the change is made either way. Look at GET /v1/nodes, or wait again with another such call: " +
	"with wait=fleet a key that is in that state already is waited for too, and nothing is changed or recorded again."

// FleetWait is how a call asks to wait: the part that inputs share, exported for it to be seen in them.
type FleetWait struct {
	Wait    string `query:"wait" enum:"fleet" doc:"Answer when the change is in effect on every gateway." example:"fleet"`
	Timeout string `query:"timeout" pattern:"^[0-9]{1,6}(ms|s|m)$" patternDescription:"a number of ms, s or m" doc:"How long to wait for that, at most 1m; 2s when left out." example:"2s"`
}

// NodeConfirmation tells whether a change is in effect on one gateway.
type NodeConfirmation struct {
	Node        string     `json:"node" doc:"The node's id." example:"gw-1"`
	ConfirmedAt *time.Time `json:"confirmed_at" doc:"When it said that the change is in effect there; null: it has not." example:"2026-11-21T10:00:00Z"`
	LastSeen    time.Time  `json:"last_seen" doc:"When it was last heard of." example:"2026-11-21T10:00:00Z"`
}

// Confirmed answers a change of a key that was waited for.
type Confirmed struct {
	Key       string             `json:"key" doc:"The key's id." example:"key_7Qd2mXk0aVbR"`
	Seq       int64              `json:"seq" doc:"Number of the change, or of one that was made meanwhile." example:"4711"`
	Confirmed bool               `json:"confirmed" doc:"The change is in effect on every gateway that could still admit the key." example:"true"`
	Nodes     []NodeConfirmation `json:"nodes" doc:"The gateways that count."`
}

// deniedOutput answers a call that denies a key.
type deniedOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   Either[Key, Confirmed]
}

// most returns how long to wait, 0 for not at all.
func (in *FleetWait) most() (time.Duration, error) {
	wrong := func(message string) error {
		return &problem{code: keys.ValidationFailed, detail: "The query has wrong parameters.", fields: []keys.FieldError{{Field: "timeout", Message: message}}}
	}
	switch {
	case in.Wait == "" && in.Timeout != "":
		return 0, wrong("says how long to wait, and there is no wait=fleet")
	case in.Wait == "":
		return 0, nil
	case in.Timeout == "":
		return usualWait, nil
	}
	most, err := time.ParseDuration(in.Timeout)
	if err != nil || most <= 0 || most > mostWait {
		return 0, wrong("must be longer than 0s and at most 1m")
	}
	return most, nil
}

// denied answers a call that denied the key, or was refused, once the fleet has it where that was asked
// for. Who waits is content with a key that is in the state already: that is how to wait again.
func (s *server) denied(ctx context.Context, in *denyKeyInput, most time.Duration, c keys.Credential, state keys.Status, err error) (*deniedOutput, error) {
	var no *keys.Refusal
	if most > 0 && errors.As(err, &no) && no.Code == keys.InvalidState && no.State == state {
		c.Version, err = no.Version, nil
	}
	if err != nil {
		return nil, err
	}
	out := &deniedOutput{Status: http.StatusOK, ETag: etag(c.Version)}
	if most == 0 {
		key := s.makeKey(c)
		out.Body.One = &key
		return out, nil
	}
	confirmed := s.confirm(ctx, most)
	confirmed.Key = in.ID
	out.Status, out.Body.Other = statusOf(confirmed.Confirmed), &confirmed
	return out, nil
}

// statusOf is 202 while others may not have the change.
func statusOf(confirmed bool) int {
	if confirmed {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// confirm waits for the fleet.
func (s *server) confirm(ctx context.Context, most time.Duration) Confirmed {
	c := s.Fleet.Wait(ctx, most)
	out := Confirmed{Seq: int64(c.Seq), Confirmed: c.Confirmed, Nodes: make([]NodeConfirmation, len(c.Nodes))}
	for i, n := range c.Nodes {
		out.Nodes[i] = NodeConfirmation{Node: string(n.Node), ConfirmedAt: instant(n.ConfirmedAt), LastSeen: n.LastSeen.UTC()}
	}
	return out
}
