package admin

import (
	"context"
	"time"

	"postern/internal/keys"
)

const showConfigDoc = "Shows the configuration in force: every setting with its value, defaults included. " +
	"References such as env:NAME are shown, what they refer to is not, and literal secrets are masked. " +
	"Settings in restart_needed were changed in the file since the start and are shown with their new value, which is not in force yet."

// Config is the configuration in force.
type Config struct {
	File          string         `json:"file" doc:"Where it was read." example:"gateway.yaml"`
	LoadedAt      time.Time      `json:"loaded_at" doc:"When it was read." example:"2026-11-21T10:00:00Z"`
	RestartNeeded []string       `json:"restart_needed" doc:"Settings that are read at the start only and whose new value waits for a restart." example:"listen.gateway"`
	LastError     string         `json:"last_error,omitempty" doc:"Why the last reload changed nothing; absent after a good one."`
	LastErrorAt   *time.Time     `json:"last_error_at" doc:"When that was; null after a good reload." example:"2026-11-21T11:00:00Z"`
	Config        map[string]any `json:"config" doc:"The settings by name, as in gateway.yaml."`
}

type configOutput struct{ Body Config }

func (s *server) showConfig(_ context.Context, a keys.Actor, _ *declaredInput) (*configOutput, error) {
	if a.Tenant != "" {
		return nil, &problem{code: keys.PermissionDenied, detail: "Only the provider's people may see the configuration."}
	}
	now := s.Configuration.Configuration()
	return &configOutput{Body: Config{
		File: now.File, LoadedAt: now.LoadedAt, RestartNeeded: notNil(now.RestartNeeded),
		LastError: now.LastError, LastErrorAt: instant(now.LastErrorAt), Config: now.Effective,
	}}, nil
}
