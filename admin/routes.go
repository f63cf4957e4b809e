package admin

import (
	"fmt"
	"net/http"
	"slices"

	"postern/internal/keys"
)

// route is one endpoint: who may call it stands beside what it does, and without that it is not
// mounted (see complete).
type route struct {
	method  string
	path    string // ServeMux pattern without the method
	id      string // operationId
	access  access
	mount   mounter
	summary string
	doc     string
}

// access is who may call an endpoint: everyone, whoever is signed in, or an actor that holds one of
// the permissions.
type access struct {
	everyone bool
	signedIn bool
	anyOf    []keys.Permission
}

// mounter puts one route on the mux and into the document.
type mounter func(*builder, route)

func everyone() access { return access{everyone: true} }

func needs(anyOf ...keys.Permission) access { return access{anyOf: anyOf} }

// complete returns why a row may not be mounted.
func (rt route) complete() error {
	said := 0
	for _, is := range []bool{rt.access.everyone, rt.access.signedIn, len(rt.access.anyOf) > 0} {
		if is {
			said++
		}
	}
	if said != 1 {
		return fmt.Errorf("route %s %s: does not say who may call it", rt.method, rt.path)
	}
	if rt.id == "" || rt.summary == "" || rt.doc == "" || rt.mount == nil {
		return fmt.Errorf("route %s %s: incomplete row", rt.method, rt.path)
	}
	return nil
}

// allRoutes is the whole table of a server, by the parts that it was built from.
func (s *server) allRoutes() []route {
	routes := slices.Concat(s.probeRoutes(), s.documentRoutes())
	if s.Registry == nil {
		return routes
	}
	routes = slices.Concat(routes, s.keyRoutes(), s.lifecycleRoutes(), s.peopleRoutes(), s.importRoutes(), s.auditRoutes(), s.fleetRoutes())
	if s.DataPath != nil {
		routes = append(routes, s.explainRoutes()...)
	}
	if s.Configuration != nil {
		routes = append(routes, s.configurationRoutes()...)
	}
	return routes
}

// keyRoutes is the permission table of the API. A permission and its .any stand together where the
// Registry decides between one's own and the tenant's.
func (s *server) keyRoutes() []route {
	return []route{
		{http.MethodGet, "/v1/keys", "list-keys", needs(keys.KeysRead, keys.KeysReadAny), act(s.listKeys), "List keys", listKeysDoc},
		{http.MethodPost, "/v1/keys", "generate-key", needs(keys.KeysGenerate, keys.KeysGenerateAny), create(s.generateKey), "Generate a key", generateKeyDoc},
		{http.MethodGet, "/v1/keys/{id}", "show-key", needs(keys.KeysRead, keys.KeysReadAny), act(s.showKey), "Show a key", showKeyDoc},
		{http.MethodGet, "/v1/keys/{id}/rollover", "show-key-rollover", needs(keys.KeysRead, keys.KeysReadAny), act(s.keyRollover), "Show the use of a key's secrets", keyRolloverDoc},
		{http.MethodGet, "/v1/tokens", "list-tokens", needs(keys.TokensManage), act(s.listTokens), "List admin tokens", listTokensDoc},
		{http.MethodPost, "/v1/tokens", "create-token", needs(keys.TokensManage), create(s.createToken), "Create an admin token", createTokenDoc},
		{http.MethodDelete, "/v1/tokens/{id}", "revoke-token", needs(keys.TokensManage), act(s.revokeToken), "Revoke an admin token", revokeTokenDoc},
	}
}

// explainRoutes ask the data path.
func (s *server) explainRoutes() []route {
	return []route{
		{http.MethodPost, "/v1/explain", "explain", needs(keys.ExplainDecision), act(s.explain), "Explain a decision", explainDoc},
		{http.MethodGet, "/v1/keys/{id}/limits", "show-key-limits", needs(keys.KeysRead, keys.KeysReadAny), act(s.keyLimits), "Show a key's limits", keyLimitsDoc},
	}
}

