package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// serveToGateway serves a service's operations to the gateway, which has checked
// credential, permission and limits. An operation that is not public is served
// only with the gateway's signature of who calls it: whoever reaches this port
// without it is nobody.
func (p *process) serveToGateway(service platform.Router) (http.Handler, error) {
	behind := []platform.Router{service}
	if reporter, ok := service.(gateway.UsageModule); ok {
		behind = append(behind, usageOperation{gateway.UsageRoute(p.log, reporter)})
	}
	operations, err := gateway.Mount(gateway.MountConfig{
		Authenticators: []gateway.Authenticator{gateway.Assertion(gateway.AssertionConfig{
			Keys: p.assertionPublicKeys, Audience: service.Name(),
		})},
		Logger: p.log,
	}, behind...)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", operations)
	health := &health{}
	p.add(health)
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /readyz", health)
	return gateway.RequestID(nil)(gateway.Recover(p.log)(gateway.Client(p.trustedProxies...)(mux))), nil
}

// usageOperation is the operation by which a gateway asks what tenants have used.
type usageOperation struct{ route platform.Route }

func (usageOperation) Name() string               { return "usage" }
func (u usageOperation) Routes() []platform.Route { return []platform.Route{u.route} }

// health answers whether the process can serve, as the gateway does with its
// own /readyz.
type health struct {
	report func(context.Context) platform.Health
}

func (*health) Name() string { return "health" }

// ReportHealth is called before the process serves.
func (h *health) ReportHealth(report func(context.Context) platform.Health) { h.report = report }

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := h.report(r.Context())
	modules := make(map[string]string)
	for name, err := range found.Modules {
		modules[name] = "ok"
		if err != nil {
			modules[name] = "failed"
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if !found.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": found.Ready, "modules": modules})
}
