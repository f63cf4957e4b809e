package admin

import (
	"context"
	"net/http"
	"time"

	"postern/internal/keys"
)

// Configuration is what the API asks of the program about gateway.yaml. It is safe for concurrent use.
type Configuration interface {
	// Configuration tells what is in force, secrets masked.
	Configuration() ConfigurationState
	// Reload reads the file again and puts it in force, or changes nothing: then the error is a
	// *keys.Refusal, permission_denied or validation_failed with every problem, or says why it could
	// not be done.
	Reload(ctx context.Context, a keys.Actor) (Reloaded, error)
}

// ConfigurationState is the configuration in force and how it came about.
type ConfigurationState struct {
	File          string
	LoadedAt      time.Time
	RestartNeeded []string  // settings whose new value waits for a restart
	LastError     string    // why the last reload changed nothing; "" after a good one
	LastErrorAt   time.Time // zero without a LastError
	Effective     map[string]any
	Routes        []GatewayRoute
}

// Reloaded is what a reload did.
type Reloaded struct {
	LoadedAt      time.Time `json:"loaded_at" doc:"When the configuration now in force was read." example:"2026-11-21T10:00:00Z"`
	Changed       []string  `json:"changed" doc:"Settings that differ from before, as dotted paths." example:"plans.standard.limits"`
	RestartNeeded []string  `json:"restart_needed" doc:"Settings that are read at the start only and whose new value waits for a restart." example:"listen.gateway"`
	Warnings      []string  `json:"warnings" doc:"What is worth a look in the file."`
}

// configurationRoutes are the endpoints about what gateway.yaml declares.
func (s *server) configurationRoutes() []route {
	reader := needs(keys.KeysRead, keys.KeysReadAny)
	return []route{
		{http.MethodGet, "/v1/config", "show-config", needs(keys.ConfigRead), act(s.showConfig), "Show the configuration", showConfigDoc},
		{http.MethodPost, "/v1/config/reload", "reload-config", needs(keys.ConfigReload), act(s.reloadConfig), "Reload the configuration", reloadConfigDoc},
		{http.MethodGet, "/v1/apis", "list-apis", reader, act(s.listAPIs), "List APIs", listAPIsDoc},
		{http.MethodGet, "/v1/plans", "list-plans", reader, act(s.listPlans), "List plans", listPlansDoc},
		{http.MethodGet, "/v1/tenant-plans", "list-tenant-plans", reader, act(s.listTenantPlans), "List tenant plans", listTenantPlansDoc},
		{http.MethodGet, "/v1/routes", "list-routes", reader, act(s.listRoutes), "List routes", listRoutesDoc},
	}
}

// declaredInput is the input of lists that the configuration declares: there is nothing to choose.
type declaredInput struct{}