// lifecycleRoutes change keys that are there. Who may suspend and resume is who may revoke; who may
// rotate is who may edit.
func (s *server) lifecycleRoutes() []route {
	edit, revoke := needs(keys.KeysEdit, keys.KeysEditAny), needs(keys.KeysRevoke, keys.KeysRevokeAny)
	return []route{
		{http.MethodPatch, "/v1/keys/{id}", "edit-key", edit, act(s.editKey), "Edit a key", editKeyDoc},
		{http.MethodDelete, "/v1/keys/{id}", "delete-key", needs(keys.KeysDelete, keys.KeysDeleteAny), act(s.deleteKey), "Delete a key", deleteKeyDoc},
		{http.MethodPost, "/v1/keys/{id}/revoke", "revoke-key", revoke, act(s.revokeKey), "Revoke a key", revokeKeyDoc},
		{http.MethodPost, "/v1/keys/{id}/suspend", "suspend-key", revoke, act(s.suspendKey), "Suspend a key", suspendKeyDoc},
		{http.MethodPost, "/v1/keys/{id}/resume", "resume-key", revoke, act(s.resumeKey), "Resume a key", resumeKeyDoc},
		{http.MethodPost, "/v1/keys/{id}/rotate", "rotate-key", edit, act(s.rotateKey), "Rotate a key", rotateKeyDoc},
		{http.MethodPost, "/v1/keys/{id}/reveal", "reveal-key", needs(keys.KeysReveal, keys.KeysRevealTenant), act(s.revealKey), "Reveal a secret", revealKeyDoc},
		{http.MethodPost, "/v1/keys/revoke", "revoke-keys", revoke, act(s.revokeKeys), "Revoke many keys", revokeKeysDoc},
	}
}

// importPath may carry a larger body than others, see bodyLimit.
const importPath = "/v1/keys/import"

// importRoutes take over keys of other gateways.
func (s *server) importRoutes() []route {
	return []route{
		{http.MethodPost, importPath, "import-keys", needs(keys.KeysGenerateAny), act(s.importKeys), "Import keys", importKeysDoc},
	}
}

// auditRoutes tell who did what.
func (s *server) auditRoutes() []route {
	return []route{
		{http.MethodGet, "/v1/audit", "list-audit", needs(keys.AuditRead), act(s.listAudit), "List audit entries", listAuditDoc},
		{http.MethodGet, "/v1/audit/chains", "list-audit-chains", needs(keys.AuditRead), act(s.listAuditChains), "List audit chains", listAuditChainsDoc},
		{http.MethodGet, "/v1/audit/verify", "verify-audit", needs(keys.AuditRead), act(s.verifyAudit), "Verify an audit chain", verifyAuditDoc},
		{http.MethodGet, "/v1/audit/export", "export-audit", needs(keys.AuditExport), stream(s.exportAudit, jsonLines, commaSeparated), "Export an audit chain", exportAuditDoc},
	}
}

// documentRoutes are what tells a newcomer where he is.
func (s *server) documentRoutes() []route {
	return []route{
		{http.MethodGet, "/{$}", "index", everyone(), plain(s.index, map[int]any{200: Index{}}), "What this is", indexDoc},
		{http.MethodGet, "/openapi.json", "openapi", everyone(), plain(s.openapi, map[int]any{200: "application/json"}), "This document", openapiDoc},
	}
}

// probeRoutes are also served alone, by Probes.
func (s *server) probeRoutes() []route {
	return []route{
		{http.MethodGet, "/livez", "livez", everyone(), plain(s.livez, map[int]any{200: Liveness{}}), "Is the process alive", livezDoc},
		{http.MethodGet, "/readyz", "readyz", everyone(), plain(s.readyz, map[int]any{200: Readiness{}, 503: Unreadiness{}}), "Can traffic be served", readyzDoc},
		{http.MethodGet, "/metrics", "metrics", everyone(), plain(s.metrics(), map[int]any{200: "text/plain"}), "Metrics", metricsDoc},
	}
}
