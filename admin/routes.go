package admin

import (
	"fmt"
	"net/http"

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

// access is who may call an endpoint: everyone, or an actor that holds one of the permissions.
type access struct {
	everyone bool
	anyOf    []keys.Permission
}

// mounter puts one route on the mux and into the document.
type mounter func(*builder, route)

func everyone() access { return access{everyone: true} }

func needs(anyOf ...keys.Permission) access { return access{anyOf: anyOf} }

// complete returns why a row may not be mounted.
func (rt route) complete() error {
	if rt.access.everyone == (len(rt.access.anyOf) > 0) {
		return fmt.Errorf("route %s %s: does not say who may call it", rt.method, rt.path)
	}
	if rt.id == "" || rt.summary == "" || rt.doc == "" || rt.mount == nil {
		return fmt.Errorf("route %s %s: incomplete row", rt.method, rt.path)
	}
	return nil
}

// keyRoutes is the permission table of the API. A permission and its .any stand together where the
// Registry decides between one's own and the tenant's.
func (s *server) keyRoutes() []route {
	return []route{
		{http.MethodGet, "/v1/keys", "list-keys", needs(keys.KeysRead, keys.KeysReadAny), act(s.listKeys), "List keys", listKeysDoc},
		{http.MethodPost, "/v1/keys", "generate-key", needs(keys.KeysGenerate, keys.KeysGenerateAny), create(s.generateKey), "Generate a key", generateKeyDoc},
		{http.MethodGet, "/v1/keys/{id}", "show-key", needs(keys.KeysRead, keys.KeysReadAny), act(s.showKey), "Show a key", showKeyDoc},
		{http.MethodPost, "/v1/keys/{id}/revoke", "revoke-key", needs(keys.KeysRevoke, keys.KeysRevokeAny), act(s.revokeKey), "Revoke a key", revokeKeyDoc},
		{http.MethodGet, "/v1/tokens", "list-tokens", needs(keys.TokensManage), act(s.listTokens), "List admin tokens", listTokensDoc},
		{http.MethodPost, "/v1/tokens", "create-token", needs(keys.TokensManage), create(s.createToken), "Create an admin token", createTokenDoc},
		{http.MethodDelete, "/v1/tokens/{id}", "revoke-token", needs(keys.TokensManage), act(s.revokeToken), "Revoke an admin token", revokeTokenDoc},
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
