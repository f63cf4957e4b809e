package main

import (
	"fmt"
	"maps"
	"slices"

	"postern/config"
	"postern/gateway"
	"postern/internal/keys"
	"postern/limiter"
)

// gatewayPolicy says in the data path's words what the configuration says about requests.
func gatewayPolicy(cfg *config.Config) (*gateway.Policy, error) {
	accept, err := carriers(cfg.Credentials.Accept)
	if err != nil {
		return nil, err
	}
	p := &gateway.Policy{
		Accept:          accept,
		TrustedProxies:  cfg.TrustedProxies,
		LegacyRateLimit: cfg.Headers.LegacyRateLimit,
		Contact:         cfg.Catalog().Policy.Contact,
	}
	for _, plan := range cfg.Catalog().Plans {
		for _, l := range plan.Limits {
			p.TenantCounters = p.TenantCounters || l.Per == limiter.Tenant
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Routes)) {
		r, err := gatewayRoute(cfg.Routes[name])
		if err != nil {
			return nil, fmt.Errorf("routes.%s: %w", name, err)
		}
		p.Routes = append(p.Routes, r)
	}
	return p, nil
}

func gatewayRoute(c *config.Route) (gateway.Route, error) {
	r := gateway.Route{
		Name: c.Name, Hosts: c.Match.Hosts, Path: c.Match.Path,
		Targets: c.Upstream.Targets, KeepHost: c.Upstream.Host == "keep",
		API: keys.APIName(c.API), Public: c.Public, Scopes: make(map[string][]keys.Scope, len(c.Scopes)),
		Limits: c.Limits, Cost: c.Cost, Timeout: c.Timeout, MaxBody: int64(c.MaxBody),
		StripPrefix: c.StripPrefix, SetHeaders: make(map[string]string, len(c.SetHeaders)),
		WebSocket: c.WebSocket, AllowEncodedSlash: c.AllowEncodedSlash,
		AllowedIPs: c.AllowedIPs, AcceptTest: c.AcceptTest, ForwardCredential: c.ForwardCredential,
		OnLoss: gateway.OnLoss(c.OnLoss), Observe: !c.Enforce,
	}
	for method, scopes := range c.Scopes {
		all := make([]keys.Scope, len(scopes))
		for i, s := range scopes {
			all[i] = keys.Scope(s)
		}
		r.Scopes[method] = all
	}
	for name, value := range c.SetHeaders {
		r.SetHeaders[name] = value.Reveal()
	}
	if c.CORS != nil {
		r.CORS = &gateway.CORS{
			Origins: c.CORS.Origins, Methods: c.CORS.Methods, Headers: c.CORS.Headers,
			Expose: c.CORS.Expose, Credentials: c.CORS.Credentials, MaxAge: c.CORS.MaxAge,
		}
	}
	if c.Accept != nil {
		accept, err := carriers(c.Accept)
		if err != nil {
			return gateway.Route{}, err
		}
		r.Accept = accept
	}
	return r, nil
}

func carriers(all config.Carriers) ([]gateway.Carrier, error) {
	kinds := map[config.CarrierKind]gateway.CarrierKind{
		config.CarrierBearer:        gateway.Bearer,
		config.CarrierXAPIKey:       gateway.XAPIKey,
		config.CarrierBasic:         gateway.Basic,
		config.CarrierClientHeaders: gateway.ClientHeaders,
		config.CarrierHeader:        gateway.Header,
		config.CarrierQuery:         gateway.Query,
	}
	out := make([]gateway.Carrier, len(all))
	for i, c := range all {
		kind, known := kinds[c.Kind]
		if !known {
			return nil, fmt.Errorf("no such carrier: %q", c.Kind)
		}
		out[i] = gateway.Carrier{Kind: kind, Name: c.Name}
	}
	return out, nil
}
