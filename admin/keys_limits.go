package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const keyLimitsDoc = "Tells where each limit of a key stands now: those of its plan, and those that routes add for each key."

// KeyLimits is where the limits of a key stand.
type KeyLimits struct {
	Limits []KeyLimit `json:"limits" doc:"Those of the plan first, then those of routes. Empty where the plan has none, or is gone."`
}

// KeyLimit is where one limit stands.
type KeyLimit struct {
	Name         string `json:"name" doc:"What it counts by, and its window." example:"credential-day"`
	Route        string `json:"route" doc:"The route whose limit it is; empty for the plan's." example:"orders"`
	Limit        int64  `json:"limit" doc:"How many units it allows." example:"1000"`
	Window       string `json:"window" doc:"In which time: s, 10s, day, month and so on." example:"day"`
	Used         int64  `json:"used" doc:"Units used in the window." example:"17"`
	Remaining    int64  `json:"remaining" doc:"Units left." example:"983"`
	RetryAfterMS int64  `json:"retry_after_ms" doc:"How long until there is room for the call; 0 when there is now." example:"0"`
	ResetMS      int64  `json:"reset_ms" doc:"How long until the oldest unit leaves the window or the period ends; 0 when nothing is used." example:"36120000"`
}

type keyLimitsOutput struct{ Body KeyLimits }

func (s *server) keyLimits(ctx context.Context, a keys.Actor, in *keyInput) (*keyLimitsOutput, error) {
	id := keys.CredentialID(in.ID)
	if _, err := s.Registry.Credential(ctx, a, id); err != nil {
		return nil, err
	}
	limits, err := s.DataPath.Limits(id)
	if err != nil {
		return nil, unknownKey(in.ID, err)
	}
	return &keyLimitsOutput{Body: KeyLimits{Limits: makeLimits(limits)}}, nil
}

func makeLimits(limits []keys.LimitState) []KeyLimit {
	out := make([]KeyLimit, len(limits))
	for i, l := range limits {
		out[i] = KeyLimit{
			Name: l.Name, Route: l.Route, Limit: l.Limit, Window: l.Window, Used: l.Used, Remaining: max(l.Limit-l.Used, 0),
			RetryAfterMS: milliseconds(l.Retry), ResetMS: milliseconds(l.Reset),
		}
	}
	return out
}

// milliseconds rounds up, so that waiting that long is enough.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
